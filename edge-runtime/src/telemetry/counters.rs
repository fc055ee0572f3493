//! What is counted since the start of a run.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use expression_core::{Label, Quality};

use crate::frame::Observation;

/// Upper edges of the histograms, in microseconds. Anything above the last falls into a bucket of its own.
pub const LATENCY_EDGES: [u32; 11] =
    [1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000];

/// A histogram of times.
#[derive(Debug, Default)]
pub struct Times {
    /// By [`LATENCY_EDGES`].
    pub buckets: [AtomicU64; LATENCY_EDGES.len() + 1],
    pub sum_us: AtomicU64,
}

impl Times {
    /// Counts a time in microseconds.
    pub fn add(&self, microseconds: u32) {
        let bucket = LATENCY_EDGES.iter().position(|edge| microseconds <= *edge);
        self.buckets[bucket.unwrap_or(LATENCY_EDGES.len())].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(u64::from(microseconds), Relaxed);
    }
}

/// The counters. They are updated without a lock, so two of them read together may be a frame apart.
#[derive(Debug, Default)]
pub struct Counters {
    pub frames: AtomicU64,
    /// Frames that the source counted but did not deliver.
    pub lost_frames: AtomicU64,
    /// By [`Quality`].
    pub faces: [AtomicU64; Quality::ALL.len()],
    /// By [`Label`].
    pub labels: [AtomicU64; Label::COUNT],
    /// From a frame's arrival to its observation.
    pub latency: Times,
    /// Runs of the face detector.
    pub detector: Times,
    /// Runs of the expression net, each with all faces of a frame.
    pub classifier: Times,
    pub camera_losses: AtomicU64,
    pub journal_commits: AtomicU64,
    pub journal_records: AtomicU64,
    pub journal_dropped: AtomicU64,
    /// Pictures that were encoded for viewers.
    pub pictures: AtomicU64,
    pub mqtt_published: AtomicU64,
    pub mqtt_connected: AtomicU64,
}

impl Counters {
    /// Counts a frame.
    pub fn observe(&self, observation: &Observation) {
        self.frames.fetch_add(1, Relaxed);
        for face in &observation.faces {
            self.faces[face.quality as usize].fetch_add(1, Relaxed);
            if let Some(label) = face.label {
                self.labels[label as usize].fetch_add(1, Relaxed);
            }
        }
        self.latency.add(observation.latency_us);
    }
}
