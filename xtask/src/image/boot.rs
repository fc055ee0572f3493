//! The partition that a board boots from: firmware, kernel, initial file system and device trees.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::{MIB, date, path_with_sbin};
use crate::cargo;
use crate::guest::{self, Archive, System, pinned, root};
use crate::process::run;

/// Size of the partition in bytes.
const SIZE: u64 = 160 * MIB;
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
/// The kernel's command line.
const KERNEL_LINE: &str = "console=ttyS1,115200 quiet panic=10 systemd.getty_auto=no guest.root=/dev/mmcblk?p2";
/// The list of packages beside the firmware's files.
const PACKAGES: &str = "packages.txt";

/// Makes the partition. The firmware takes the device tree of the board that it finds itself on; the first is that of most of them.
///
/// # Errors
/// Returns an error if a file is missing or a tool fails.
pub fn write(boot: &Path, system: &System, firmware: &Path, device_trees: &[&str]) -> Result<()> {
    File::create(boot)?.set_len(SIZE)?;
    let mut format = Command::new("mkfs.vfat");
    format.args(["--invariant", "-i", "edbe0001", "-F", "32", "-n", "BOOT"]).arg(boot);
    run(format.env("PATH", path_with_sbin()))?;
    let work = boot.with_extension("files");
    fs::create_dir_all(&work)?;
    for entry in fs::read_dir(firmware)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if name != PACKAGES {
            fs::copy(&path, work.join(name))?;
        }
    }
    fs::copy(system.kernel()?, work.join("kernel8.img"))?;
    for name in device_trees {
        fs::copy(system.device_tree(name)?, work.join(name))?;
    }
    fs::write(work.join("initrd.img"), initial(system)?.finish())?;
    fs::write(work.join("config.txt"), config(device_trees))?;
    fs::write(work.join("cmdline.txt"), format!("{KERNEL_LINE}\n"))?;
    let explanation = fs::read_to_string(cargo::workspace_root().join("boards/card/README.txt"))?;
    // For every editor that a card may be opened with.
    fs::write(work.join("README.txt"), explanation.replace('\n', "\r\n"))?;
    let mut files = fs::read_dir(&work)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    let date = UNIX_EPOCH + Duration::from_secs(date().parse()?);
    for file in &files {
        File::options().append(true).open(file)?.set_modified(date)?;
    }
    let mut copy = Command::new("mcopy");
    copy.arg("-m").arg("-i").arg(boot).args(files).arg("::").env("TZ", "UTC").env("SOURCE_DATE_EPOCH", super::date());
    run(&mut copy)?;
    Ok(fs::remove_dir_all(work)?)
}

/// Returns the firmware's settings.
fn config(device_trees: &[&str]) -> String {
    let mut text = format!(
        "arm_64bit=1\n\
         kernel=kernel8.img\n\
         initramfs initrd.img followkernel\n\
         device_tree={}\n\
         enable_uart=1\n",
        device_trees[0]
    );
    if let Some(plus) = device_trees.iter().find(|name| name.contains("3-b-plus")) {
        text += &format!("[pi3+]\ndevice_tree={plus}\n[all]\n");
    }
    text
}

/// Returns the initial file system of an appliance, which loads modules and mounts the root file system.
fn initial(system: &System) -> Result<Archive> {
    let mut archive = Archive::default();
    archive.copy("bin/busybox", &system.shell())?;
    archive.file("init", guest::INIT, true);
    archive.modules(&system.modules(&MODULES)?)?;
    Ok(archive)
}

/// Returns the folder of Raspberry Pi's firmware, taken once from Debian's package of it.
///
/// # Errors
/// Returns an error if the package cannot be fetched.
pub fn firmware(assets: &Path) -> Result<std::path::PathBuf> {
    let made = assets.join("firmware");
    if !made.exists() {
        let (tar, making) = (assets.join("firmware.tar"), assets.join("firmware.making"));
        let _ = fs::remove_dir_all(&making);
        fs::create_dir_all(&making)?;
        let mut command = Command::new("mmdebstrap");
        command.args(["--quiet", "--architectures=arm64", "--variant=extract", "--components=main,non-free-firmware"]);
        // What is only extracted is never customized.
        command.arg(root::list_packages("extract", "raspi-firmware"));
        run(command.args(["--format=tar", "--include=raspi-firmware", root::RELEASE]).arg(&tar))
            .context("raspi-firmware could not be fetched")?;
        // As a tarball: the files of a folder would belong to other users, unless this runs as root.
        let paths = ["./usr/lib/raspi-firmware", "./usr/share/doc/raspi-firmware/copyright"];
        run(Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(&making).args(paths))?;
        let from = making.join("usr/lib/raspi-firmware");
        fs::rename(making.join("usr/share/doc/raspi-firmware/copyright"), from.join("LICENCE.firmware.txt"))?;
        let packages = root::packages(&tar)?;
        pinned::check(&packages)?;
        fs::write(from.join(PACKAGES), packages)?;
        fs::rename(from, &made)?;
        fs::remove_dir_all(making)?;
        fs::remove_file(tar)?;
    }
    Ok(made)
}

/// Returns the lines for the packages of the firmware, the kernel and the initial file system.
///
/// # Errors
/// Returns an error if they have not been fetched.
pub fn packages(assets: &Path) -> Result<String> {
    let firmware = firmware(assets)?.join(PACKAGES);
    let lines = fs::read_to_string(&firmware).with_context(|| {
        let folder = assets.join("firmware");
        format!("{} could not be read; delete {}, which an older version made", firmware.display(), folder.display())
    })?;
    Ok(lines + &System::open(assets)?.packages()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_firmware_is_told_which_device_tree_belongs_to_which_board() {
        let plain = config(&["bcm2711-rpi-4-b.dtb"]);
        assert!(plain.contains("device_tree=bcm2711-rpi-4-b.dtb\n") && !plain.contains('['), "{plain}");
        let plus = config(&["bcm2837-rpi-3-b.dtb", "bcm2837-rpi-3-b-plus.dtb"]);
        assert!(plus.ends_with("[pi3+]\ndevice_tree=bcm2837-rpi-3-b-plus.dtb\n[all]\n"), "{plus}");
    }
}
