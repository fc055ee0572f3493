//! An appliance: an SD-card image that boots a board into `edge-runtime` and nothing else.
//!
//! The image has three partitions: Raspberry Pi's firmware with Debian's kernel (FAT), a read-only root file system
//! (squashfs, below an overlay in memory), and the journal (ext4). It is made without mounting anything. From the same packages,
//! program and board file, and with the same `SOURCE_DATE_EPOCH` or commit, it has the same bytes.

mod boot;
mod card;
mod layer;

pub use card::FIRST_PARTITION;

use std::env;
use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::board_file::BoardFile;
use crate::error::bad_input;
use crate::guest::System;
use crate::guest::root::{self, Root};
use crate::process::{is_installed, run};
use crate::{arm, cargo};

/// The root file system of an appliance.
const ROOT: Root = Root {
    packages: &[
        "systemd",
        "systemd-sysv",
        "udev",
        "kmod",
        "iproute2",
        "systemd-timesyncd",
        "systemd-resolved",
        "busybox",
        "openssh-server",
        "wpasupplicant",
        "wireless-regdb",
        "firmware-brcm80211",
    ],
    // The radios' firmware may be passed on, but not changed.
    components: "main,non-free-firmware",
    copyrights: true,
};
/// Boards for which images can be made, with the names of their device trees. Debian 12's kernel (6.1) does not know the Raspberry Pi 5.
const BOARDS: [(&str, &[&str]); 3] = [
    ("raspberry-pi-zero-2-w", &["bcm2837-rpi-zero-2-w.dtb"]),
    ("raspberry-pi-3b", &["bcm2837-rpi-3-b.dtb", "bcm2837-rpi-3-b-plus.dtb"]),
    ("raspberry-pi-4b", &["bcm2711-rpi-4-b.dtb"]),
];

const MIB: u64 = 1 << 20;
/// Default size of the journal's partition in MiB.
pub const DATA_MIB: u64 = 512;
/// Identifies the journal's file system, whose directories are hashed with it. The same on each card: they are mounted by label.
const DATA_UUID: &str = "6a6f7572-6e61-4c00-8000-656467652d72";

/// What an image is made from.
pub struct Recipe<'a> {
    /// The program for boards.
    pub program: &'a Path,
    /// The board file.
    pub board: &'a Path,
    /// The folder of the bundle, with its detector.
    pub bundle: &'a Path,
    /// A folder whose files are copied over the root file system.
    pub files: Option<&'a Path>,
    /// Size of the journal's partition in MiB.
    pub data_mib: u64,
    /// The image to write.
    pub output: &'a Path,
}

/// Returns the names of the boards for which images can be made.
pub fn board_names() -> [&'static str; BOARDS.len()] {
    BOARDS.map(|(name, _)| name)
}

/// Returns the Debian packages that making an image needs and that are missing.
pub fn missing_packages() -> Vec<&'static str> {
    let needs = [
        ("mcopy", "mtools"),
        ("mkfs.vfat", "dosfstools"),
        ("mke2fs", "e2fsprogs"),
        ("depmod", "kmod"),
        ("fakeroot", "fakeroot"),
    ];
    let mut missing = root::missing_packages();
    missing.extend(needs.into_iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| package));
    missing.extend(arm::Tools::find_rustc().err().into_iter().flatten());
    missing
}

/// Makes an image from the Debian packages that are kept in `.assets/emulator`.
///
/// # Errors
/// Returns an error if images cannot be made for the board, the bundle lacks its detector, or a tool fails.
pub fn make(recipe: &Recipe) -> Result<()> {
    make_in(&cargo::workspace_root().join(".assets/emulator"), recipe)
}

