//! What the tests of telemetry share: synthetic frames and a feeder.
#![allow(
    dead_code,
    unused_imports,
    reason = "compiled into each of the tests that share it, none of which uses all of it"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use edge_runtime::frame::{Frame, Luma, Observation};
use edge_runtime::telemetry::{About, Telemetry, TelemetryOptions};
use expression_core::{Bounds, Label, Quality, Record, Stamp};

// As a file: the fuzz targets include this module, and have no other use for the crate.
#[path = "../../../tests/support/src/http.rs"]
mod http;
pub use http::*;

pub const TOKEN: &str = "a-token-for-the-tests";

pub fn about() -> About {
    About {
        bundle: "ferplus-test".into(),
        model: "0123abcd".into(),
        source: "test".into(),
        journal: None,
        score_scale: 0.05,
        labels: [true; 8],
    }
}

pub fn start(options: TelemetryOptions) -> Arc<Telemetry> {
    Arc::new(Telemetry::start(options, about(), None).unwrap())
}

/// A grey frame of 320x240 with a bright square that moves.
pub fn frame(sequence: u64) -> Frame {
    let (width, height) = (320, 240);
    let mut bytes = vec![40u8; width * height];
    let left = (sequence as usize * 3) % (width - 80);
    for y in 60..160 {
        bytes[y * width + left..y * width + left + 80].fill(210);
    }
    let luma = Luma { width, height, offset: 0, step: 1, stride: width };
    Frame { bytes, luma, sequence, stamp: stamp(), ..Frame::default() }
}

fn stamp() -> Stamp {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Stamp { monotonic_ns: wall.as_nanos() as u64, wall_us: wall.as_micros() as i64 }
}

/// Two faces: one that can be read and whose scores move, one that is too small.
pub fn observation(sequence: u64) -> Observation {
    let left = ((sequence * 3) % 240) as i16;
    let wave = |phase: f64| (128.0 + 100.0 * (sequence as f64 / 20.0 + phase).sin()) as u8;
    let scores: [u8; 8] = std::array::from_fn(|index| wave(index as f64));
    let top = (0..8).max_by_key(|index| scores[*index]).unwrap();
    let faces = vec![
        Record {
            track: 1,
            bounds: Bounds { left, top: 60, width: 80, height: 100 },
            quality: Quality::Good,
            scores: Some(scores),
            label: Label::from_index(top),
            confidence: 200,
        },
        Record {
            track: 2,
            bounds: Bounds { left: 270, top: 20, width: 24, height: 30 },
            quality: Quality::Small,
            scores: None,
            label: None,
            confidence: 0,
        },
    ];
    Observation {
        stamp: stamp(),
        sequence,
        name: None,
        size: [320, 240],
        faces,
        latency_us: 7_300,
        millicelsius: Some(51_250),
    }
}

/// Feeds synthetic frames from a thread until it is dropped.
pub struct Feeder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Feeder {
    pub fn new(telemetry: &Arc<Telemetry>) -> Feeder {
        let (stop, telemetry) = (Arc::new(AtomicBool::new(false)), telemetry.clone());
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            for sequence in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                telemetry.observe(&frame(sequence), &observation(sequence));
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Feeder { stop, thread: Some(thread) }
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}
