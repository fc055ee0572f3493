//! Measures what a journal costs, for `docs/journal.md`: records per second, bytes per record, and what a disk is given to
//! write. Give the folder of a disk that nothing else writes to:
//!
//!     cargo run -p edge-runtime --example measure_journal -- FOLDER

#[path = "../tests/journal_common/mod.rs"]
mod journal_common;

use std::fs;
use std::path::{Path, PathBuf};

use edge_runtime::journal::Config;
use journal_common::*;

/// Bytes that the block device under a folder was given to write since it was attached, and flushes of its cache.
fn written(folder: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let device = folder.metadata().ok()?.dev();
    let (major, minor) = (libc::major(device), libc::minor(device));
    let stat = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    let fields: Vec<u64> = stat.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    Some((fields.get(6)? * 512, fields.get(15).copied().unwrap_or_default()))
}

/// Seconds that this process has computed, in all threads.
fn processor_seconds() -> f64 {
    // SAFETY: all-zero bytes are a valid rusage, and the call writes to nothing else.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn main() {
    let folder = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let path = folder.join("measured-journal");
    let clear = || ["", "-wal", "-shm"].map(|suffix| fs::remove_file(format!("{}{suffix}", path.display())).ok());
    // SAFETY: a plain system call.
    let sync = || unsafe { libc::sync() };

    clear();
    let writer = open(&path, Config { max_bytes: 1 << 30, ..config() });
    let (started, before) = (std::time::Instant::now(), processor_seconds());
    let records = 200_000;
    for frame in 0..records {
        writer.observe(&observation(frame, 1));
        while frame % 100 == 0 && writer.health().queued > 4000 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
    assert!(writer.flush(PATIENCE));
    let [wall, processor] = [started.elapsed().as_secs_f64(), processor_seconds() - before];
    assert_eq!(writer.health().lost_records, 0);
    writer.close("measured").unwrap();
    let each = bytes(&path) as f64 / records as f64;
    let rate = |seconds: f64| records as f64 / seconds;
    println!("{:.0} records a second, {:.0} a second of processor time", rate(wall), rate(processor));
    println!("{each:.1} bytes a record");

    for (records, what) in
        [(10, "one face, 5 records a second, a commit every 2 s"), (50, "the same, a commit every 10 s")]
    {
        clear();
        let writer = open(&path, Config { commit_every: std::time::Duration::from_secs(3600), ..config() });
        let mut frame = 0;
        let mut commits = |count: u64| {
            for _ in 0..count {
                (0..records).for_each(|_| {
                    // As a camera gives them: a fifth of a second apart.
                    writer.observe(&observation(2 * frame, 1));
                    frame += 1;
                });
                assert!(writer.flush(PATIENCE));
            }
        };
        // Until the log has its full length, as it has after the first hour.
        commits(1000);
        sync();
        let Some(before) = written(&folder) else {
            return println!("no figures of the disk under {}", folder.display());
        };
        let started = std::time::Instant::now();
        let count = 1500;
        commits(count);
        let each = started.elapsed().as_secs_f64() * 1e3 / count as f64;
        sync();
        let after = written(&folder).unwrap();
        let bytes = (after.0 - before.0) as f64 / count as f64;
        let day = bytes * 86_400.0 * 5.0 / records as f64 / 1e6;
        let flushes = (after.1 - before.1) as f64 / count as f64;
        println!("{what}: {bytes:.0} bytes and {flushes:.1} flushes a commit, {each:.2} ms, {day:.0} MB a day");
        writer.close("measured").unwrap();
    }
    clear();
}
