//! A machine emulated whole, with a kernel and an initial file system made on the spot, without root.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// The emulator.
pub const EMULATOR: &str = "qemu-system-aarch64";
/// Debian's name for its current kernel of 64-bit ARM boards.
const KERNEL: &str = "linux-image-arm64:arm64";
/// A shell and what belongs to it, in one static program.
const SHELL: &str = "busybox-static:arm64";

/// Kernel and shell of a guest.
pub struct System {
    kernel: PathBuf,
    shell: PathBuf,
}

impl System {
    /// Takes both from Debian's packages, once: they stay in `folder`.
    pub fn bring(folder: &Path) -> Result<System> {
        let system = System { kernel: folder.join("vmlinuz"), shell: folder.join("busybox") };
        if system.kernel.exists() && system.shell.exists() {
            return Ok(system);
        }
        let unpacked = folder.join("unpacked");
        fs::create_dir_all(&unpacked)?;
        let package = current_kernel()?;
        run(Command::new("apt-get").arg("download").args([package.as_str(), SHELL]).current_dir(folder))?;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                run(Command::new("dpkg-deb").arg("-x").arg(&path).arg(&unpacked))?;
                fs::remove_file(path)?;
            }
        }
        let boot = fs::read_dir(unpacked.join("boot"))?.flatten().map(|entry| entry.path());
        let kernel = boot
            .into_iter()
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz")));
        fs::rename(kernel.context("the kernel's package holds no kernel")?, &system.kernel)?;
        fs::rename(unpacked.join("bin/busybox"), &system.shell)?;
        fs::remove_dir_all(unpacked)?;
        Ok(system)
    }

    /// Boots `processor` with `files`, runs `script` there as the first process, and gives what it wrote to the console. One
    /// instruction takes one nanosecond of the guest's clock.
    pub fn run(&self, processor: &str, files: &Archive, script: &str, work: &Path) -> Result<String> {
        let mut archive = files.clone();
        archive.file("bin/busybox", &fs::read(&self.shell)?, true);
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
        emulator.arg(&self.kernel).arg("-initrd").arg(&initrd).stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = emulator.output().with_context(|| format!("{EMULATOR} could not be started"))?;
        fs::remove_file(initrd)?;
        ensure!(output.status.success(), "{EMULATOR}: {}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).replace('\r', ""))
    }
}

/// The package that holds the current kernel: the first that Debian's name for it depends on.
fn current_kernel() -> Result<String> {
    let asked = Command::new("apt-cache").args(["depends", "--important", KERNEL]).output();
    let said = asked.context("apt-cache could not be started")?.stdout;
    let said = String::from_utf8_lossy(&said);
    let package = said.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    let package =
        package.context("apt knows no kernel for arm64: run `apt-get update` after `dpkg --add-architecture arm64`")?;
    Ok(if package.contains(':') { package.to_owned() } else { format!("{package}:arm64") })
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_owned();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("{} could not be started", name.display()))?;
    if !output.status.success() {
        bail!("{}: {}", name.display(), String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; "));
    }
    Ok(())
}

/// An initial file system: a cpio archive of the kind that Linux boots from ("newc").
#[derive(Clone, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    folders: BTreeSet<String>,
    entries: u32,
}

impl Archive {
    /// Adds a file, and the folders above it.
    pub fn file(&mut self, path: &str, content: &[u8], executable: bool) {
        let mut above = String::new();
        for folder in path.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev() {
            above.push_str(folder);
            if self.folders.insert(above.clone()) {
                self.entry(&above, 0o040_755, &[]);
            }
            above.push('/');
        }
        self.entry(path, if executable { 0o100_755 } else { 0o100_644 }, content);
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let name = path.len() as u32 + 1;
        let fields = [self.entries, mode, 0, 0, 1, 0, content.len() as u32, 0, 0, 0, 0, name, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// The archive's bytes.
    fn finish(mut self) -> Vec<u8> {
        // The kernel opens its console there.
        self.file("dev/.keep", &[], false);
        self.device("dev/console", 5, 1);
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    /// Adds a character device.
    fn device(&mut self, path: &str, major: u32, minor: u32) {
        let at = self.bytes.len();
        self.entry(path, 0o020_600, &[]);
        for (field, value) in [(9, major), (10, minor)] {
            self.bytes[at + 6 + 8 * field..][..8].copy_from_slice(format!("{value:08x}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_lists_what_went_in() {
        let mut archive = Archive::default();
        archive.file("a/b/c", b"hello", true);
        archive.file("a/d", b"", false);
        let bytes = archive.finish();
        assert!(bytes.len().is_multiple_of(4));
        let mut names = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            assert_eq!(&bytes[at..at + 6], b"070701");
            let field = |number: usize| {
                let digits = std::str::from_utf8(&bytes[at + 6 + 8 * number..][..8]).unwrap();
                usize::from_str_radix(digits, 16).unwrap()
            };
            let (size, name) = (field(6), field(11));
            names.push(std::str::from_utf8(&bytes[at + 110..at + 109 + name]).unwrap().to_owned());
            let content = (at + 110 + name).next_multiple_of(4);
            if names.last().unwrap() == "a/b/c" {
                assert_eq!((&bytes[content..content + size], field(1)), (&b"hello"[..], 0o100_755));
            }
            at = (content + size).next_multiple_of(4);
        }
        assert_eq!(names, ["a", "a/b", "a/b/c", "a/d", "dev", "dev/.keep", "dev/console", "TRAILER!!!"]);
    }
}
