//! An appliance: an SD-card image that boots a board into `edge-runtime` and nothing else.
//!
//! The image has three partitions: Raspberry Pi's firmware with Debian's kernel (FAT), a read-only root file system
//! (squashfs, below an overlay in memory), and the journal (ext4). It is made without mounting anything.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::board_file::BoardFile;
use crate::error::bad_input;
use crate::guest::{self, Archive, System, root};
use crate::process::{is_installed, run};
use crate::{arm, cargo};

/// Debian packages of an appliance.
const PACKAGES: [&str; 7] =
    ["systemd", "systemd-sysv", "udev", "kmod", "iproute2", "systemd-timesyncd", "systemd-resolved"];
/// Modules that the kernel needs before it can mount the root file system. The card of a Pi 4 needs regulators.
const MODULES: [&str; 10] = [
    "squashfs",
    "overlay",
    "ext4",
    "crc32c_generic",
    "vfat",
    "bcm2835",
    "fixed",
    "gpio_regulator",
    "sdhci_iproc",
    "bcm2835_thermal",
];
/// Boards for which images can be made, with the names of their device trees.
const BOARDS: [(&str, &str); 2] =
    [("raspberry-pi-3b", "bcm2837-rpi-3-b.dtb"), ("raspberry-pi-4b", "bcm2711-rpi-4-b.dtb")];

const MIB: u64 = 1 << 20;
const SECTOR: u64 = 512;
/// Offset of the first partition in bytes.
pub const FIRST_PARTITION: u64 = 4 * MIB;
/// Size of the boot partition in bytes.
const BOOT: u64 = 160 * MIB;
/// Default size of the journal's partition in MiB.
pub const DATA_MIB: u64 = 512;

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

/// Makes an image.
///
/// # Errors
/// Returns an error if images cannot be made for the board, the bundle lacks its detector, or a tool fails.
pub fn make(recipe: &Recipe) -> Result<()> {
    let board = BoardFile::read(recipe.board)?;
    let known = BOARDS.into_iter().find(|(name, _)| *name == board.name);
    let names = BOARDS.map(|(name, _)| name).join(" and ");
    let (_, device_tree) =
        known.ok_or_else(|| bad_input(format!("images are made for {names} only, not for {}", board.name)))?;
    if !recipe.bundle.join("detector.onnx").exists() {
        return Err(bad_input(format!(
            "{} has no detector.onnx; add it with `host-trainer detector {}`",
            recipe.bundle.display(),
            recipe.bundle.display()
        )));
    }
    let assets = cargo::workspace_root().join(".assets/emulator");
    fs::create_dir_all(&assets)?;
    let system = System::open(&assets)?;
    let base = root::tarball(&assets, &PACKAGES)?;
    let firmware = firmware(&assets)?;
    let work = assets.join("image");
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work)?;

    let layer = work.join("layer");
    write_layer(&layer, recipe, &system)?;
    let squashfs = work.join("root.squashfs");
    pack_root(&work, &base, &layer, &squashfs)?;
    let boot = work.join("boot.vfat");
    boot_partition(&boot, &system, &firmware, device_tree)?;
    let data = work.join("data.ext4");
    File::create(&data)?.set_len(recipe.data_mib * MIB)?;
    run(Command::new("mke2fs").args(["-q", "-t", "ext4", "-L", "journal", "-F"]).arg(&data))?;

    let image = work.join("image");
    let parts = [(0x0c, &boot), (0x83, &squashfs), (0x83, &data)];
    write_card(&image, &parts)?;
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