/// Makes an image from the Debian packages that are kept in the folder `assets`; the first call downloads them.
///
/// # Errors
/// Returns an error if images cannot be made for the board, the bundle lacks its detector, or a tool fails.
pub fn make_in(assets: &Path, recipe: &Recipe) -> Result<()> {
    let board = BoardFile::read(recipe.board)?;
    let known = BOARDS.into_iter().find(|(name, _)| *name == board.name);
    let names = board_names().join(", ");
    let (_, device_trees) =
        known.ok_or_else(|| bad_input(format!("images are made for {names} only, not for {}", board.name)))?;
    if !recipe.bundle.join("detector.onnx").exists() {
        return Err(bad_input(format!(
            "{} has no detector.onnx; add it with `host-trainer detector {}`",
            recipe.bundle.display(),
            recipe.bundle.display()
        )));
    }
    fs::create_dir_all(assets)?;
    let system = System::open(assets)?;
    let base = root::tarball(assets, &ROOT)?;
    let firmware = boot::firmware(assets)?;
    let work = assets.join("image");
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work)?;

    let layer = work.join("layer");
    layer::write(&layer, recipe, &system)?;
    let squashfs = work.join("root.squashfs");
    pack_root(&work, &base, &layer, &squashfs)?;
    let boot = work.join("boot.vfat");
    boot::write(&boot, &system, &firmware, device_trees)?;
    let data = work.join("data.ext4");
    write_data(&data, recipe.data_mib)?;

    let image = work.join("image");
    let parts = [(0x0c, &boot), (0x83, &squashfs), (0x83, &data)];
    card::write(&image, &parts)?;
    let beside = recipe.output.with_extension("making");
    fs::copy(&image, &beside)
        .and_then(|_| fs::rename(&beside, recipe.output))
        .inspect_err(|_| drop(fs::remove_file(&beside)))
        .with_context(|| format!("{} could not be written", recipe.output.display()))?;
    fs::remove_dir_all(&work)?;
    eprintln!(
        "{}: {} MiB; write it to a card of 2 GB or more, for instance: sudo dd if={} of=/dev/sdX bs=4M conv=fsync",
        recipe.output.display(),
        fs::metadata(recipe.output)?.len() / MIB,
        recipe.output.display()
    );
    Ok(())
}

/// Returns the list of the Debian packages in images that were made with `assets`, one a line: name, version, architecture, SHA-256 of
/// the package.
///
/// # Errors
/// Returns an error if no image was made with `assets`.
pub fn packages(assets: &Path) -> Result<String> {
    let mut lines = root::packages(&root::tarball(assets, &ROOT)?)?;
    lines += &boot::packages(assets)?;
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    Ok(lines.iter().map(|line| format!("{line}\n")).collect())
}

/// Packs the base with the layer over it. All files belong to root, but for those to which Debian gives another owner.
fn pack_root(work: &Path, base: &Path, layer: &Path, squashfs: &Path) -> Result<()> {
    let mut command = Command::new("fakeroot");
    command
        .args(["sh", "-c", include_str!("pack_root.sh"), "sh"])
        .arg(work)
        .arg(base)
        .arg(layer)
        .arg(squashfs)
        .env("SOURCE_DATE_EPOCH", date())
        .env("PATH", path_with_sbin());
    run(&mut command).context("the root file system could not be packed")?;
    let file = OpenOptions::new().write(true).open(squashfs)?;
    Ok(file.set_len(file.metadata()?.len().next_multiple_of(MIB))?)
}

/// Makes the partition that is written to: a folder for the program, and room for the board's own ssh key.
fn write_data(data: &Path, mib: u64) -> Result<()> {
    File::create(data)?.set_len(mib * MIB)?;
    let with_date = |program: &str| {
        let mut command = Command::new(program);
        command.env("E2FSPROGS_FAKE_TIME", date()).env("PATH", path_with_sbin());
        command
    };
    let mut format = with_date("mke2fs");
    format.args(["-q", "-t", "ext4", "-L", "journal", "-U", DATA_UUID, "-F", "-E"]);
    run(format.arg(format!("root_owner=0:0,hash_seed={DATA_UUID}")).arg(data))?;
    run(with_date("debugfs").args(["-w", "-R", "mkdir /edge-runtime"]).arg(data))?;
    Ok(())
}

/// The date of all files in an image, in seconds since 1970.
fn date() -> String {
    cargo::source_date().unwrap_or_default().to_string()
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    run(Command::new("cp").args(["-a", "--no-preserve=ownership"]).arg(from.join(".")).arg(to))?;
    Ok(())
}

/// Returns the path with the folders of administrators' tools, which not every user has on it.
fn path_with_sbin() -> std::ffi::OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}
