//! An hour of the board's time. The emulator counts time by instructions and skips the time in which the board sleeps.

use std::fs;

use anyhow::{Result, ensure};
use serde::Deserialize;

use crate::board_file::BoardFile;
use crate::fault::Fault;
use crate::frames;
use crate::guest::COMMAND_LIMIT;
use crate::lab::Lab;
use crate::machine::Board;
use crate::output::{self, EXPORT_RECORDS, RecordStamp};
use crate::suite::Figures;

const BOARD: Board = Board::Virt("cortex-a53");
/// How many samples are taken, one per minute.
const MINUTES: usize = 60;
/// How many samples are skipped at the start while caches fill, and how many are compared then and at the end.
const WINDOW: usize = 10;
/// By how many KiB the largest of the last samples may exceed the largest of the first ones.
const MEMORY_TOLERANCE: u64 = 1024;

/// What the program holds at a moment.
#[derive(Deserialize)]
struct Sample {
    memory_kib: u64,
    descriptors: u64,
    threads: u64,
}

/// Runs the suite.
pub fn run(lab: &Lab) -> Result<Vec<Figures>> {
    let work = lab.folder.join("soak");
    fs::create_dir_all(&work)?;
    let mut payload = lab.payload()?;
    // One frame per minute goes all the way to the journal: detecting faces takes the emulator seconds.
    let video = work.join("slow.y4m");
    frames::write_y4m(&video, &frames::luma(&work, 3)?[..MINUTES + 2], "1:60")?;
    payload.copy("payload/slow.y4m", &video)?;
    payload.copy("payload/bin/busybox", &lab.system.shell())?;
    let board = BoardFile::generic("y4m:/payload/slow.y4m")?;
    payload.file("payload/board.toml", board.to_toml()?.as_bytes(), false);
    let mut machine = lab.machine(BOARD, "soak", &payload);
    machine.arguments = vec!["-icount".into(), "shift=0,sleep=off".into()];
    let mut guest = machine.boot()?;
    guest.run("soak")?;
    if lab.has(Fault::Leak) {
        guest.run("leak >/dev/null 2>&1 &")?;
    }
    let samples: Vec<Sample> = output::json_lines(&guest.run_within(COMMAND_LIMIT * 2, &format!("sample {MINUTES}"))?)?;
    ensure!(samples.len() == MINUTES, "expected {MINUTES} samples, got {}", samples.len());
    let (first, last) = (&samples[WINDOW..2 * WINDOW], &samples[MINUTES - WINDOW..]);
    let maximum = |part: &[Sample], field: fn(&Sample) -> u64| part.iter().map(field).max().unwrap_or(0);
    let growth = |field: fn(&Sample) -> u64| (maximum(first, field), maximum(last, field));
    let memory = growth(|sample| sample.memory_kib);
    ensure!(memory.1 <= memory.0 + MEMORY_TOLERANCE, "memory grew from {} to {} KiB", memory.0, memory.1);
    let (descriptors, threads) = (growth(|sample| sample.descriptors), growth(|sample| sample.threads));
    for ((before, after), name) in [(descriptors, "descriptors"), (threads, "threads")] {
        ensure!(after <= before, "{name} grew from {before} to {after}");
    }
    let records: Vec<RecordStamp> = output::csv_rows(&guest.run(&format!("{EXPORT_RECORDS} /tmp/j.sqlite"))?)?;
    let records = records.len();
    ensure!(records >= MINUTES / 2, "only {records} records in {MINUTES} minutes");
    let text = format!(
        "{MINUTES} minutes of the board's time, {records} records: memory {} KiB after {WINDOW} to {} minutes, {} KiB at the end; \
         {} descriptors, {} threads",
        memory.0,
        2 * WINDOW,
        memory.1,
        descriptors.1,
        threads.1
    );
    Ok(vec![Figures { board: BOARD.name(), text }])
}
