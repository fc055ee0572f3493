//! A process that writes a journal is killed at random moments: nothing is damaged, and all that it reported as
//! committed is there.

mod journal_common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use edge_runtime::event::Event;
use edge_runtime::journal::Reader;
use journal_common::*;

/// Kills.
const ROUNDS: u64 = 200;
/// Kills before a new journal is begun.
const ROUNDS_A_JOURNAL: u64 = 20;

/// Not a test but the process that is killed: writes as fast as the disk takes it and says what is committed.
#[test]
fn killed_child() {
    let Some(path) = child_path() else { return };
    let writer = open(&path, config());
    let mut out = std::io::stdout();
    let mut told = 0;
    for frame in 0.. {
        writer.observe(&observation(frame, 4));
        if frame % 50 == 0 {
            writer.event(Event::FramesDropped { frames: frame });
        }
        let committed = writer.committed();
        if committed != told {
            told = committed;
            out.write_all(format!("\ncommitted {committed}\n").as_bytes()).unwrap();
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// The number that the child reported last before it was killed; 0 where it came to none.
fn killed_after(path: &Path, after_first: bool, delay: Duration) -> i64 {
    let mut child = child("killed_child", path).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    // A line that the kill cut off has no end, and its number may be cut off too.
    let number = |line: &str| line.strip_prefix("committed ").and_then(|number| number.parse().ok());
    let mut reported = 0;
    if after_first {
        reported = lines.find_map(|line| number(&line)).unwrap();
    }
    std::thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
    let rest: Vec<String> = lines.collect();
    rest.iter().filter_map(|line| number(line)).fold(reported, i64::max)
}

#[test]
fn what_was_reported_committed_survives_kills_at_random_moments() {
    if child_path().is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    let (mut reported_at_all, mut sessions) = (0, 0);
    for round in 0..ROUNDS {
        let path = folder.path().join(format!("journal-{}", round / ROUNDS_A_JOURNAL));
        // Every other kill may also fall into the start: the making of the tables, or the replay of the log.
        let after_first = below(2) == 0;
        let reported = killed_after(&path, after_first, Duration::from_micros(1000 + below(39_000)));
        if reported > 0 {
            reported_at_all += 1;
            let reader = Reader::open(&path).unwrap();
            let (oldest, newest) = reader.ids().unwrap().unwrap();
            assert!(newest >= reported, "round {round}: {reported} was reported, {newest} is the newest");
            let mut ids = Vec::new();
            let mut after = 0;
            while let Some(last) = {
                let entries = reader.entries_after(after, 10_000).unwrap();
                ids.extend(entries.iter().map(|entry| entry.id()));
                entries.last().map(|entry| entry.id())
            } {
                after = last;
            }
            assert!(oldest == 1 && ids.iter().copied().eq(1..=newest), "round {round}: numbers are missing");
        }
        if round % ROUNDS_A_JOURNAL == ROUNDS_A_JOURNAL - 1 {
            assert_eq!(damage(&path), [""; 0], "round {round}");
            sessions += Reader::open(&path).unwrap().sessions().unwrap().len();
        }
    }
    // Else the test would show nothing.
    assert!(reported_at_all > ROUNDS / 3, "only {reported_at_all} rounds reported anything");
    eprintln!("{ROUNDS} kills, {reported_at_all} after a commit, {sessions} sessions");
}
