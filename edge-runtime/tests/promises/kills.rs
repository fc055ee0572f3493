//! `edge-runtime run` is killed at random moments: what a reader of its journal saw stays, and the journal is intact.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use edge_runtime::journal::Reader;
use test_support::promise::{count, measured, times};

use super::journal_common::damage;
use super::scene::{Random, Scene, recorder};

/// Kills before a new journal is begun.
const KILLS_PER_JOURNAL: u64 = 25;
/// Runs at a time. A run mostly waits for its next frame.
const LANES: u64 = 4;
/// Frames per second of the video, and its seconds: more than a run lives.
const RATE: u32 = 30;
const SECONDS: u32 = 60;
/// The latest moment of a kill after the first commit, or after the start.
const MAX_DELAY_MS: u64 = 1500;

/// What all kills together came to.
#[derive(Default)]
struct Sum {
    /// Kills after a reader had seen something of that run.
    informative: AtomicU64,
    /// Records and events that readers had seen.
    seen: AtomicU64,
}

#[test]
fn kills_lose_nothing_that_a_reader_has_seen() {
    let kills = times(6);
    let Some(scene) = Scene::load() else { return };
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("video.y4m");
    let mut file = std::io::BufWriter::new(fs::File::create(&video).unwrap());
    Scene::write_head(&mut file, RATE).unwrap();
    (0..RATE * SECONDS).for_each(|_| scene.write_frame(&mut file, true).unwrap());
    file.flush().unwrap();

    let (mut random, sum) = (Random::seeded(), Sum::default());
    thread::scope(|scope| {
        for lane in 0..LANES.min(kills) {
            let (random, sum, video) = (random.fork(), &sum, &video);
            let share = kills / LANES + u64::from(lane < kills % LANES);
            let folder = folder.path().join(format!("lane-{lane}"));
            scope.spawn(move || kill_again_and_again(share, &folder, video, random, sum));
        }
    });
    let informative = sum.informative.into_inner();
    assert!(informative * 3 >= kills, "only {informative} of {kills} kills came after a commit; this shows nothing");
    measured(
        format!("{} kills of `run`, {} of them after a commit", count(kills), count(informative)),
        format!("0 of {} records and events that a reader had seen", count(sum.seen.into_inner())),
    );
}

fn kill_again_and_again(kills: u64, folder: &Path, video: &Path, mut random: Random, sum: &Sum) {
    let check = folder.join("check");
    fs::create_dir_all(&check).unwrap();
    let mut newest_before = 0;
    for kill in 0..kills {
        let journal = folder.join(format!("journal-{}", kill / KILLS_PER_JOURNAL));
        if kill % KILLS_PER_JOURNAL == 0 {
            newest_before = 0;
        }
        let mut run = recorder(&format!("y4m:{}", video.display()), &journal);
        run.args(["--realtime", "--commit-every", "0.05", "--records-per-second", "inf"]);
        let mut run = run.stdin(Stdio::null()).spawn().unwrap();
        // Half of the kills come at the start, while tables are made or the log is replayed.
        let begun = Instant::now();
        let mut seen = newest_before;
        if random.below(2) == 0 {
            while seen == newest_before {
                assert!(begun.elapsed() < Duration::from_secs(120), "nothing was recorded");
                seen = look(&journal, &mut run, seen);
            }
        }
        let moment = Instant::now() + Duration::from_millis(random.below(MAX_DELAY_MS));
        while Instant::now() < moment {
            seen = look(&journal, &mut run, seen);
        }
        run.kill().unwrap();
        run.wait().unwrap();
        sum.informative.fetch_add(u64::from(seen > newest_before), Ordering::Relaxed);
        sum.seen.fetch_add((seen - newest_before) as u64, Ordering::Relaxed);
        newest_before = verified(&journal, &check, seen);
    }
}

/// The newest number in the journal now. The reader is closed before the kill, so that the run's log is what is left.
fn look(journal: &Path, run: &mut Child, seen: i64) -> i64 {
    assert!(run.try_wait().unwrap().is_none(), "the run has ended by itself");
    thread::sleep(Duration::from_millis(10));
    // At the start there is no journal yet, or one without tables, or one whose log is being replayed.
    let ids = Reader::open(journal).ok().and_then(|reader| reader.ids().ok().flatten());
    let newest = ids.map_or(seen, |(_, newest)| newest);
    assert!(newest >= seen, "{seen} was seen, and now {newest} is the newest");
    newest
}

/// Checks a copy, so that the next run finds the journal as the kill left it. Returns the newest number.
fn verified(journal: &Path, check: &Path, seen: i64) -> i64 {
    let copy = check.join("journal");
    let beside = |path: &Path, suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(beside(&copy, suffix));
    }
    for suffix in ["", "-wal"] {
        if beside(journal, suffix).exists() {
            fs::copy(beside(journal, suffix), beside(&copy, suffix)).unwrap();
        }
    }
    let reader = match Reader::open(&copy) {
        Ok(reader) => reader,
        // Killed before there were tables.
        Err(error) => {
            assert_eq!(seen, 0, "{error}");
            return 0;
        }
    };
    assert_eq!(damage(&copy), [""; 0]);
    let Some((oldest, newest)) = reader.ids().unwrap() else {
        assert_eq!(seen, 0, "all is lost");
        return 0;
    };
    assert!(newest >= seen, "{seen} was seen, {newest} is the newest");
    let (mut expected, mut after) = (1, 0);
    loop {
        let entries = reader.entries_after(after, 10_000).unwrap();
        let Some(last) = entries.last() else { break };
        after = last.id();
        for entry in &entries {
            assert_eq!(entry.id(), expected, "numbers are missing");
            expected += 1;
        }
    }
    assert_eq!((oldest, expected), (1, newest + 1));
    newest
}
