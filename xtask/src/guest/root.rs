//! A read-only root file system for boards, from Debian's packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::arm;
use crate::error::bad_input;
use crate::process::{is_installed, run};

/// The Debian release that emulated boards and card images run.
pub const RELEASE: &str = "bookworm";
/// Where Linux lists the processors whose programs it starts by an emulator.
const BINFMT: &str = "/proc/sys/fs/binfmt_misc";
/// The emulator's entry in that list.
const ENTRY: &str = "qemu-aarch64";

/// Returns the Debian packages that making a root file system needs and that are missing.
pub fn missing_packages() -> Vec<&'static str> {
    // mmdebstrap asks arch-test whether this machine starts programs for the board.
    let needs = [
        ("mmdebstrap", "mmdebstrap"),
        ("arch-test", "arch-test"),
        ("mksquashfs", "squashfs-tools"),
        ("qemu-aarch64-static", "qemu-user-static"),
    ];
    needs.into_iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| package).collect()
}

/// Returns a tarball of a root file system with `packages` and their dependencies. It is made once and kept in `folder`.
///
/// # Errors
/// Returns an error if Linux does not start the boards' programs here, or mmdebstrap fails.
pub fn tarball(folder: &Path, packages: &[&str]) -> Result<PathBuf> {
    let name: String = Sha256::digest(format!("{RELEASE} {}", packages.join(",")))
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let made = folder.join(format!("root-{name}.tar"));
    if made.exists() {
        return Ok(made);
    }
    register_emulator()?;
    eprintln!("making a root file system of Debian {RELEASE} for arm64 (takes minutes): {}", packages.join(" "));
    let making = folder.join(format!("root-{name}.making.tar"));
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--architectures=arm64", "--variant=minbase", "--format=tar"]);
    command.arg(format!("--include={}", packages.join(",")));
    // A board does not need these, and unpacking them takes time.
    for path in ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"] {
        command.arg(format!("--dpkgopt=path-exclude={path}"));
    }
    // mmdebstrap copies these from this machine.
    command.arg("--customize-hook=rm -f \"$1/etc/resolv.conf\" \"$1/etc/hostname\"");
    command.args(["--aptopt=Apt::Install-Recommends \"false\"", RELEASE]).arg(&making);
    run(&mut command).context("Debian's root file system could not be made")?;
    fs::rename(making, &made)?;
    Ok(made)
}

/// Returns the same root file system as a squashfs image.
///
/// # Errors
/// Returns an error if the tarball cannot be made or packed.
pub fn squashfs(folder: &Path, packages: &[&str]) -> Result<PathBuf> {
    let tar = tarball(folder, packages)?;
    let made = tar.with_extension("squashfs");
    if !made.exists() {
        let making = tar.with_extension("making.squashfs");
        pack(&tar, &making)?;
        fs::rename(making, &made)?;
    }
    Ok(made)
}

/// Packs a tarball into a squashfs image, whose size is a multiple of 1 MiB.
fn pack(tarball: &Path, image: &Path) -> Result<()> {
    let _ = fs::remove_file(image);
    let mut command = Command::new("mksquashfs");
    command.arg("-").arg(image).args(["-tar", "-comp", "zstd", "-Xcompression-level", "3", "-no-progress", "-quiet"]);
    let tar = fs::File::open(tarball).with_context(|| format!("{} could not be read", tarball.display()))?;
    let status = command.stdin(tar).stdout(Stdio::null()).status().context("mksquashfs could not be started")?;
    ensure!(status.success(), "mksquashfs failed on {}", tarball.display());
    let file = fs::OpenOptions::new().write(true).open(image)?;
    file.set_len(file.metadata()?.len().next_multiple_of(1 << 20))?;
    Ok(())
}

/// Makes sure that Linux starts the boards' programs by an emulator: Debian's packages run scripts while they are installed.
fn register_emulator() -> Result<()> {
    if Path::new(BINFMT).join(ENTRY).exists() {
        return Ok(());
    }
    let rule = fs::read_to_string(format!("/usr/lib/binfmt.d/{ENTRY}.conf")).unwrap_or_default();
    if !Path::new(BINFMT).join("register").exists() {
        // Works for root only; others are told below what to do.
        let _ = run(Command::new("mount").args(["-t", "binfmt_misc", "none", BINFMT]));
    }
    let _ = fs::write(Path::new(BINFMT).join("register"), rule.trim());
    if Path::new(BINFMT).join(ENTRY).exists() {
        return Ok(());
    }
    Err(bad_input(format!(
        "this machine does not start programs for {}; run `sudo apt-get install qemu-user-static && sudo systemctl restart systemd-binfmt`",
        arm::TARGET
    )))
}
