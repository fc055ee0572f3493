//! What the pipeline tells, as those who serve it read it.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use expression_core::Record;

use super::counters::Counters;
use super::history::History;
use super::rate::Rate;
use super::{About, Options};
use crate::event::Event;
use crate::frame::{Frame, Observation};

/// Faces of a frame that watchers are shown; the counters count all.
const MAX_FACES: usize = 16;
/// Lines about events that are kept.
const MAX_EVENTS: usize = 50;

/// The meeting place of the pipeline and those who watch.
pub struct Hub {
    pub about: About,
    pub counters: Counters,
    pub started: Instant,
    /// Unix time of the start, in seconds.
    pub started_at: f64,
    /// Whether there is a broker to be connected with.
    #[cfg(all(feature = "metrics", feature = "mqtt"))]
    pub publishes: bool,
    now: Mutex<Now>,
    #[cfg(feature = "preview")]
    pub watch: super::picture::Watch,
}

/// The present.
#[derive(Default)]
pub struct Now {
    /// What was observed last, with [`MAX_FACES`] faces at most and no name.
    pub observation: Observation,
    /// When, since the start; `None` before the first frame.
    pub at: Option<Duration>,
    pub rate: Rate,
    pub history: History,
    /// Unix time in seconds and a line, the oldest first.
    pub events: VecDeque<(i64, String)>,
    pub paused: bool,
    /// Unix time in seconds since when the camera is lost; `None` while it delivers.
    pub camera_lost: Option<i64>,
    /// Why the journal cannot be written; `None` while it can, or if there is none.
    pub journal_failing: Option<String>,
}

impl Hub {
    pub fn new(about: About, options: &Options) -> Hub {
        let _ = options;
        Hub {
            about,
            counters: Counters::default(),
            started: Instant::now(),
            started_at: unix_time().as_secs_f64(),
            #[cfg(all(feature = "metrics", feature = "mqtt"))]
            publishes: options.mqtt.is_some(),
            now: Mutex::default(),
            #[cfg(feature = "preview")]
            watch: super::picture::Watch::new(options.preview_rate),
        }
    }

    /// The present. Whoever holds it keeps the pipeline waiting: look, copy, let go.
    pub fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`super::Telemetry::observe`].
    pub fn observe(&self, frame: &Frame, observation: &Observation) {
        self.counters.observe(observation);
        let at = self.started.elapsed();
        {
            let mut now = self.now();
            if now.at.is_some() {
                let step = observation.sequence.saturating_sub(now.observation.sequence);
                self.counters.lost_frames.fetch_add(step.saturating_sub(1), Relaxed);
            }
            now.at = Some(at);
            now.rate.count(at);
            now.observation.stamp = observation.stamp;
            now.observation.sequence = observation.sequence;
            now.observation.size = observation.size;
            now.observation.latency_us = observation.latency_us;
            now.observation.millicelsius = observation.millicelsius;
            now.observation.faces.clear();
            now.observation.faces.extend(observation.faces.iter().take(MAX_FACES));
            now.history.add(observation.stamp.wall_us.div_euclid(1_000_000), &observation.faces);
        }
        #[cfg(feature = "preview")]
        self.watch.observe(self, frame, at);
        let _ = frame;
    }

    /// See [`super::Telemetry::event`].
    pub fn event(&self, event: &Event) {
        let counters = &self.counters;
        let second = i64::try_from(unix_time().as_secs()).unwrap_or(0);
        match event {
            Event::CameraLost { .. } => {
                counters.camera_losses.fetch_add(1, Relaxed);
                let mut now = self.now();
                // Nothing is known about faces until it is back, and its next frames are counted from anywhere.
                (now.at, now.camera_lost) = (None, Some(second));
                now.observation.faces.clear();
            }
            Event::CameraBack { .. } => self.now().camera_lost = None,
            Event::JournalCommitted { batches, records } => {
                counters.journal_commits.fetch_add(*batches, Relaxed);
                counters.journal_records.fetch_add(*records, Relaxed);
            }
            Event::RecordsLost { records, .. } => {
                counters.journal_dropped.fetch_add(*records, Relaxed);
            }
            Event::WritingFailed { message, .. } => self.now().journal_failing = Some(message.clone()),
            Event::WritingRecovered { .. } => self.now().journal_failing = None,
            Event::RecordingPaused { .. } | Event::RecordingResumed { .. } => {
                let mut now = self.now();
                now.paused = matches!(event, Event::RecordingPaused { .. });
                now.observation.faces.clear();
            }
            Event::Start
            | Event::Stop { .. }
            | Event::FramesDropped { .. }
            | Event::Throttled(_)
            | Event::Unthrottled(_)
            | Event::JournalDamaged { .. }
            | Event::KeepFaces { .. }
            | Event::ClockChanged { .. } => {}
        }
        let Some(line) = event.line() else { return };
        let mut now = self.now();
        if now.events.len() == MAX_EVENTS {
            now.events.pop_front();
        }
        #[cfg(feature = "preview")]
        self.watch.event(second, &line, now.paused);
        now.events.push_back((second, line));
    }
}

impl Now {
    /// The face that fills most of the picture, the one in front as a rule.
    pub fn front(&self) -> Option<&Record> {
        expression_core::record::largest(&self.observation.faces, |face| face.bounds)
    }
}

/// By the wall clock.
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
