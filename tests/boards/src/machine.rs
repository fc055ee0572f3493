//! Boards that can be emulated.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use xtask::guest::{Archive, EMULATOR, INIT, System};

use crate::guest::Guest;
use crate::scripts::{SERIAL_SHELL, SERIAL_SHELL_SERVICE};

/// Kernel modules of every guest, for disks and file systems.
const MODULES: [&str; 6] = ["squashfs", "overlay", "ext4", "crc32c_generic", "loop", "vfat"];
/// Kernel modules for QEMU's generic machine, which has PCI.
const VIRT_MODULES: [&str; 3] = ["virtio_pci", "virtio_blk", "virtio_net"];
/// Kernel modules for the card and the temperature of a Raspberry Pi 3.
const PI_MODULES: [&str; 2] = ["bcm2835", "bcm2835_thermal"];

/// A kind of board.
#[derive(Clone, Copy, PartialEq)]
pub enum Board {
    /// QEMU's generic machine with this processor.
    Virt(&'static str),
    /// A Raspberry Pi 3B with its own device tree.
    Pi3,
}

impl Board {
    /// Returns the name in the table of results.
    pub fn name(self) -> &'static str {
        match self {
            Board::Virt(processor) => processor,
            Board::Pi3 => "raspi3b",
        }
    }
}

/// The first process of a guest.
#[derive(Clone, Copy, PartialEq)]
pub enum Init {
    /// The shell on the serial line.
    Shell,
    /// systemd, which starts that shell.
    Systemd,
}

/// A board before it is switched on.
pub struct Machine<'a> {
    /// The kernel and its modules.
    pub system: &'a System,
    /// What is emulated.
    pub board: Board,
    /// The first process.
    pub init: Init,
    /// The image of the root file system.
    pub root: &'a Path,
    /// Files for `/payload`.
    pub payload: &'a Archive,
    /// Further kernel modules.
    pub modules: &'a [&'a str],
    /// Further arguments of the emulator.
    pub arguments: Vec<String>,
    /// The folder for the guest's initial file system, card and logs.
    pub work: PathBuf,
}

impl Machine<'_> {
    /// Switches the board on and waits for its shell.
    ///
    /// # Errors
    /// Returns an error if the board does not come up in time.
    pub fn boot(&self) -> Result<Guest> {
        fs::create_dir_all(&self.work)?;
        let initrd = self.work.join(format!("{}.cpio", self.board.name()));
        fs::write(&initrd, self.initial_files()?.finish())?;
        let mut emulator = Command::new(EMULATOR);
        let mut kernel_line = String::from("quiet loglevel=1 panic=-1 net.ifnames=0 systemd.getty_auto=no ");
        match self.board {
            Board::Virt(processor) => {
                emulator.args(["-M", "virt", "-cpu", processor, "-smp", "1", "-m", "1024"]);
                emulator
                    .arg("-drive")
                    .arg(format!("if=none,id=root,file={},format=raw,readonly=on", self.root.display()));
                emulator.args(["-device", "virtio-blk-pci,drive=root"]);
                kernel_line += "console=ttyAMA0 guest.root=/dev/vda";
            }
            Board::Pi3 => {
                emulator.args(["-M", "raspi3b", "-m", "1024"]);
                emulator.arg("-dtb").arg(self.system.device_tree("bcm2837-rpi-3-b.dtb")?);
                let card = self.card()?;
                emulator.arg("-drive").arg(format!("if=sd,file={},format=raw", card.display()));
                // The device tree gives the first serial line to Bluetooth; the second is the console.
                emulator.args(["-serial", "null"]);
                kernel_line += "console=ttyS1 guest.root=/dev/mmcblk0";
            }
        }
        if !self.arguments.iter().any(|argument| argument == "-netdev") {
            emulator.args(["-net", "none"]);
        }
        emulator.args(&self.arguments);
        emulator.arg("-kernel").arg(self.system.kernel()?).arg("-initrd").arg(&initrd).args(["-append", &kernel_line]);
        Guest::start(emulator, &self.work, self.board.name())
    }

    /// Makes a card with the root file system. The size of an emulated card must be a power of two.
    fn card(&self) -> Result<PathBuf> {
        let card = self.work.join(format!("{}.card", self.board.name()));
        fs::copy(self.root, &card)?;
        let file = fs::OpenOptions::new().write(true).open(&card)?;
        file.set_len(file.metadata()?.len().next_power_of_two())?;
        Ok(card)
    }

    /// Returns the initial file system: the payload, a shell, kernel modules and the first process.
    fn initial_files(&self) -> Result<Archive> {
        let mut archive = self.payload.clone();
        archive.copy("bin/busybox", &self.system.shell())?;
        archive.file("init", INIT, true);
        archive.file("payload/shell", SERIAL_SHELL, true);
        archive.file("payload/console.service", SERIAL_SHELL_SERVICE, false);
        let init = if self.init == Init::Systemd { "systemd" } else { "shell" };
        archive.file("payload/first", init.as_bytes(), false);
        let board: &[&str] = if self.board == Board::Pi3 { &PI_MODULES } else { &VIRT_MODULES };
        let names: Vec<&str> = MODULES.iter().chain(board).chain(self.modules).copied().collect();
        archive.modules(&self.system.modules(&names)?)?;
        Ok(archive)
    }
}