/// Writes the files that go over Debian's root file system.
fn write_layer(layer: &Path, recipe: &Recipe, system: &System) -> Result<()> {
    let boards = cargo::workspace_root().join("boards");
    write_file(layer, "usr/bin/edge-runtime", &fs::read(recipe.program)?, 0o755)?;
    for entry in fs::read_dir(recipe.bundle)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        write_file(layer, &format!("usr/share/edge-runtime/bundle/{name}"), &fs::read(&path)?, 0o644)?;
    }
    write_file(layer, "etc/edge-runtime/board.toml", &fs::read(recipe.board)?, 0o644)?;
    write_file(
        layer,
        "usr/lib/systemd/system/edge-runtime.service",
        &fs::read(boards.join("edge-runtime.service"))?,
        0o644,
    )?;
    write_file(layer, "usr/lib/sysusers.d/edge-runtime.conf", &fs::read(boards.join("edge-runtime.sysusers"))?, 0o644)?;
    write_file(
        layer,
        "usr/lib/udev/rules.d/60-edge-runtime.rules",
        &fs::read(boards.join("edge-runtime.rules"))?,
        0o644,
    )?;
    write_file(layer, "etc/hostname", b"edge-runtime\n", 0o644)?;
    // Empty: systemd makes a new one at each boot, without taking that boot for the first, which asks questions.
    write_file(layer, "etc/machine-id", b"", 0o444)?;
    write_file(layer, "etc/modules-load.d/i2c.conf", b"i2c-dev\n", 0o644)?;
    symlink("/run/systemd/resolve/stub-resolv.conf", layer.join("etc/resolv.conf"))?;
    write_file(
        layer,
        "etc/fstab",
        b"LABEL=journal /var/lib/edge-runtime ext4 noatime,nodev,nosuid,noexec 0 2\n",
        0o644,
    )?;
    write_file(layer, "etc/systemd/network/80-wired.network", b"[Match]\nType=ether\n\n[Network]\nDHCP=yes\n", 0o644)?;
    write_file(
        layer,
        "usr/lib/systemd/system/edge-runtime.service.d/data.conf",
        b"[Unit]\nRequiresMountsFor=/var/lib/edge-runtime\n",
        0o644,
    )?;
    for (name, target) in [
        ("multi-user.target.wants/edge-runtime.service", "/usr/lib/systemd/system/edge-runtime.service"),
        ("multi-user.target.wants/systemd-networkd.service", "/usr/lib/systemd/system/systemd-networkd.service"),
        ("sysinit.target.wants/systemd-resolved.service", "/usr/lib/systemd/system/systemd-resolved.service"),
        ("sysinit.target.wants/systemd-timesyncd.service", "/usr/lib/systemd/system/systemd-timesyncd.service"),
    ] {
        let link = layer.join("etc/systemd/system").join(name);
        fs::create_dir_all(link.parent().context("a folder")?)?;
        symlink(target, link)?;
    }
    let modules = layer.join("usr/lib/modules");
    copy_tree(&system.module_folder(), &modules)?;
    for version in fs::read_dir(&modules)? {
        let name = version?.file_name();
        // depmod looks for lib/modules.
        let _ = symlink("usr/lib", layer.join("lib"));
        run(Command::new("depmod").arg("-b").arg(layer).arg(&name).env("PATH", path_with_sbin()))?;
    }
    let _ = fs::remove_file(layer.join("lib"));
    if let Some(files) = recipe.files {
        copy_tree(files, layer)?;
    }
    Ok(())
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
        .env("PATH", path_with_sbin());
    run(&mut command).context("the root file system could not be packed")?;
    let file = OpenOptions::new().write(true).open(squashfs)?;
    Ok(file.set_len(file.metadata()?.len().next_multiple_of(MIB))?)
}

/// Makes the boot partition: kernel, initial file system, device tree and firmware.
fn boot_partition(boot: &Path, system: &System, firmware: &Path, device_tree: &str) -> Result<()> {
    File::create(boot)?.set_len(BOOT)?;
    run(Command::new("mkfs.vfat").args(["-F", "32", "-n", "BOOT"]).arg(boot).env("PATH", path_with_sbin()))?;
    let work = boot.with_extension("files");
    fs::create_dir_all(&work)?;
    for entry in fs::read_dir(firmware)? {
        let path = entry?.path();
        fs::copy(&path, work.join(path.file_name().unwrap_or_default()))?;
    }
    fs::copy(system.kernel()?, work.join("kernel8.img"))?;
    fs::copy(system.device_tree(device_tree)?, work.join(device_tree))?;
    fs::write(work.join("initrd.img"), initial(system)?.finish())?;
    fs::write(
        work.join("config.txt"),
        format!(
            "arm_64bit=1\n\
             kernel=kernel8.img\n\
             initramfs initrd.img followkernel\n\
             device_tree={device_tree}\n\
             enable_uart=1\n"
        ),
    )?;
    fs::write(work.join("cmdline.txt"), format!("{KERNEL_LINE}\n"))?;
    let mut copy = Command::new("mcopy");
    copy.arg("-i").arg(boot);
    let mut files = fs::read_dir(&work)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    run(copy.args(files).arg("::"))?;
    Ok(fs::remove_dir_all(work)?)
}

/// The kernel's command line.
const KERNEL_LINE: &str = "console=ttyS1,115200 quiet panic=10 systemd.getty_auto=no guest.root=/dev/mmcblk?p2";

