//! The appliance image boots on an emulated Raspberry Pi 3B, by its kernel and device tree, to the first record on its data partition.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Fault, Figures, LIMIT, Lab, frames, succeed};
use crate::guest::console::{Board, SERVICE, SHELL};
use crate::guest::{EMULATOR, Guest};
use crate::{cargo, image};

const BOARD: Board = Board::Pi3;
/// The number of the journal's first record.
const FIRST_NUMBER: &str = "edge-runtime log export --format csv --journal /var/lib/edge-runtime/journal.sqlite 2>&1 | \
                            sed -n 2p | cut -d, -f1";
/// From the shell on to the first record, on a board that is emulated.
const FIRST_RECORD: Duration = Duration::from_secs(180);

pub fn run(lab: &Lab) -> Result<Vec<Figures>> {
    let work = lab.folder.join("appliance");
    let files = work.join("files");
    let _ = fs::remove_dir_all(&files);
    fs::create_dir_all(files.join("payload"))?;
    // The emulated Pi has no camera: a program gives frames. And a shell answers on its serial line.
    let frames = frames::grey(&work, 1)?;
    fs::copy(frames, files.join("payload/frames.grey"))?;
    let put = |name: &str, content: &[u8], mode: u32| -> Result<()> {
        fs::write(files.join("payload").join(name), content)?;
        Ok(fs::set_permissions(files.join("payload").join(name), fs::Permissions::from_mode(mode))?)
    };
    put("endless", b"#!/bin/sh\nwhile cat /payload/frames.grey; do :; done\n", 0o755)?;
    put("shell", SHELL, 0o755)?;
    let units = files.join("etc/systemd/system");
    fs::create_dir_all(units.join("multi-user.target.wants"))?;
    fs::write(units.join("console.service"), SERVICE)?;
    symlink("../console.service", units.join("multi-user.target.wants/console.service"))?;
    fs::create_dir_all(files.join("etc/edge-runtime"))?;
    fs::write(
        files.join("etc/edge-runtime/environment"),
        "OPTIONS=--frame-format grey --frame-size 640x480 --commit-every 1\n",
    )?;
    let text = fs::read_to_string(cargo::workspace_root().join("boards/raspberry-pi-3b.toml"))?;
    let board = work.join("board.toml");
    fs::write(&board, text.replace("source = \"v4l2:/dev/video0\"", "source = 'command:\"/payload/endless\"'"))?;
    let card = work.join("sd.img");
    image::make(&image::Recipe {
        program: &lab.program,
        board: &board,
        bundle: &lab.bundle,
        files: Some(&files),
        data_mib: 64,
        output: &card,
    })?;
    let bytes = fs::metadata(&card)?.len();
    // Emulated cards have sizes of powers of two.
    fs::OpenOptions::new().write(true).open(&card)?.set_len(bytes.next_power_of_two())?;
    if lab.has(Fault::Card) {
        let partition = format!("{}@@{}", card.display(), image::FIRST);
        succeed(Command::new("mdel").args(["-i", &partition, "::initrd.img"]))?;
    }
    // What the firmware would load: what config.txt names, from the card.
    let config = String::from_utf8(from_card(&work, &card, "config.txt")?)?;
    let named = |key: &str| -> Result<String> {
        let line = config.lines().find_map(|line| line.strip_prefix(key));
        let name = line.and_then(|rest| rest.split_whitespace().next()).context("config.txt lacks a line")?;
        from_card(&work, &card, name)?;
        Ok(name.to_owned())
    };
    let (kernel, initrd, tree) = (named("kernel=")?, named("initramfs ")?, named("device_tree=")?);
    let kernel_line = String::from_utf8(from_card(&work, &card, "cmdline.txt")?)?;

    let start = || -> Result<Guest> {
        let mut emulator = Command::new(EMULATOR);
        emulator.args(["-M", "raspi3b", "-m", "1024", "-net", "none", "-serial", "null"]);
        emulator.arg("-dtb").arg(work.join(&tree)).arg("-kernel").arg(work.join(&kernel));
        emulator.arg("-initrd").arg(work.join(&initrd)).args(["-append", kernel_line.trim()]);
        emulator.arg("-drive").arg(format!("if=sd,file={},format=raw", card.display()));
        Guest::start(emulator, &work, BOARD.name())
    };
    let begun = Instant::now();
    let mut guest = start()?;
    let first = first_record(&mut guest)?;
    let took = begun.elapsed();
    let root = guest.run(
        "findmnt -no FSTYPE /; \
         findmnt -no SOURCE,FSTYPE /var/lib/edge-runtime; \
         systemctl is-active edge-runtime",
        LIMIT,
    )?;
    ensure!(root.contains("overlay") && root.contains("p3 ext4") && root.contains("\nactive"), "it says {root}");
    // Without warning, and on again: the record is there.
    guest.cut()?;
    let mut guest = start()?;
    guest.run("edge-runtime log verify --journal /var/lib/edge-runtime/journal.sqlite", LIMIT)?;
    let again = guest.run(FIRST_NUMBER, LIMIT)?;
    ensure!(
        again.trim() == first,
        "the first record was {first} before the power was cut, and is {} after",
        again.trim()
    );
    let text = format!(
        "image of {} MiB: first record {:.0} s after power on; power cut, on again: journal whole, the record is there",
        bytes >> 20,
        took.as_secs_f64()
    );
    Ok(vec![Figures { board: BOARD.name(), text }])
}

/// A file of the card's boot partition, which is put into `work` too.
fn from_card(work: &Path, card: &Path, name: &str) -> Result<Vec<u8>> {
    let partition = format!("{}@@{}", card.display(), image::FIRST);
    let copy = work.join(name);
    let mut command = Command::new("mcopy");
    succeed(command.args(["-n", "-o", "-i", &partition, &format!("::{name}")]).arg(&copy))?;
    Ok(fs::read(copy)?)
}

/// The number of the first record, once there is one.
fn first_record(guest: &mut Guest) -> Result<String> {
    let begun = Instant::now();
    loop {
        let (_, said) = guest.attempt(FIRST_NUMBER, LIMIT)?;
        if said.trim().parse::<u64>().is_ok() {
            return Ok(said.trim().to_owned());
        }
        if begun.elapsed() > FIRST_RECORD {
            let why = guest
                .attempt("systemctl status edge-runtime --no-pager; journalctl -b --no-pager | tail -30", LIMIT)?;
            anyhow::bail!("no record: {}", why.1.replace('\n', "; "));
        }
        sleep(Duration::from_secs(2));
    }
}
