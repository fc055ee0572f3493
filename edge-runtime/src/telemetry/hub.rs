//! The present state of the run, shared by the pipeline, which tells it, and by those who serve it.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use expression_core::Record;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::about::About;
use super::counters::Counters;
use super::event::Event;
use super::history::History;
use super::rate::Rate;
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
    pub paused: bool,
    /// Unix time in microseconds since when the camera delivers no frames, if it once did.
    pub camera_lost_since: Option<i64>,
    /// Frames per second that the temperature allows; `None` if it sets no limit.
    pub rate_limit: Option<f32>,
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
        now.history.add(observation.stamp.wall_us.div_euclid(1_000_000), &observation.faces);
        at
    }

    /// Takes in an event; returns what listeners are told, `None` for what happens all the time and is only counted.
    pub fn event(&self, event: Event) -> Option<ToldEvent> {
        let (counters, wall_us) = (&self.counters, unix_time().as_micros() as i64);
        let mut now = self.now();
        let (name, detail, line) = match event {
            Event::CameraLost => {
                counters.camera_losses.fetch_add(1, Relaxed);
                // The numbers of its next frames may start anywhere, and nothing stale is told meanwhile.
                now.observed_at = None;
                now.observation.faces.clear();
                now.camera_lost_since.get_or_insert(wall_us);
                ("camera_lost", Value::Null, "camera lost".to_owned())
            }
            Event::CameraBack { gap_ms } => {
                now.camera_lost_since = None;
                ("camera_back", json!({ "gap_ms": gap_ms }), format!("camera back after {:.1} s", gap_ms as f64 / 1e3))
            }
            Event::Throttled { frames_per_second: limit } => {
                now.rate_limit = limit;
                match limit {
                    Some(limit) => (
                        "throttled",
                        json!({ "frames_per_second": crate::score::rounded(limit) }),
                        format!("throttled to {limit:.1} frames/s"),
                    ),
                    None => ("unthrottled", Value::Null, "no longer throttled".to_owned()),
                }
            }
            Event::Paused(true) => {
                now.paused = true;
                now.observation.faces.clear();
                ("recording_paused", Value::Null, "recording paused".to_owned())
            }
            Event::Paused(false) => {
                now.paused = false;
                ("recording_resumed", Value::Null, "recording resumed".to_owned())
            }
            Event::JournalCommitted { records } => {
                counters.journal_commits.fetch_add(1, Relaxed);
                counters.journal_records.fetch_add(records, Relaxed);
                return None;
            }
            Event::JournalDropped { records } => {
                counters.journal_dropped.fetch_add(records, Relaxed);
                ("records_lost", json!({ "records": records }), format!("journal dropped {records} records"))
            }
            Event::JournalFailing { reason } => {
                let detail = json!({ "message": reason });
                let line = format!("journal cannot be written: {}", shortened(&reason));
                now.journal_failing.get_or_insert((wall_us, shortened(&reason)));
                ("writing_failed", detail, line)
            }
            Event::JournalRecovered => {
                let since = now.journal_failing.take().map_or(wall_us, |(since, _)| since);
                let seconds = (wall_us - since).max(0) as f64 / 1e6;
                let line = format!("journal can be written again after {seconds:.1} s");
                ("writing_recovered", json!({ "seconds": seconds }), line)
            }
            Event::Note(text) => ("note", json!({ "text": shortened(&text) }), shortened(&text)),
        };
        let detail = match detail {
            Value::Object(fields) => Some(fields),
            _ => None,
        };
        Some(now.remember(wall_us, name, detail, line))
    }

    /// Remembers a line that comes from telemetry itself.
    pub fn note(&self, text: &str) {
        let detail = Map::from_iter([("text".to_owned(), text.into())]);
        self.now().remember(unix_time().as_micros() as i64, "note", Some(detail), shortened(text));
    }
}

impl Now {
    /// Adds an event to the newest ones, and drops the oldest.
    fn remember(&mut self, wall_us: i64, name: &str, detail: Option<Map<String, Value>>, line: String) -> ToldEvent {
        let told =
            ToldEvent { record: EventRecord { time: record::time(wall_us), event: name.to_owned(), detail }, line };
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(told.clone());
        told
    }

    /// The face that fills most of the picture, as a rule the one in front.
    pub fn largest_face(&self) -> Option<&Record> {
        let area = |face: &&Record| u32::from(face.bounds.width) * u32::from(face.bounds.height);
        self.observation.faces.iter().max_by_key(area)
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
