//! What the journal's tests share.
#![allow(dead_code, reason = "compiled into each of the tests that share it, none of which uses all of it")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use edge_runtime::frame::Observation;
use edge_runtime::journal::verify::{Finding, verify};
use edge_runtime::journal::{Config, Reader, Session, Writer};
use expression_core::{Bounds, Label, Quality, Record, Stamp};

/// How long a test waits for what must come; far more than it takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A configuration that commits and retries at once and records every frame.
pub fn config() -> Config {
    Config {
        commit_every: Duration::from_millis(1),
        max_records_per_second: f32::INFINITY,
        retry: Duration::from_millis(20),
        ..Config::default()
    }
}

pub fn session() -> Session {
    Session {
        bundle: "ferplus-edge".into(),
        model_sha256: "5e".repeat(32),
        board: "generic".into(),
        kernels: "portable".into(),
        configuration: "commit_every_seconds = 0.001".into(),
        score_step: Some(0.05),
        labels: "neutral happiness surprise sadness anger disgust fear contempt".into(),
        ..Session::here()
    }
}

pub fn open(path: &Path, config: Config) -> Writer {
    Writer::open(path, config, session()).unwrap()
}

/// A frame with so many faces, a tenth of a second after the one before. Every fifth frame's faces are blurred, every
/// seventh's are read without a label.
pub fn observation(frame: u64, faces: u32) -> Observation {
    let face = |track: u32| {
        let quality = if frame % 5 == 4 { Quality::Blurred } else { Quality::Good };
        let label = Label::from_index(((frame + u64::from(track)) % 8) as usize);
        let bounds = Bounds { left: -3 + track as i16, top: 40, width: 64, height: (frame % 500) as u16 };
        let scores = (quality == Quality::Good).then_some([1, 2, 3, 4, 5, 6, 7, (frame % 256) as u8]);
        let label = label.filter(|_| scores.is_some() && frame % 7 != 6);
        Record { track, bounds, quality, scores, label, confidence: (frame % 256) as u8 }
    };
    Observation {
        stamp: Stamp { monotonic_ns: 5_000_000_000 + frame * 100_000_000, wall_us: at(frame) },
        sequence: frame,
        name: None,
        size: [640, 480],
        faces: (1..=faces).map(face).collect(),
        latency_us: 1000 + (frame % 100) as u32,
        millicelsius: frame.is_multiple_of(2).then_some(51_250),
    }
}

/// Unix time of a frame in microseconds, from 2026-11-25T10:00:00Z on.
pub fn at(frame: u64) -> i64 {
    1_795_600_800_000_000 + frame as i64 * 100_000
}

pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Names of the events of a journal, in order.
pub fn events(path: &Path) -> Vec<String> {
    Reader::open(path).unwrap().events_after(0, 1_000_000).unwrap().into_iter().map(|event| event.kind).collect()
}

/// What `log verify` calls damage.
pub fn damage(path: &Path) -> Vec<String> {
    let mut damage = Vec::new();
    verify(&Reader::open(path).unwrap(), |finding| {
        if let Finding::Damage(text) = finding {
            damage.push(text);
        }
    })
    .unwrap();
    damage
}

/// Bytes of the file and its write-ahead log.
pub fn bytes(path: &Path) -> u64 {
    let log = path.with_file_name(format!("{}-wal", path.file_name().unwrap().to_string_lossy()));
    [path.to_owned(), log].iter().map(|path| path.metadata().map_or(0, |metadata| metadata.len())).sum()
}

/// The name under which a child of a test is told what to work on.
const CHILD: &str = "JOURNAL_TEST_CHILD";

/// This test binary once more, running only the test of this name, with a path for [`child_path`].
pub fn child(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(CHILD, path);
    command
}

/// The path given by [`child`]; `None` in a process that is no child.
pub fn child_path() -> Option<std::path::PathBuf> {
    std::env::var_os(CHILD).map(Into::into)
}

/// Limits the files that this process writes to so many bytes: a disk that is full for it alone.
pub fn limit_files_to(bytes: libc::rlim_t) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain system calls on a value of this frame; the signal is ignored, not handled.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit), 0);
        limit.rlim_cur = bytes.min(limit.rlim_max);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}
