//! The wall clock jumps, forward and back and before 1970, while the journal is written.

use std::process::Command;

use edge_runtime::journal::{Config, Reader};
use test_support::promise::{count, measured, times};

use super::journal_common::{config, damage, observation, open};
use super::scene::Random;

/// Frames between two jumps, a tenth of a second apart.
const FRAMES: u64 = 5;
/// Jumps before the program is started again.
const JUMPS_PER_SESSION: u64 = 100;
/// Microseconds per year.
const YEAR: i64 = 365 * 86_400_000_000;

/// A time in microseconds since 1970: near `now`, years away from it, or before 1970.
fn somewhere(random: &mut Random, now: i64) -> i64 {
    match random.below(4) {
        0 => now + random.below(20_000_000) as i64 - 10_000_000,
        1 => now + random.below(20 * YEAR as u64) as i64,
        2 => now - random.below(20 * YEAR as u64) as i64,
        _ => -(random.below(70 * YEAR as u64) as i64),
    }
}

#[test]
fn jumps_of_the_clock_leave_order_and_numbers_as_they_were() {
    let jumps = times(40);
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let mut random = Random::seeded();
    let (mut frame, mut told, mut before_1970) = (0, Vec::new(), 0);
    for session in 0..jumps.div_ceil(JUMPS_PER_SESSION) {
        let writer = open(&journal, Config { queue_bytes: 16 << 20, ..config() });
        for _ in 0..JUMPS_PER_SESSION.min(jumps - session * JUMPS_PER_SESSION) {
            let base = somewhere(&mut random, observation(frame, 1).stamp.wall_us);
            before_1970 += u64::from(base < 0);
            for step in 0..FRAMES {
                let mut seen = observation(frame, 1);
                seen.stamp.wall_us = base + step as i64 * 100_000;
                told.push(seen.stamp);
                writer.observe(&seen);
                frame += 1;
            }
        }
        writer.close("test").unwrap();
    }

    assert_eq!(damage(&journal), [""; 0]);
    let reader = Reader::open(&journal).unwrap();
    let rows = reader.records_after(0, usize::MAX).unwrap();
    let found: Vec<_> = rows.iter().map(|row| row.stamp).collect();
    assert!(found == told, "records are in the order of the frames, with the times that the clock showed");
    assert!(rows.is_sorted_by(|one, other| one.id < other.id), "numbers rise");
    let frames: u64 = reader.minutes(&Default::default()).unwrap().iter().map(|minute| minute.frames).sum();
    assert_eq!(frames, frame, "every frame is counted in some minute");
    let report = folder.path().join("report.html");
    let report = report.to_str().unwrap();
    for words in [
        &["verify"][..],
        &["stats"],
        &["export", "-o", "/dev/null"],
        &["tail"],
        &["visits", "--by", "day"],
        &["report", "-o", report],
    ] {
        let mut log = Command::new(env!("CARGO_BIN_EXE_edge-runtime"));
        let output = log.arg("log").args(words).arg("--journal").arg(&journal).output().unwrap();
        assert!(output.status.success(), "log {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    measured(
        format!("{} jumps of the clock, {} of them before 1970", count(jumps), count(before_1970)),
        format!("0 of {} records; all in order, with rising numbers", count(frame)),
    );
}
