//! The kernel of a guest with its modules and device trees, and a shell, from Debian's packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::archive::Archive;
use super::pinned;
use crate::process::run;

/// The emulator.
pub const EMULATOR: &str = "qemu-system-aarch64";
/// Debian's package that depends on the current kernel for 64-bit ARM boards.
const KERNEL: &str = "linux-image-arm64:arm64";
/// The list of the packages.
const PACKAGES: &str = "packages.txt";
/// A shell and the usual tools in one static program.
const SHELL: &str = "busybox-static:arm64";

/// The kernel and shell of a guest.
pub struct System {
    folder: PathBuf,
    /// Files of modules by module name, with underscores.
    modules: BTreeMap<String, PathBuf>,
}

impl System {
    /// Opens the system that is kept in `folder`; the first call downloads it from Debian's archive.
    ///
    /// # Errors
    /// Returns an error if apt does not know the packages or they cannot be downloaded.
    pub fn open(folder: &Path) -> Result<System> {
        let unpacked = folder.join("system");
        if !unpacked.exists() {
            let making = folder.join("system.making");
            if making.exists() {
                fs::remove_dir_all(&making)?;
            }
            fs::create_dir_all(&making)?;
            let package = current_kernel()?;
            run(Command::new("apt-get").arg("download").args([package.as_str(), SHELL]).current_dir(&making))?;
            let mut lines = String::new();
            for entry in fs::read_dir(&making)? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "deb") {
                    run(Command::new("dpkg-deb").arg("-x").arg(&path).arg(&making))?;
                    lines += &package_line(&path)?;
                    fs::remove_file(path)?;
                }
            }
            pinned::check(&lines)?;
            fs::write(making.join(PACKAGES), lines)?;
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

    /// Returns a line for each package that the system was taken from: name, version, architecture, SHA-256 of the package.
    ///
    /// # Errors
    /// Returns an error if the list cannot be read.
    pub fn packages(&self) -> Result<String> {
        let list = self.folder.join(PACKAGES);
        fs::read_to_string(&list).with_context(|| {
            format!(
                "{} could not be read; delete {}, which an older version made",
                list.display(),
                self.folder.display()
            )
        })
    }

    /// Returns the kernel's file.
    ///
    /// # Errors
    /// Returns an error if the package does not contain one.
    pub fn kernel(&self) -> Result<PathBuf> {
        let mut found = None;
        find(&self.folder.join("boot"), &mut |path| {
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz")) {
                found = Some(path);
            }
        })?;
        found.context("Debian's kernel package contains no kernel")
    }

    /// Returns a device tree's file by its name, such as `bcm2837-rpi-3-b.dtb`.
    ///
    /// # Errors
    /// Returns an error if the package does not contain it.
    pub fn device_tree(&self, name: &str) -> Result<PathBuf> {
        let mut found = None;
        find(&self.folder.join("usr/lib"), &mut |path| {
            if path.file_name().is_some_and(|file| file == name) {
                found = Some(path);
            }
        })?;
        found.with_context(|| format!("Debian's kernel package contains no {name}"))
    }

    /// Returns the shell's program.
    pub fn shell(&self) -> PathBuf {
        self.folder.join("bin/busybox")
    }

    /// Returns the folder of all modules: `lib/modules` of a root file system.
    pub fn module_folder(&self) -> PathBuf {
        self.folder.join("lib/modules")
    }

    /// Returns the files of modules and of their dependencies, in the order in which they must be loaded. In names, `-` and `_`
    /// mean the same.
    ///
    /// # Errors
    /// Returns an error if the package does not contain a module.
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
        let path =
            self.modules.get(&name).with_context(|| format!("Debian's kernel package contains no module {name}"))?;
        let module = fs::read(path).with_context(|| format!("{} could not be read", path.display()))?;
        for needed in depends(&module) {
            self.require(&needed, seen, ordered)?;
        }
        ordered.push(path.clone());
        Ok(())
    }

    /// Boots a machine with `processor` and `files`, runs `script` as its first process, and returns what it wrote to the console.
    /// One instruction takes one nanosecond of the guest's clock.
    ///
    /// # Errors
    /// Returns an error if the emulator cannot be started or fails.
    pub fn run(&self, processor: &str, files: &Archive, script: &str, work: &Path) -> Result<String> {
        let mut archive = files.clone();
        archive.copy("bin/busybox", &self.shell())?;
        let init = format!("{}\n{script}\n/bin/busybox poweroff -f\n", include_str!("run_script.sh"));
        archive.file("init", init.as_bytes(), true);
        let initrd = work.join(format!("{processor}.cpio"));
        fs::write(&initrd, archive.finish())?;
        let mut emulator = Command::new(EMULATOR);
        emulator.args(["-M", "virt", "-cpu", processor, "-smp", "1", "-m", "1024", "-icount", "shift=0,sleep=off"]);
        emulator.args(["-nographic", "-no-reboot", "-net", "none"]);
        emulator.args(["-append", "console=ttyAMA0 quiet panic=-1", "-kernel"]);
        emulator.arg(self.kernel()?).arg("-initrd").arg(&initrd).stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = emulator.output().with_context(|| format!("{EMULATOR} could not be started"))?;
        fs::remove_file(initrd)?;
        ensure!(output.status.success(), "{EMULATOR}: {}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).replace('\r', ""))
    }
}

/// Returns the package with the current kernel: the first dependency of [`KERNEL`].
fn current_kernel() -> Result<String> {
    const UNKNOWN: &str =
        "apt knows no kernel for arm64; run `dpkg --add-architecture arm64 && apt-get update` as root";
    let output = run(Command::new("apt-cache").args(["depends", "--important", KERNEL])).context(UNKNOWN)?;
    let package = output.lines().find_map(|line| line.trim().strip_prefix("Depends: ")).context(UNKNOWN)?;
    Ok(if package.contains(':') { package.to_owned() } else { format!("{package}:arm64") })
}

/// Returns the line for a package in the list.
fn package_line(package: &Path) -> Result<String> {
    let about = run(Command::new("dpkg-deb")
        .args(["--show", "--showformat", "${Package} ${Version} ${Architecture}"])
        .arg(package))?;
    let sum: String = Sha256::digest(fs::read(package)?).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{about} {sum}\n"))
}

/// Returns the names of the modules that a module depends on, from the description in its file.
fn depends(module: &[u8]) -> Vec<String> {
    let key = b"\0depends=";
    let Some(at) = module.windows(key.len()).position(|window| window == key) else { return Vec::new() };
    let value = module[at + key.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let value = String::from_utf8_lossy(value);
    value.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Calls `each` with every file in `folder` and its subfolders.
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
