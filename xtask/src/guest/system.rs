//! Kernel, modules, device trees and shell of a guest, from Debian's packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::{Archive, run};

/// The emulator.
pub const EMULATOR: &str = "qemu-system-aarch64";
/// Debian's name for its current kernel of 64-bit ARM boards.
const KERNEL: &str = "linux-image-arm64:arm64";
/// A shell and what belongs to it, in one static program.
const SHELL: &str = "busybox-static:arm64";

/// Kernel and shell of a guest.
pub struct System {
    folder: PathBuf,
    /// Modules by their names.
    modules: BTreeMap<String, PathBuf>,
}

impl System {
    /// Takes all from Debian's packages, once: it stays below `folder`.
    pub fn bring(folder: &Path) -> Result<System> {
        let unpacked = folder.join("system");
        if !unpacked.exists() {
            let making = folder.join("system.making");
            if making.exists() {
                fs::remove_dir_all(&making)?;
            }
            fs::create_dir_all(&making)?;
            let package = current_kernel()?;
            run(Command::new("apt-get").arg("download").args([package.as_str(), SHELL]).current_dir(&making))?;
            for entry in fs::read_dir(&making)? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "deb") {
                    run(Command::new("dpkg-deb").arg("-x").arg(&path).arg(&making))?;
                    fs::remove_file(path)?;
                }
            }
            fs::rename(making, &unpacked)?;
        }
        let mut modules = BTreeMap::new();
        find(&unpacked.join("lib/modules"), &mut |path| {
            if path.extension().is_some_and(|extension| extension == "ko") {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().replace('-', "_");
                modules.insert(name, path);
            }
        })?;
        Ok(System { folder: unpacked, modules })
    }

    /// The kernel.
    pub fn kernel(&self) -> Result<PathBuf> {
        let mut found = None;
        find(&self.folder.join("boot"), &mut |path| {
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz")) {
                found = Some(path);
            }
        })?;
        found.context("the kernel's package holds no kernel")
    }

    /// A device tree by its name.
    pub fn device_tree(&self, name: &str) -> Result<PathBuf> {
        let mut found = None;
        find(&self.folder.join("usr/lib"), &mut |path| {
            if path.file_name().is_some_and(|file| file == name) {
                found = Some(path);
            }
        })?;
        found.with_context(|| format!("the kernel's package holds no {name}"))
    }

    /// The shell.
    pub fn shell(&self) -> PathBuf {
        self.folder.join("bin/busybox")
    }

    /// The folder of all modules, `lib/modules` of a root file system.
    pub fn module_folder(&self) -> PathBuf {
        self.folder.join("lib/modules")
    }

    /// Modules and all that they depend on, in the order in which they load. Names with a hyphen or an underscore mean the same.
    pub fn modules(&self, names: &[&str]) -> Result<Vec<PathBuf>> {
        let (mut seen, mut ordered) = (BTreeSet::new(), Vec::new());
        for name in names {
            self.require(name, &mut seen, &mut ordered)?;
        }
        Ok(ordered)
    }

    fn require(&self, name: &str, seen: &mut BTreeSet<String>, ordered: &mut Vec<PathBuf>) -> Result<()> {
        let name = name.replace('-', "_");
        if !seen.insert(name.clone()) {
            return Ok(());
        }
        let path = self.modules.get(&name).with_context(|| format!("the kernel's package holds no module {name}"))?;
        let module = fs::read(path).with_context(|| format!("{} could not be read", path.display()))?;
        for needed in depends(&module) {
            self.require(&needed, seen, ordered)?;
        }
        ordered.push(path.clone());
        Ok(())
    }

    /// Boots `processor` with `files`, runs `script` there as the first process, and gives what it wrote to the console. One
    /// instruction takes one nanosecond of the guest's clock.
    pub fn run(&self, processor: &str, files: &Archive, script: &str, work: &Path) -> Result<String> {
        let mut archive = files.clone();
        archive.copy("bin/busybox", &self.shell())?;
        let init = format!(
            "#!/bin/busybox sh\n/bin/busybox mkdir -p /proc /sys /tmp\n/bin/busybox mount -t proc proc /proc\n\
             /bin/busybox mount -t sysfs sys /sys\n{script}\n/bin/busybox poweroff -f\n"
        );
        archive.file("init", init.as_bytes(), true);
        let initrd = work.join(format!("{processor}.cpio"));
        fs::write(&initrd, archive.finish())?;
        let mut emulator = Command::new(EMULATOR);
        emulator.args(["-M", "virt", "-cpu", processor, "-smp", "1", "-m", "1024", "-icount", "shift=0,sleep=off"]);
        emulator.args([
            "-nographic",
            "-no-reboot",
            "-net",
            "none",
            "-append",
            "console=ttyAMA0 quiet panic=-1",
            "-kernel",
        ]);
        emulator.arg(self.kernel()?).arg("-initrd").arg(&initrd).stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = emulator.output().with_context(|| format!("{EMULATOR} could not be started"))?;
        fs::remove_file(initrd)?;
        ensure!(output.status.success(), "{EMULATOR}: {}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).replace('\r', ""))
    }
}

/// The package that holds the current kernel: the first that Debian's name for it depends on.
fn current_kernel() -> Result<String> {
    let said = run(Command::new("apt-cache").args(["depends", "--important", KERNEL]))
        .context("apt knows no kernel for arm64: run `apt-get update` after `dpkg --add-architecture arm64`")?;
    let said = String::from_utf8_lossy(&said);
    let package = said.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    let package =
        package.context("apt knows no kernel for arm64: run `apt-get update` after `dpkg --add-architecture arm64`")?;
    Ok(if package.contains(':') { package.to_owned() } else { format!("{package}:arm64") })
}

/// What a module's own description says that it depends on.
fn depends(module: &[u8]) -> Vec<String> {
    let key = b"\0depends=";
    let Some(at) = module.windows(key.len()).position(|window| window == key) else { return Vec::new() };
    let value = module[at + key.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let value = String::from_utf8_lossy(value);
    value.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Calls `each` with every file below `folder`.
fn find(folder: &Path, each: &mut dyn FnMut(PathBuf)) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("{} could not be read", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() { find(&path, each)? } else { each(path) }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_says_what_it_depends_on() {
        assert_eq!(
            depends(b"\x7fELF..\0license=GPL\0depends=jbd2,mbcache,crc16\0name=ext4\0"),
            ["jbd2", "mbcache", "crc16"]
        );
        assert!(depends(b"\0license=GPL\0depends=\0name=squashfs\0").is_empty());
        assert!(depends(b"").is_empty());
    }
}
