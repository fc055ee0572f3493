//! An hour of the board's time, or more. The emulator counts time by instructions and skips the time in which the board sleeps.

use std::fs;

use anyhow::{Result, ensure};
use serde::Deserialize;

use test_support::promise::measured;

use crate::board_file::BoardFile;
use crate::fault::Fault;
use crate::frames;
use crate::guest::COMMAND_LIMIT;
use crate::lab::Lab;
use crate::machine::Board;
use crate::output::{self, EXPORT_RECORDS, RecordStamp};
use crate::suite::Figures;

const BOARD: Board = Board::Virt("cortex-a53");
/// How many samples are taken if `--times` does not say, one per minute.
const MINUTES: u64 = 60;
/// How many frames come in that time, so that a long one takes the emulator no longer.
const FRAMES: u64 = 60;
/// The part of the samples that is skipped at the start while caches fill, and the part that is compared then and at the end.
const WINDOW: usize = 6;
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
    let minutes = lab.times.unwrap_or(MINUTES).max(12);
    // Few frames go all the way to the journal: detecting faces takes the emulator seconds.
    let video = work.join("slow.y4m");
    let seconds = (minutes * 60).div_ceil(FRAMES);
    frames::write_y4m(&video, &frames::luma(&work, 3)?[..FRAMES as usize + 2], &format!("1:{seconds}"))?;
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
    let limit = COMMAND_LIMIT * 2 * minutes.div_ceil(MINUTES) as u32;
    let samples: Vec<Sample> = output::json_lines(&guest.run_within(limit, &format!("sample {minutes}"))?)?;
    ensure!(samples.len() as u64 == minutes, "expected {minutes} samples, got {}", samples.len());
    let window = samples.len() / WINDOW;
    let (first, last) = (&samples[window..2 * window], &samples[samples.len() - window..]);
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
    ensure!(records as u64 >= FRAMES / 2, "only {records} records in {minutes} minutes");
    let held = format!(
        "memory {} KiB after {window} to {} minutes, {} KiB at the end; {} descriptors, {} threads",
        memory.0,
        2 * window,
        memory.1,
        descriptors.1,
        threads.1
    );
    let time = format!("{minutes} minutes of the board's time, {records} records");
    measured(&time, &held);
    let text = format!("{time}: {held}");
    Ok(vec![Figures { board: BOARD.name(), text }])
}
