//! Counts the instructions of single programs for boards, by a plugin of QEMU's user-mode emulation.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use xtask::guest::root::{self, Root};
use xtask::process::run;
use xtask::{arm, process};

use super::{scripts, succeed};

/// The emulator. The static one of `qemu-user-static` takes no plugins.
const EMULATOR: &str = "qemu-aarch64";
/// What the engines need of a root file system.
const PACKAGES: [&str; 3] = ["python3", "libstdc++6", "libgomp1"];

/// A processor to emulate, as Linux describes it: engines choose their kernels by this.
pub struct Processor {
    /// QEMU's name for it.
    pub name: &'static str,
    /// Its part number.
    part: u32,
    /// What it can do beyond plain NEON.
    features: &'static str,
    /// Multiply-accumulates of bytes that one instruction does at most in a direct convolution. Without dot products, 16 take
    /// three: SMULL, SMLAL2 and SADALP.
    pub per_instruction: f64,
}

/// The processors of a Raspberry Pi 3, 4 and 5.
pub const PROCESSORS: [Processor; 3] = [
    Processor { name: "cortex-a53", part: 0xd03, features: "", per_instruction: 16.0 / 3.0 },
    Processor { name: "cortex-a72", part: 0xd08, features: "", per_instruction: 16.0 / 3.0 },
    Processor {
        name: "cortex-a76",
        part: 0xd0b,
        features: " atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
        per_instruction: 16.0,
    },
];

/// The emulator with its plugin and root file system.
pub struct Counter {
    plugin: PathBuf,
    root: PathBuf,
}

impl Counter {
    /// Compiles the plugin and makes the root file system, once in `folder`.
    ///
    /// # Errors
    /// Returns an error if a tool is missing or fails.
    pub fn open(folder: &Path) -> Result<Counter> {
        let mut missing = root::missing_packages();
        if !process::starts(EMULATOR) {
            missing.push("qemu-user");
        }
        if !process::starts("cc") {
            missing.push("gcc");
        }
        arm::require(&missing)?;
        let help = run(Command::new(EMULATOR).arg("--help"))?;
        if !help.contains("-plugin") {
            return Err(xtask::error::bad_input(format!(
                "this {EMULATOR} takes no plugins; install Debian's qemu-user"
            )));
        }
        let plugin = folder.join("count.so");
        let version = interface(&run(Command::new(EMULATOR).arg("--version"))?);
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-shared", "-fPIC"]).arg(format!("-DPLUGIN_VERSION={version}"));
        succeed(compiler.arg("-o").arg(&plugin).arg(scripts().join("count.c")))?;
        let root = folder.join("root-aarch64");
        if !root.join("usr/bin").exists() {
            let parts = Root { packages: &PACKAGES, components: "main", copyrights: false };
            let tarball = root::tarball(folder, &parts)?;
            let making = folder.join("root-aarch64.making");
            fs::create_dir_all(&making)?;
            succeed(Command::new("tar").args(["--exclude=./dev", "-xf"]).arg(&tarball).arg("-C").arg(&making))?;
            fs::rename(making, &root)?;
            fs::remove_file(tarball)?;
        }
        Ok(Counter { plugin, root })
    }

    /// Returns the root file system's Python.
    pub fn python(&self) -> PathBuf {
        self.root.join("usr/bin/python3")
    }

    /// Returns the command that runs a program on a processor. Its counts go to `stderr`, from which [`counts`] reads them. One
    /// command at a time may run.
    ///
    /// # Errors
    /// Returns an error if files cannot be written.
    pub fn command(&self, processor: &Processor, program: &Path, stderr: &Path) -> Result<Command> {
        let description = format!(
            "processor\t: 0\nBogoMIPS\t: 100.00\nFeatures\t: fp asimd evtstrm crc32{}\nCPU implementer\t: 0x41\n\
             CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: {:#x}\nCPU revision\t: 4\n",
            processor.features, processor.part
        );
        let cores = self.root.join("sys/devices/system/cpu");
        fs::create_dir_all(&cores)?;
        fs::create_dir_all(self.root.join("proc"))?;
        fs::write(self.root.join("proc/cpuinfo"), description)?;
        for list in ["possible", "present", "online"] {
            fs::write(cores.join(list), "0\n")?;
        }
        let mut command = Command::new(EMULATOR);
        command.args(["-cpu", processor.name, "-plugin"]).arg(&self.plugin).arg("-L").arg(&self.root).arg(program);
        let stderr = File::create(stderr).with_context(|| format!("{} could not be written", stderr.display()))?;
        command.stderr(stderr).env("OMP_NUM_THREADS", "1").env("OPENBLAS_NUM_THREADS", "1");
        Ok(command)
    }
}

/// Returns the version of the plugins' interface that an emulator has, from what `--version` says. QEMU 9 dropped the first.
fn interface(version: &str) -> u32 {
    let major = version.split_whitespace().find_map(|word| word.split('.').next()?.parse::<u32>().ok());
    if major.unwrap_or(0) < 9 { 1 } else { 2 }
}

/// Returns the counts that the plugin has written, from the first to that of the program's end.
///
/// # Errors
/// Returns an error if the file cannot be read.
pub fn counts(stderr: &Path) -> Result<Vec<u64>> {
    let text = String::from_utf8_lossy(&fs::read(stderr)?).into_owned();
    Ok(text.lines().filter_map(|line| line.strip_prefix("COUNT ")?.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interface_is_chosen_by_the_version() {
        assert_eq!(interface("qemu-aarch64 version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)"), 1);
        assert_eq!(interface("qemu-aarch64 version 10.0.2"), 2);
        assert_eq!(interface("?"), 1);
    }

    #[test]
    fn counts_are_found_among_other_lines() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "COUNT 5\nINFO: created\nCOUNT 17\nCOUNT x\n").unwrap();
        assert_eq!(counts(file.path()).unwrap(), [5, 17]);
    }
}
