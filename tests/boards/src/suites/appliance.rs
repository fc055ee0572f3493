//! The appliance image boots on an emulated Raspberry Pi 3B, with the image's kernel and device tree, and records faces on its
//! data partition.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use xtask::guest::EMULATOR;
use xtask::{image, process};

use crate::board_file::BoardFile;
use crate::fault::Fault;
use crate::files::empty_folder;
use crate::frames;
use crate::guest::Guest;
use crate::lab::Lab;
use crate::machine::Board;
use crate::output::{self, EXPORT_RECORDS, RecordStamp};
use crate::scripts::{self, SERIAL_SHELL, SERIAL_SHELL_SERVICE};
use crate::suite::Figures;

const BOARD: Board = Board::Pi3;
const JOURNAL: &str = "/var/lib/edge-runtime/journal.sqlite";
/// How long the board may take from its shell to the first record.
const FIRST_RECORD: Duration = Duration::from_secs(180);

/// Runs the suite.
pub fn run(lab: &Lab) -> Result<Vec<Figures>> {
    let work = lab.folder.join("appliance");
    let files = work.join("files");
    write_extra_files(&work, &files)?;
    let mut board_file = BoardFile::shipped("raspberry-pi-3b")?;
    board_file.set("camera", "source", frames::ENDLESS_CAMERA)?;
    let board = work.join("board.toml");
    board_file.write(&board)?;
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
    add_files_of_owner(&work, &card)?;
    // The size of an emulated card must be a power of two.
    fs::OpenOptions::new().write(true).open(&card)?.set_len(bytes.next_power_of_two())?;
    if lab.has(Fault::Card) {
        let partition = format!("{}@@{}", card.display(), image::FIRST_PARTITION);
        process::run(Command::new("mdel").args(["-i", &partition, "::initrd.img"]))?;
    }
    // The emulator starts what the firmware would load: the files of the card that config.txt names.
    let config = String::from_utf8(read_from_card(&work, &card, "config.txt")?)?;
    let named = |key: &str| -> Result<String> {
        let line = config.lines().find_map(|line| line.strip_prefix(key));
        let name = line.and_then(|rest| rest.split_whitespace().next());
        let name = name.with_context(|| format!("config.txt has no line {key}"))?;
        read_from_card(&work, &card, name)?;
        Ok(name.to_owned())
    };
    let (kernel, initrd, tree) = (named("kernel=")?, named("initramfs ")?, named("device_tree=")?);
    let kernel_line = String::from_utf8(read_from_card(&work, &card, "cmdline.txt")?)?;

    let start = || -> Result<Guest> {
        let mut emulator = Command::new(EMULATOR);
        emulator.args(["-M", "raspi3b", "-m", "1024", "-net", "none", "-serial", "null"]);
        emulator.arg("-dtb").arg(work.join(&tree)).arg("-kernel").arg(work.join(&kernel));
        emulator.arg("-initrd").arg(work.join(&initrd)).args(["-append", kernel_line.trim()]);
        emulator.arg("-drive").arg(format!("if=sd,file={},format=raw", card.display()));
        let mut guest = Guest::start(emulator, &work, BOARD.name())?;
        // Or the kernel talks between the lines of an answer: the emulated Pi has no I2C device to reply.
        guest.run("dmesg --console-level 1")?;
        Ok(guest)
    };
    let begun = Instant::now();
    let mut guest = start()?;
    let first = await_first_record(&mut guest)?;
    let elapsed = begun.elapsed();
    let root = guest.run("findmnt -no FSTYPE /")?;
    ensure!(root.trim() == "overlay", "the root file system is {}", root.trim());
    let data = guest.run("findmnt -no SOURCE,FSTYPE /var/lib/edge-runtime")?;
    ensure!(data.contains("p3[/edge-runtime] ext4"), "the journal is on {}", data.trim());
    check_files_of_card(&mut guest)?;
    guest.run("systemctl is-active edge-runtime")?;
    // The power is cut without warning; the record is there after the next boot.
    guest.cut()?;
    let mut guest = start()?;
    guest.run(&format!("edge-runtime log verify --journal {JOURNAL}"))?;
    let again = first_record(&mut guest)?;
    ensure!(again == Some(first), "the first record was {first} before the power cut, and is {again:?} after it");
    let text = format!(
        "image of {} MiB: first record {:.0} s after power on; name, page and ssh by files on the card; after a power cut the journal is intact and has that record",
        bytes >> 20,
        elapsed.as_secs_f64()
    );
    Ok(vec![Figures { board: BOARD.name(), text }])
}

