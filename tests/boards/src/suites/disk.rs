//! A disk that is full, that may not be written, or that fails: recording goes on, and what was committed stays.
//!
//! The file system is filled; it is mounted read-only, and the program started on it; and the emulator answers every write with an
//! I/O error (`blkdebug`), as a dying card does. ext4 gives up then until it is repaired, as a board does at its next start.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use test_support::promise::{count, measured};
use xtask::process;

use crate::fault::Fault;
use crate::frames;
use crate::guest::Guest;
use crate::lab::Lab;
use crate::machine::Board;
use crate::output::{self, EXPORT_EVENTS, Event};
use crate::suite::Figures;

const BOARD: Board = Board::Virt("cortex-a72");
/// Size of the disk in bytes.
const DISK: u64 = 8 << 20;
/// How often each kind of failure happens if `--times` does not say.
const TIMES: u64 = 2;
/// How long it may take until a failure, or its end, is noticed.
const PATIENCE: Duration = Duration::from_secs(300);

/// A kind of failure.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Failure {
    Full,
    ReadOnly,
    Errors,
}

/// What all failures together came to.
#[derive(Default)]
struct Summary {
    failures: u64,
    /// Records and events that a reader had seen.
    seen: BTreeSet<u64>,
    /// Records that the program says it lost.
    lost: u64,
}

/// Runs the suite.
pub fn run(lab: &Lab) -> Result<Vec<Figures>> {
    let work = lab.folder.join("disk");
    fs::create_dir_all(&work)?;
    let mut payload = lab.payload()?;
    frames::add_endless_camera(&mut payload, &work)?;
    payload.copy("payload/bin/busybox", &lab.system.shell())?;
    let disk = work.join("disk.img");
    let _ = fs::remove_file(&disk);
    File::create(&disk)?.set_len(DISK)?;
    process::run(Command::new("mke2fs").args(["-q", "-t", "ext4", "-m", "0", "-F"]).arg(&disk))?;
    let mut machine = lab.machine(BOARD, "disk", &payload);
    let node = |options: String| ["-blockdev".to_owned(), options];
    machine.arguments = [
        node(format!("driver=file,node-name=card,filename={}", disk.display())),
        node("driver=raw,node-name=good,file=card".into()),
        node("driver=blkdebug,node-name=bad,image=card,inject-error.0.event=none,inject-error.0.iotype=write,inject-error.0.once=off".into()),
        node("driver=raw,node-name=data,file=good".into()),
        ["-device".into(), "virtio-blk-pci,drive=data,write-cache=on,werror=report,rerror=report".into()],
    ]
    .concat();
    let mut guest = machine.boot()?;
    guest.run("mkdir -p /data && mount /dev/vdb /data")?;
    start(&mut guest, false)?;
    let mut summary = Summary::default();
    for round in 0..lab.times.unwrap_or(TIMES) {
        for failure in [Failure::Full, Failure::ReadOnly, Failure::Errors] {
            fail(lab, &mut guest, failure, &mut summary).with_context(|| format!("{failure:?}, round {round}"))?;
        }
    }
    guest.run("stop-and-verify /data/j.sqlite")?;
    look(&mut guest, &mut summary)?;
    let events: Vec<Event> = output::json_lines(&guest.run(&format!("{EXPORT_EVENTS} /data/j.sqlite"))?)?;
    let causes: BTreeSet<String> = events
        .iter()
        .filter(|event| event.event == "writing_failed")
        .filter_map(|event| Some(event.detail("cause")?.as_str()?.to_owned()))
        .collect();
    ensure!(causes.contains("disk_full"), "the journal does not say that the disk was full: {causes:?}");
    let lost = events.iter().filter(|event| event.event == "records_lost").filter_map(|event| event.detail("records"));
    summary.lost = lost.filter_map(|records| records.as_u64()).sum();
    let tried = format!("{} failures: full, read-only and I/O errors in turn", summary.failures);
    let kept = format!(
        "0 of {} records and events that a reader had seen; {} records did not fit into memory",
        count(summary.seen.len() as u64),
        count(summary.lost)
    );
    measured(&tried, &kept);
    Ok(vec![Figures { board: BOARD.name(), text: format!("{tried}; lost: {kept}") }])
}

