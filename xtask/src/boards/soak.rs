//! An hour of the board's time. The emulator counts time by instructions and skips what the board sleeps through.

use std::fs;

use anyhow::{Result, ensure};

use super::{Fault, Figures, LIMIT, Lab, board_file, frames};
use crate::guest::console::Board;

const BOARD: Board = Board::Virt("cortex-a53");
/// Samples, a minute apart.
const MINUTES: usize = 60;
/// Samples that are left out: caches fill.
const WARM: usize = 10;
/// KiB by which the largest of the last ten samples may exceed the largest of the first ten warm ones.
const MEMORY_ROOM: u64 = 1024;

pub fn run(lab: &Lab) -> Result<Vec<Figures>> {
    let work = lab.folder.join("soak");
    fs::create_dir_all(&work)?;
    let mut payload = lab.payload()?;
    // A frame a minute, the whole way to the journal: looking for faces takes the emulator seconds.
    let video = work.join("slow.y4m");
    frames::write_y4m(&video, &frames::luma(&work, 3)?[..MINUTES + 2], "1:60")?;
    payload.copy("payload/slow.y4m", &video)?;
    payload.copy("payload/bin/busybox", &lab.system.shell())?;
    // Fault: after forty minutes somebody holds more and more connections open.
    let leak = if lab.has(Fault::Leak) {
        "(sleep 2400; \
         while :; do \
         (sleep 3600 | busybox nc 127.0.0.1 9000 >/dev/null) & \
         (sleep 3600 | busybox nc 127.0.0.1 9000 >/dev/null) & \
         sleep 2; \
         done) &"
    } else {
        ""
    };
    let source = "y4m:/payload/slow.y4m";
    payload.file("payload/board.toml", board_file("/sys/none", source, "").as_bytes(), false);
    let mut machine = lab.machine(BOARD, "soak", &payload);
    machine.arguments = vec!["-icount".into(), "shift=0,sleep=off".into()];
    let mut guest = machine.boot()?;
    guest.run(
        &format!(
            "(edge-runtime run --board /payload/board.toml --realtime --metrics 127.0.0.1:9000 \
             --journal /tmp/j.sqlite >/dev/null 2>/tmp/said &); \
             until [ -s /tmp/j.sqlite ]; do sleep 0.2; done; {leak} true"
        ),
        LIMIT,
    )?;
    let said = guest.run(
        &format!(
            "pid=$(pidof edge-runtime); \
             n=0; \
             while [ $n -lt {MINUTES} ]; do \
             sleep 60; \
             n=$((n + 1)); \
             echo | busybox nc 127.0.0.1 9000 >/dev/null; \
             memory=$(awk '/^VmRSS/ {{print $2}}' /proc/$pid/status); \
             echo sample $memory $(ls /proc/$pid/fd | wc -l) $(ls /proc/$pid/task | wc -l); \
             done; \
             kill -TERM $pid; sleep 3; edge-runtime log verify --journal /tmp/j.sqlite >/dev/null && \
             echo records $(edge-runtime log export --format csv --journal /tmp/j.sqlite | tail -n +2 | wc -l)"
        ),
        LIMIT * 2,
    )?;
    let samples: Vec<[u64; 3]> = said
        .lines()
        .filter_map(|line| {
            let mut numbers = line.strip_prefix("sample ")?.split(' ').map(|word| word.parse().ok());
            Some([numbers.next()??, numbers.next()??, numbers.next()??])
        })
        .collect();
    ensure!(samples.len() == MINUTES, "{} of {MINUTES} samples came", samples.len());
    let most = |part: &[[u64; 3]], at: usize| part.iter().map(|sample| sample[at]).max().unwrap_or(0);
    let (first, last) = (&samples[WARM..2 * WARM], &samples[MINUTES - WARM..]);
    let (before, after) = (most(first, 0), most(last, 0));
    ensure!(after <= before + MEMORY_ROOM, "memory grew from {before} to {after} KiB");
    for (at, what) in [(1, "descriptors"), (2, "threads")] {
        ensure!(most(last, at) <= most(first, at), "{what} grew from {} to {}", most(first, at), most(last, at));
    }
    let records = said.lines().find_map(|line| line.strip_prefix("records ")?.trim().parse::<u32>().ok()).unwrap_or(0);
    ensure!(
        records as usize >= MINUTES / 2,
        "{records} records in {MINUTES} minutes: it did not see what it was shown"
    );
    let text = format!(
        "{MINUTES} minutes of the board's time, {records} records: memory {before} KiB after {WARM} to {} minutes, {after} KiB \
         at the end; {} descriptors, {} threads",
        2 * WARM,
        most(last, 1),
        most(last, 2)
    );
    Ok(vec![Figures { board: BOARD.name(), text }])
}
