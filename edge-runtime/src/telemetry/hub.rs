//! The present state of the run, shared by the pipeline, which tells it, and by those who serve it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use expression_core::Record;
use serde::Serialize;

use super::about::About;
use super::counters::Counters;
use super::history::History;
use super::rate::Rate;
use super::today::Day;
use crate::event::{Event, Rate as ProcessingRate};
use crate::frame::Observation;
use crate::record::{self, EventRecord};
use crate::score::ScoreScale;

/// Faces of a frame that watchers are shown; the counters count all.
const MAX_FACES: usize = 16;
/// Events that are remembered.
const MAX_EVENTS: usize = 50;
/// Characters of a note that are kept.
const MAX_NOTE: usize = 200;

/// The state of the run, and its counters.
pub struct Hub {
    pub about: About,
    pub scale: ScoreScale,
    pub counters: Counters,
    pub started: Instant,
    /// Unix time of the start, in seconds.
    pub started_at: f64,
    now: Mutex<Now>,
}

/// The present.
#[derive(Default)]
pub struct Now {
    /// What was observed last, with at most [`MAX_FACES`] faces. It has no faces while the camera is lost or recording is paused.
    pub observation: Observation,
    /// When that was, since the start; `None` before the first frame and while the camera is lost.
    pub observed_at: Option<Duration>,
    pub rate: Rate,
    pub history: History,
    /// The newest events, oldest first.
    pub events: VecDeque<ToldEvent>,
    /// How many there were of each kind, but for those that happen all the time.
    pub events_by_kind: BTreeMap<String, u64>,
    pub paused: bool,
    /// Whether the run loop has begun.
    pub is_running: bool,
    /// Somebody asked to pause or to resume.
    pub pause_request: Option<bool>,
    /// What today has brought.
    pub day: Day,
    /// Unix time in microseconds since when the camera delivers no frames, if it once did.
    pub camera_lost_since: Option<i64>,
    /// The share of frames that is processed because the board is hot; `None` if every frame is.
    pub throttled_to: Option<ProcessingRate>,
    /// Unix time in microseconds since when the journal cannot be written, and why.
    pub journal_failing: Option<(i64, String)>,
}

/// An event, and the line that people read.
#[derive(Debug, Clone, Serialize)]
pub struct ToldEvent {
    #[serde(flatten)]
    pub record: EventRecord,
    pub line: String,
}

impl Hub {
    /// The state of a run that begins now.
    pub fn new(about: About) -> Hub {
        Hub {
            scale: about.scale(),
            about,
            counters: Counters::default(),
            started: Instant::now(),
            started_at: unix_time().as_secs_f64(),
            now: Mutex::default(),
        }
    }

    /// The present. The pipeline waits while it is held: look, copy, release.
    pub fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what was observed in a frame; returns the time since the start.
    pub fn observe(&self, observation: &Observation) -> Duration {
        self.counters.observe(observation);
        let at = self.started.elapsed();
        let mut now = self.now();
        if now.observed_at.is_some() {
            let step = observation.sequence.saturating_sub(now.observation.sequence);
            self.counters.lost_frames.fetch_add(step.saturating_sub(1), Relaxed);
        }
        now.observed_at = Some(at);
        now.camera_lost_since = None;
        now.rate.count(at);
        let seen = &mut now.observation;
        seen.stamp = observation.stamp;
        seen.sequence = observation.sequence;
        seen.name.clone_from(&observation.name);
        seen.size = observation.size;
        seen.latency_us = observation.latency_us;
        seen.millicelsius = observation.millicelsius;
        seen.faces.clear();
        seen.faces.extend(observation.faces.iter().take(MAX_FACES));
        let second = observation.stamp.wall_us.div_euclid(1_000_000);
        now.history.add(second, &observation.faces);
        now.day.add(second, &observation.faces);
        at
    }

    /// Takes in an event; returns what listeners are told, `None` for what happens all the time and is only counted.
    pub fn event(&self, event: &Event) -> Option<ToldEvent> {
        let (counters, wall_us) = (&self.counters, unix_time().as_micros() as i64);
        let mut now = self.now();
        match event {
            Event::CameraLost { .. } => {
                counters.camera_losses.fetch_add(1, Relaxed);
                // The numbers of its next frames may start anywhere, and nothing stale is told meanwhile.
                now.observed_at = None;
                now.observation.faces.clear();
                now.camera_lost_since.get_or_insert(wall_us);
            }
            Event::CameraBack { .. } => now.camera_lost_since = None,
            Event::Throttled(throttling) | Event::Unthrottled(throttling) => {
                now.throttled_to = throttling.to.filter(|rate| *rate != ProcessingRate::Full);
            }
            Event::RecordingPaused { .. } | Event::RecordingResumed { .. } => {
                now.paused = matches!(event, Event::RecordingPaused { .. });
                now.observation.faces.clear();
            }
            Event::JournalCommitted { batches, records } => {
                counters.journal_commits.fetch_add(*batches, Relaxed);
                counters.journal_records.fetch_add(*records, Relaxed);
            }
            Event::RecordsLost { records, .. } => {
                counters.journal_dropped.fetch_add(*records, Relaxed);
            }
            Event::WritingFailed { message, .. } => {
                now.journal_failing.get_or_insert((wall_us, shortened(message)));
            }
            Event::WritingRecovered { .. } => now.journal_failing = None,
            Event::Start => now.is_running = true,
            Event::Stop { .. }
            | Event::FramesDropped { .. }
            | Event::JournalDamaged { .. }
            | Event::KeepFaces { .. }
            | Event::OlderBundle { .. }
            | Event::FacesDeleted { .. }
            | Event::ClockChanged { .. } => {}
        }
        let line = event.line()?;
        let (name, detail) = event.to_parts();
        *now.events_by_kind.entry(name.clone()).or_default() += 1;
        let detail = detail.and_then(|detail| serde_json::from_str(&detail).ok());
        Some(now.tell(ToldEvent { record: EventRecord { time: record::time(wall_us), event: name, detail }, line }))
    }

    /// Remembers a line about telemetry itself, which no other sink is told.
    pub fn note(&self, line: &str) {
        let time = record::time(unix_time().as_micros() as i64);
        let record = EventRecord { time, event: "note".to_owned(), detail: None };
        self.now().tell(ToldEvent { record, line: shortened(line) });
    }
}

impl Now {
    /// Remembers an event and returns it.
    fn tell(&mut self, told: ToldEvent) -> ToldEvent {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(told.clone());
        told
    }

    /// The face that fills most of the picture, as a rule the one in front.
    pub fn largest_face(&self) -> Option<&Record> {
        expression_core::record::largest(&self.observation.faces, |face| face.bounds)
    }

    /// Whether frames arrive: false before the first one, and while the camera is lost.
    pub fn camera_is_up(&self) -> bool {
        self.observed_at.is_some()
    }

    /// How many faces there are; `None` if nobody knows, because no frame is looked at.
    pub fn face_count(&self) -> Option<usize> {
        (self.camera_is_up() && !self.paused).then_some(self.observation.faces.len())
    }
}

/// One line of plain text, cut after [`MAX_NOTE`] characters.
fn shortened(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_NOTE).collect()
}

/// The time since 1970, by the wall clock.
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