/// Starts the program, and waits until the journal is written, or fails.
fn start(guest: &mut Guest, failing: bool) -> Result<()> {
    guest.run(
        "record --board generic-x86-64 --bundle /payload/bundle --detect-every 30 --records-per-second 20 --metrics 127.0.0.1:9000",
    )?;
    await_failing(guest, failing)
}

/// Stops the program and runs a command before it is started again.
const STOP: &str = "kill -TERM $(pidof edge-runtime); while pidof edge-runtime; do sleep 0.5; done;";

/// Lets the disk fail once, and checks that the program goes on and that the journal has what it had.
fn fail(lab: &Lab, guest: &mut Guest, failure: Failure, summary: &mut Summary) -> Result<()> {
    look(guest, summary)?;
    if !lab.has(Fault::Disk) {
        match failure {
            Failure::Full => drop(guest.run("fill-disk")?),
            Failure::ReadOnly => {
                guest.run(&format!("{STOP} mount -o remount,ro /data"))?;
                start(guest, true)?;
            }
            Failure::Errors => replace(guest, "bad")?,
        }
    }
    await_failing(guest, true).context("the program did not notice")?;
    let frames = metric(guest, "frames_total")?;
    let begun = Instant::now();
    while metric(guest, "frames_total")? <= frames {
        ensure!(begun.elapsed() < PATIENCE, "no frame is worked on any more");
        sleep(Duration::from_secs(1));
    }
    match failure {
        Failure::Full => drop(guest.run("rm /data/filler && sync")?),
        Failure::ReadOnly => drop(guest.run("mount -o remount,rw /data")?),
        Failure::Errors => {
            replace(guest, "good")?;
            guest.run(&format!(
                "{STOP} umount /data && {{ e2fsck -fp /dev/vdb || [ $? = 1 ]; }} && mount /dev/vdb /data"
            ))?;
            guest.run("edge-runtime log verify --journal /data/j.sqlite")?;
            look(guest, summary)?;
            start(guest, false)?;
        }
    }
    await_failing(guest, false).context("the program did not recover")?;
    summary.failures += 1;
    look(guest, summary)
}

/// Reads the numbers in the journal; none that was there before may be missing.
fn look(guest: &mut Guest, summary: &mut Summary) -> Result<()> {
    let ids = guest.run("journal-ids /data/j.sqlite")?;
    let found: BTreeSet<u64> = ids.lines().filter_map(|id| id.parse().ok()).collect();
    let lost: Vec<&u64> = summary.seen.difference(&found).collect();
    ensure!(lost.is_empty(), "{} ids are lost, the first is {}", lost.len(), lost[0]);
    summary.seen = found;
    Ok(())
}

/// Replaces what the disk's data come from: the node `good` or `bad` of the emulator.
fn replace(guest: &mut Guest, node: &str) -> Result<()> {
    guest.control("blockdev-reopen", json!({ "options": [{ "driver": "raw", "node-name": "data", "file": node }] }))
}

/// Waits until the journal fails, or fails no more.
fn await_failing(guest: &mut Guest, failing: bool) -> Result<()> {
    let begun = Instant::now();
    while metric(guest, "journal_failing").ok() != Some(u64::from(failing)) {
        guest.run("kill -0 $(pidof edge-runtime)").context("the program has ended")?;
        ensure!(begun.elapsed() < PATIENCE, "edge_runtime_journal_failing did not become {}", u8::from(failing));
        sleep(Duration::from_millis(500));
    }
    Ok(())
}

fn metric(guest: &mut Guest, name: &str) -> Result<u64> {
    let text = guest.run(&format!("metric edge_runtime_{name}"))?;
    let Some(value) = text.lines().find_map(|line| line.trim().parse::<f64>().ok()) else {
        bail!("no metric {name} in {text:?}");
    };
    Ok(value as u64)
}
