//! Heat and a full disk, as far as an emulator can simulate them: a sensor's file that is written, and a small disk that is filled.

use std::fs::{self, File};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use xtask::process;

use crate::board_file::BoardFile;
use crate::fault::Fault;
use crate::frames;
use crate::guest::Guest;
use crate::lab::Lab;
use crate::machine::Board;
use crate::output::{self, EXPORT_EVENTS, Event};
use crate::suite::Figures;

const BOARD: Board = Board::Virt("cortex-a72");
/// Size of the disk that is filled in bytes.
const DISK: u64 = 8 << 20;
/// How long a slow board takes at most to record a change. Sensors are read once per second.
const CHANGE: Duration = Duration::from_secs(6);

/// Runs the suite.
pub fn run(lab: &Lab) -> Result<Vec<Figures>> {
    let work = lab.folder.join("limits");
    fs::create_dir_all(&work)?;
    let mut payload = lab.payload()?;
    frames::add_endless_camera(&mut payload, &work)?;
    let mut board = BoardFile::generic(frames::ENDLESS_CAMERA)?;
    board.set("thermal", "zones", if lab.has(Fault::Sensor) { "/tmp/elsewhere/temp" } else { "/tmp/zone/temp" })?;
    payload.file("payload/board.toml", board.to_toml()?.as_bytes(), false);
    let disk = work.join("disk.img");
    let _ = fs::remove_file(&disk);
    File::create(&disk)?.set_len(DISK)?;
    process::run(Command::new("mke2fs").args(["-q", "-t", "ext4", "-m", "0", "-F"]).arg(&disk))?;
    let mut machine = lab.machine(BOARD, "limits", &payload);
    machine.arguments = vec![
        "-drive".into(),
        format!("if=none,id=data,file={},format=raw", disk.display()),
        "-device".into(),
        "virtio-blk-pci,drive=data".into(),
    ];
    let mut guest = machine.boot()?;
    guest.run("mkdir -p /tmp/zone /data && mount /dev/vdb /data && echo 50000 >/tmp/zone/temp")?;
    guest.run("record --board /payload/board.toml --records-per-second 100")?;
    sleep(CHANGE);
    for millidegrees in [75_000, 85_000, 50_000] {
        guest.run(&format!("echo {millidegrees} >/tmp/zone/new && mv /tmp/zone/new /tmp/zone/temp"))?;
        sleep(CHANGE);
    }
    let heat = events(&mut guest)?;
    let (down, up) = (count(&heat, "throttled"), count(&heat, "unthrottled"));
    ensure!(down >= 2, "75 and 85 degrees Celsius were not recorded as two steps: {heat:?}");
    ensure!(up >= 1, "cooling down was not recorded: {heat:?}");

    guest.run("fill-disk")?;
    sleep(CHANGE);
    guest.run("kill -0 $(pidof edge-runtime)")?;
    guest.run("rm /data/filler && sync")?;
    let mut full = Vec::new();
    for _ in 0..20 {
        sleep(Duration::from_secs(1));
        full = events(&mut guest)?;
        if count(&full, "writing_recovered") > 0 {
            break;
        }
    }
    let said_why = full.iter().any(|event| event.detail("cause").is_some_and(|cause| cause == "disk_full"));
    ensure!(count(&full, "writing_recovered") >= 1 && said_why, "the full disk was not recorded: {full:?}");
    sleep(Duration::from_secs(3));
    let verified = guest.run("stop-and-verify /data/j.sqlite")?;
    let text = format!(
        "75, 85 and 50 degrees Celsius: {down} steps down, {up} up; full disk: kept running, recorded it, recovered; the journal \
         is intact ({})",
        verified.lines().last().unwrap_or_default()
    );
    Ok(vec![Figures { board: BOARD.name(), text }])
}

/// Returns the journal's events.
fn events(guest: &mut Guest) -> Result<Vec<Event>> {
    output::json_lines(&guest.run(&format!("{EXPORT_EVENTS} /data/j.sqlite"))?)
}

fn count(events: &[Event], name: &str) -> usize {
    events.iter().filter(|event| event.event == name).count()
}
