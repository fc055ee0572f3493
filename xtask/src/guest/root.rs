//! A read-only root file system for boards, from Debian's packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::error::bad_input;
use crate::guest::pinned;
use crate::process::{is_installed, run};
use crate::{arm, cargo};

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

/// What a root file system is made of.
pub struct Root {
    /// Debian packages; their dependencies come with them.
    pub packages: &'static [&'static str],
    /// The parts of Debian's archive that are used.
    pub components: &'static str,
    /// Whether the packages' copyright files are kept, as they must be where the file system is passed on.
    pub copyrights: bool,
}

/// Where a root file system has the list of its packages.
const PACKAGES: &str = "usr/share/edge-runtime/packages.txt";

/// Returns a tarball of a root file system. It is made once and kept in `folder`.
///
/// # Errors
/// Returns an error if Linux does not start the boards' programs here, or mmdebstrap fails.
pub fn tarball(folder: &Path, root: &Root) -> Result<PathBuf> {
    let mut key = format!("{RELEASE} {}", root.packages.join(","));
    if root.copyrights {
        key += &format!(" {} copyrights", root.components);
    }
    let name: String = Sha256::digest(key).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let made = folder.join(format!("root-{name}.tar"));
    if made.exists() {
        return Ok(made);
    }
    register_emulator()?;
    eprintln!("making a root file system of Debian {RELEASE} for arm64 (takes minutes): {}", root.packages.join(" "));
    let making = folder.join(format!("root-{name}.making.tar"));
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--architectures=arm64", "--variant=minbase", "--format=tar"]);
    command.arg(format!("--components={}", root.components)).arg(format!("--include={}", root.packages.join(",")));
    // A board does not need these, and unpacking them takes time.
    for path in ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"] {
        command.arg(format!("--dpkgopt=path-exclude={path}"));
    }
    if root.copyrights {
        command.arg("--dpkgopt=path-include=/usr/share/doc/*/copyright");
    }
    // mmdebstrap copies the first two from this machine; keys that every board has protect none.
    command.arg("--customize-hook=rm -f \"$1/etc/resolv.conf\" \"$1/etc/hostname\" \"$1\"/etc/ssh/ssh_host_*");
    command.arg(list_packages("customize", "$(dpkg-query --root=\"$1\" --show --showformat='${Package}\\n')"));
    if let Some(date) = cargo::source_date() {
        command.env("SOURCE_DATE_EPOCH", date.to_string());
    }
    command.args(["--aptopt=Apt::Install-Recommends \"false\"", RELEASE]).arg(&making);
    run(&mut command).context("Debian's root file system could not be made")?;
    pinned::check(&self::packages(&making)?)?;
    fs::rename(making, &made)?;
    Ok(made)
}

/// Returns a flag of mmdebstrap that writes a list of packages into the file system: name, version, architecture, SHA-256 of the package.
/// `stage` is that of mmdebstrap's hooks in which it does so, `names` are words of the shell.
pub fn list_packages(stage: &str, names: &str) -> String {
    format!(
        "--{stage}-hook=mkdir -p \"$1/usr/share/edge-runtime\"; \
         APT_CONFIG=\"$MMDEBSTRAP_APT_CONFIG\" apt-cache show --no-all-versions {names} | awk '{FIELDS}' > \"$1/{PACKAGES}\""
    )
}

/// A program for awk that makes a line of each paragraph about a package.
const FIELDS: &str = r#"/^[A-Za-z0-9]+:/ { value[$1] = $2 } /^$/ { print value["Package:"], value["Version:"], value["Architecture:"], value["SHA256:"] }"#;

/// Returns the list of the packages in a tarball.
///
/// # Errors
/// Returns an error if the tarball has none.
pub fn packages(tarball: &Path) -> Result<String> {
    run(Command::new("tar").arg("-xOf").arg(tarball).arg(format!("./{PACKAGES}")))
        .with_context(|| format!("{} has no list of its packages", tarball.display()))
}

/// Returns the same root file system as a squashfs image.
///
/// # Errors
/// Returns an error if the tarball cannot be made or packed.
pub fn squashfs(folder: &Path, packages: &'static [&'static str]) -> Result<PathBuf> {
    let tar = tarball(folder, &Root { packages, components: "main", copyrights: false })?;
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
