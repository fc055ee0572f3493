//! Heat and a full disk, as far as an emulator can fake them: a sensor's file that is written, and a small disk that is filled.

use std::fs::{self, File};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::{EVENTS, Fault, Figures, LIMIT, Lab, board_file, frames, succeed};
use crate::guest::console::Board;

const BOARD: Board = Board::Virt("cortex-a72");
/// Bytes of the disk that is filled.
const DISK: u64 = 8 << 20;
/// Sensors are read once a second; a step is recorded by then, on a slow board.
const STEP: Duration = Duration::from_secs(6);

pub fn run(lab: &Lab) -> Result<Vec<Figures>> {
    let work = lab.folder.join("limits");
    fs::create_dir_all(&work)?;
    let mut payload = lab.payload()?;
    payload.copy("payload/frames.grey", &frames::grey(&work, 1)?)?;
    payload.file("payload/bin/endless", b"#!/bin/sh\nwhile cat /payload/frames.grey; do :; done\n", true);
    let zones = if lab.has(Fault::Sensor) { "/tmp/elsewhere/temp" } else { "/tmp/zone/temp" };
    let source = "command:\"/payload/bin/endless\"";
    payload.file("payload/board.toml", board_file(zones, source, "").as_bytes(), false);
    let disk = work.join("disk.img");
    let _ = fs::remove_file(&disk);
    File::create(&disk)?.set_len(DISK)?;
    succeed(Command::new("mke2fs").args(["-q", "-t", "ext4", "-m", "0", "-F"]).arg(&disk))?;
    let mut machine = lab.machine(BOARD, "limits", &payload);
    machine.arguments = vec![
        "-drive".into(),
        format!("if=none,id=data,file={},format=raw", disk.display()),
        "-device".into(),
        "virtio-blk-pci,drive=data".into(),
    ];
    let mut guest = machine.boot()?;
    guest.run("mkdir -p /tmp/zone /data && mount /dev/vdb /data && echo 50000 >/tmp/zone/temp", LIMIT)?;
    guest.run(
        "(edge-runtime run --board /payload/board.toml --frame-format grey --frame-size 640x480 --commit-every 1 \
         --records-per-second 100 --journal /data/j.sqlite >/dev/null 2>/tmp/said &); \
         until [ -s /data/j.sqlite ]; do sleep 0.2; done",
        LIMIT,
    )?;
    sleep(STEP);
    let mut seen = Vec::new();
    for temperature in [75_000, 85_000, 50_000] {
        guest.run(&format!("echo {temperature} >/tmp/zone/new && mv /tmp/zone/new /tmp/zone/temp"), LIMIT)?;
        sleep(STEP);
        seen.push(temperature);
    }
    let events = guest.run(&format!("{EVENTS} /data/j.sqlite"), LIMIT)?;
    let count =
        |text: &str, name: &str| text.lines().filter(|line| line.contains(&format!("\"event\":\"{name}\""))).count();
    ensure!(count(&events, "throttled") >= 2, "heat of 75 and of 85 degrees was not recorded as two steps: {events}");
    ensure!(count(&events, "unthrottled") >= 1, "cooling down was not recorded: {events}");

    guest.run("dd if=/dev/zero of=/data/filler bs=4096 2>/dev/null; sync; true", LIMIT)?;
    sleep(STEP);
    guest.run("kill -0 $(pidof edge-runtime)", LIMIT)?;
    guest.run("rm /data/filler && sync", LIMIT)?;
    let mut events = String::new();
    for _ in 0..20 {
        sleep(Duration::from_secs(1));
        events = guest.run(&format!("{EVENTS} /data/j.sqlite"), LIMIT)?;
        if count(&events, "writing_recovered") > 0 {
            break;
        }
    }
    ensure!(
        count(&events, "writing_recovered") >= 1 && events.contains("disk_full"),
        "the full disk was not recorded: {events}"
    );
    let after = guest.run(
        "sleep 3; \
         kill -TERM $(pidof edge-runtime); \
         sleep 3; \
         edge-runtime log verify --journal /data/j.sqlite",
        LIMIT,
    )?;
    let text = format!(
        "75, 85 and 50 degrees: {} steps down, {} back; full disk: went on, recorded it, recovered; journal whole after it ({})",
        count(&events, "throttled"),
        count(&events, "unthrottled"),
        after.lines().last().unwrap_or_default()
    );
    Ok(vec![Figures { board: BOARD.name(), text }])
}
