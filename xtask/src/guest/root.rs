//! Debian for boards: a root file system from its packages, read-only.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::run;
use crate::arm;
use crate::refusal::refusal;

/// The release that the emulated boards run.
const RELEASE: &str = "bookworm";
/// Where Linux says for which processors it starts programs by an emulator.
const BINFMT: &str = "/proc/sys/fs/binfmt_misc";
/// The emulator's entry there.
const ENTRY: &str = "qemu-aarch64";

/// Debian packages without which no root file system is made.
pub fn missing() -> Vec<&'static str> {
    // mmdebstrap asks arch-test whether this machine starts the board's programs.
    let needs = [
        ("mmdebstrap", "mmdebstrap"),
        ("arch-test", "arch-test"),
        ("mksquashfs", "squashfs-tools"),
        ("qemu-aarch64-static", "qemu-user-static"),
    ];
    needs.into_iter().filter(|(program, _)| !there(program)).map(|(_, package)| package).collect()
}

/// Whether a program is on the path. Some of these do not know `--version`.
pub fn there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(usual).any(|folder| folder.join(program).is_file())
}

/// A root file system with `packages` and what they depend on, as a tarball, made once: it stays below `folder`.
pub fn tarball(folder: &Path, packages: &[&str], components: &str) -> Result<PathBuf> {
    let name: String = Sha256::digest(format!("{RELEASE} {components} {}", packages.join(",")))
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let made = folder.join(format!("root-{name}.tar"));
    if made.exists() {
        return Ok(made);
    }
    emulate_programs()?;
    eprintln!("boards: Debian {RELEASE} for arm64, some minutes: {}", packages.join(" "));
    let making = folder.join(format!("root-{name}.making.tar"));
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--architectures=arm64", "--variant=minbase", "--format=tar"]);
    command.arg(format!("--components={components}")).arg(format!("--include={}", packages.join(",")));
    // A board has no use for them, and unpacking takes time.
    for path in ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"] {
        command.arg(format!("--dpkgopt=path-exclude={path}"));
    }
    // mmdebstrap copies this machine's.
    command.arg("--customize-hook=rm -f \"$1/etc/resolv.conf\" \"$1/etc/hostname\"");
    command.args(["--aptopt=Apt::Install-Recommends \"false\"", RELEASE]).arg(&making);
    run(&mut command).context("Debian's root file system could not be made")?;
    fs::rename(making, &made)?;
    Ok(made)
}

/// The same as a squashfs image.
pub fn squashfs(folder: &Path, packages: &[&str]) -> Result<PathBuf> {
    let tar = tarball(folder, packages, "main")?;
    let made = tar.with_extension("squashfs");
    if !made.exists() {
        let making = tar.with_extension("making.squashfs");
        pack(&[&tar], &making)?;
        fs::rename(making, &made)?;
    }
    Ok(made)
}

/// Packs tarballs, one upon the other, into a squashfs image. Its size is a multiple of 1 MiB.
pub fn pack(tarballs: &[&Path], image: &Path) -> Result<()> {
    let _ = fs::remove_file(image);
    let mut command = Command::new("mksquashfs");
    command.arg("-").arg(image).args(["-tar", "-comp", "zstd", "-Xcompression-level", "3", "-no-progress", "-quiet"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().context("mksquashfs could not be started")?;
    {
        let mut input = child.stdin.take().context("a pipe")?;
        for tarball in tarballs {
            let mut file =
                fs::File::open(tarball).with_context(|| format!("{} could not be read", tarball.display()))?;
            std::io::copy(&mut file, &mut input)?;
        }
    }
    ensure!(child.wait()?.success(), "mksquashfs made no image of {}", tarballs[0].display());
    let file = fs::OpenOptions::new().write(true).open(image)?;
    file.set_len(file.metadata()?.len().next_multiple_of(1 << 20))?;
    Ok(())
}

/// Sees to it that Linux starts the boards' programs: their packages' scripts run while the root file system is made.
fn emulate_programs() -> Result<()> {
    if Path::new(BINFMT).join(ENTRY).exists() {
        return Ok(());
    }
    let rule = fs::read_to_string(format!("/usr/lib/binfmt.d/{ENTRY}.conf")).unwrap_or_default();
    if !Path::new(BINFMT).join("register").exists() {
        // As root only; else the sentence below says what to do.
        let _ = run(Command::new("mount").args(["-t", "binfmt_misc", "none", BINFMT]));
    }
    let _ = fs::write(Path::new(BINFMT).join("register"), rule.trim());
    if Path::new(BINFMT).join(ENTRY).exists() {
        return Ok(());
    }
    Err(refusal(format!(
        "Linux does not start programs for {} here: `sudo apt-get install qemu-user-static && sudo systemctl restart systemd-binfmt`",
        arm::TARGET
    )))
}