/// Puts files on the card's boot partition, as its owner would.
fn add_files_of_owner(work: &Path, card: &Path) -> Result<()> {
    let key = work.join("key");
    for old in [&key, &key.with_extension("pub")] {
        let _ = fs::remove_file(old);
    }
    process::run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key))?;
    fs::write(work.join("hostname"), "hall\r\n")?;
    fs::copy(key.with_extension("pub"), work.join("authorized_keys"))?;
    fs::write(work.join("preview-token"), "too short")?;
    // The guest logs in to itself with it.
    let files = ["hostname", "authorized_keys", "preview-token", "key"].map(|name| work.join(name));
    let partition = format!("{}@@{}", card.display(), image::FIRST_PARTITION);
    process::run(Command::new("mcopy").args(["-o", "-i", &partition]).args(files).arg("::"))?;
    Ok(())
}

/// Checks what the board made of these files.
fn check_files_of_card(guest: &mut Guest) -> Result<()> {
    let name = guest.run("uname -n")?;
    ensure!(name.trim() == "hall", "the board's name is {}", name.trim());
    guest.run("ip link set lo up; cp /boot/firmware/key /tmp/key && chmod 600 /tmp/key")?;
    let login = "ssh -o StrictHostKeyChecking=no -o BatchMode=yes -i /tmp/key root@127.0.0.1 id -u";
    let user = guest.run(&format!("for i in 1 2 3 4 5 6 7 8 9; do {login} && break; sleep 5; done 2>/dev/null"))?;
    ensure!(user.trim() == "0", "ssh with the card's key said {}", user.trim());
    let page = "for i in 1 2 3 4 5 6 7 8 9; do busybox wget -qO- http://127.0.0.1/ && break; sleep 5; done";
    let page = guest.run(page)?;
    for text in ["<h1>hall</h1>", "preview-token: too short", "authorized_keys: ssh root@hall.local"] {
        ensure!(page.contains(text), "the page lacks {text:?}: {}", page.replace('\n', "; "));
    }
    Ok(())
}

/// Writes the files that the image gets in addition: frames for the camera that the emulated Pi lacks, and a shell on the
/// serial line.
fn write_extra_files(work: &Path, files: &Path) -> Result<()> {
    empty_folder(files)?;
    let write = |path: &str, content: &[u8], mode: u32| -> Result<()> {
        let path = files.join(path);
        fs::create_dir_all(path.parent().unwrap_or(files))?;
        fs::write(&path, content)?;
        Ok(fs::set_permissions(&path, fs::Permissions::from_mode(mode))?)
    };
    write("payload/frames.grey", &frames::grey(work)?, 0o644)?;
    write("payload/bin/endless", scripts::ENDLESS, 0o755)?;
    write("payload/shell", SERIAL_SHELL, 0o755)?;
    write("etc/systemd/system/console.service", SERIAL_SHELL_SERVICE, 0o644)?;
    write(
        "etc/edge-runtime/environment",
        b"OPTIONS=--frame-format grey --frame-size 640x480 --commit-every 1\n",
        0o644,
    )?;
    let wants = files.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants)?;
    Ok(symlink("../console.service", wants.join("console.service"))?)
}

/// Copies a file of the card's boot partition into `work`, and returns its content.
fn read_from_card(work: &Path, card: &Path, name: &str) -> Result<Vec<u8>> {
    let partition = format!("{}@@{}", card.display(), image::FIRST_PARTITION);
    let copy = work.join(name);
    let mut command = Command::new("mcopy");
    process::run(command.args(["-n", "-o", "-i", &partition, &format!("::{name}")]).arg(&copy))?;
    Ok(fs::read(copy)?)
}

/// Returns the id of the journal's first record, if there is one.
fn first_record(guest: &mut Guest) -> Result<Option<u64>> {
    let (_, csv) = guest.attempt(&format!("{EXPORT_RECORDS} {JOURNAL} 2>/dev/null | head -n 2"))?;
    Ok(output::csv_rows::<RecordStamp>(&csv)?.first().map(|record| record.id))
}

/// Waits for the journal's first record and returns its id.
fn await_first_record(guest: &mut Guest) -> Result<u64> {
    let begun = Instant::now();
    loop {
        if let Some(id) = first_record(guest)? {
            return Ok(id);
        }
        if begun.elapsed() > FIRST_RECORD {
            let (_, why) =
                guest.attempt("systemctl status edge-runtime --no-pager; journalctl -b --no-pager | tail -30")?;
            bail!("no record: {}", why.replace('\n', "; "));
        }
        sleep(Duration::from_secs(2));
    }
}