/// Returns the initial file system of an appliance, which loads modules and mounts the root file system.
fn initial(system: &System) -> Result<Archive> {
    let mut archive = Archive::default();
    archive.copy("bin/busybox", &system.shell())?;
    archive.file("init", guest::INIT, true);
    archive.modules(&system.modules(&MODULES)?)?;
    Ok(archive)
}

/// Returns the folder of Raspberry Pi's firmware, taken once from Debian's package of it.
fn firmware(assets: &Path) -> Result<PathBuf> {
    let made = assets.join("firmware");
    if !made.exists() {
        let (tar, making) = (assets.join("firmware.tar"), assets.join("firmware.making"));
        let _ = fs::remove_dir_all(&making);
        fs::create_dir_all(&making)?;
        let mut command = Command::new("mmdebstrap");
        command.args(["--quiet", "--architectures=arm64", "--variant=extract", "--components=main,non-free-firmware"]);
        run(command.args(["--format=tar", "--include=raspi-firmware", root::RELEASE]).arg(&tar))
            .context("raspi-firmware could not be fetched")?;
        // As a tarball: the files of a folder would belong to other users, unless this runs as root.
        run(Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(&making).arg("./usr/lib/raspi-firmware"))?;
        fs::rename(making.join("usr/lib/raspi-firmware"), &made)?;
        fs::remove_dir_all(making)?;
        fs::remove_file(tar)?;
    }
    Ok(made)
}

/// Writes partitions one after the other, each at a multiple of 4 MiB, behind a partition table that the firmware reads (MBR).
fn write_card(image: &Path, parts: &[(u8, &PathBuf)]) -> Result<()> {
    let mut file = File::create(image)?;
    let mut table = [0_u8; SECTOR as usize];
    let mut at = FIRST_PARTITION;
    for (number, (kind, part)) in parts.iter().enumerate() {
        let bytes = fs::metadata(part)?.len();
        ensure!(bytes % SECTOR == 0, "{} does not end at a sector's end", part.display());
        let entry = &mut table[446 + 16 * number..][..16];
        // Addresses by cylinder and head are obsolete; these values point the reader to the sectors.
        entry[1..4].copy_from_slice(&[0xfe, 0xff, 0xff]);
        entry[4] = *kind;
        entry[5..8].copy_from_slice(&[0xfe, 0xff, 0xff]);
        entry[8..12].copy_from_slice(&u32::try_from(at / SECTOR)?.to_le_bytes());
        entry[12..16].copy_from_slice(&u32::try_from(bytes / SECTOR)?.to_le_bytes());
        file.seek(SeekFrom::Start(at))?;
        std::io::copy(&mut File::open(part)?, &mut file)?;
        at = (at + bytes).next_multiple_of(FIRST_PARTITION);
    }
    table[510..].copy_from_slice(&[0x55, 0xaa]);
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&table)?;
    Ok(file.set_len(at)?)
}

fn write_file(layer: &Path, path: &str, content: &[u8], mode: u32) -> Result<()> {
    let file = layer.join(path);
    fs::create_dir_all(file.parent().context("a folder")?)?;
    fs::write(&file, content)?;
    Ok(fs::set_permissions(&file, fs::Permissions::from_mode(mode))?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_lie_where_the_table_says() {
        let folder = tempfile::tempdir().unwrap();
        let parts = [("a", 3 * MIB), ("b", 5 * MIB)].map(|(name, bytes)| {
            let path = folder.path().join(name);
            fs::write(&path, vec![name.as_bytes()[0]; bytes as usize]).unwrap();
            path
        });
        let image = folder.path().join("image");
        write_card(&image, &[(0x0c, &parts[0]), (0x83, &parts[1])]).unwrap();
        let bytes = fs::read(image).unwrap();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(bytes[510..512], [0x55, 0xaa]);
        for (number, (kind, letter, length)) in [(0x0c, b'a', 3 * MIB), (0x83, b'b', 5 * MIB)].into_iter().enumerate() {
            let entry = 446 + 16 * number;
            let (start, size) = (word(entry + 8) * 512, word(entry + 12) * 512);
            assert_eq!((bytes[entry + 4], size as u64), (kind, length));
            assert!(bytes[start..start + size].iter().all(|byte| *byte == letter));
            assert_eq!(bytes[start - 1], 0);
        }
        assert_eq!(bytes.len() as u64 % FIRST_PARTITION, 0);
    }
}
