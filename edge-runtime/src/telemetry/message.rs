//! The present as JSON, the same for the page, for other programs and for the broker. `docs/records.md` describes it.

use std::time::Duration;

use serde::Serialize;

use super::hub::{Hub, Now, ToldEvent, unix_time};
use super::today::Today;
use crate::event::Rate;
use crate::record::{FaceRecord, FrameRecord, celsius, time};
use crate::score::{ScoreScale, rounded};

/// A frame as `/events` sends it.
#[derive(Debug, Clone, Serialize)]
pub struct ObservedFrame {
    #[serde(flatten)]
    frame: FrameRecord,
    /// Frames per second, the mean of the last five whole seconds.
    frames_per_second: f64,
    paused: bool,
}

/// How the program is, and what is said of the largest face.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// When the last frame was captured.
    time: Option<String>,
    camera: CameraStatus,
    journal: JournalStatus,
    paused: bool,
    /// The share of frames that is processed because the board is hot: `half`, `quarter` or `paused`; `null` if every frame is.
    throttled_to: Option<Rate>,
    frames_per_second: f64,
    celsius: Option<f64>,
    /// Faces in the last frame; `null` if no frames are looked at.
    face_count: Option<usize>,
    /// The largest face.
    face: Option<FaceRecord>,
    /// What today has brought.
    today: Today,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct CameraStatus {
    up: bool,
    lost_since: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct JournalStatus {
    failing_since: Option<String>,
    failing_because: Option<String>,
    /// Records dropped since the start.
    dropped: u64,
}

/// An event as `/events` sends it, with the status after it.
#[derive(Debug, Clone, Serialize)]
pub struct EventMessage {
    #[serde(flatten)]
    pub event: ToldEvent,
    pub status: Status,
}

/// Everything that a page begins with.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    version: &'static str,
    bundle: String,
    model: String,
    /// Names of the labels that the model has, in the order of the rows of `history`.
    labels: Vec<&'static str>,
    uptime_s: u64,
    observation: Option<ObservedFrame>,
    status: Status,
    /// Unix time in seconds, track, and a probability for each label.
    history: Vec<(i64, u32, Vec<f64>)>,
    events: Vec<ToldEvent>,
}

impl ObservedFrame {
    /// The last frame, at a time since the start.
    pub fn new(now: &Now, scale: &ScoreScale, at: Duration) -> ObservedFrame {
        ObservedFrame {
            frame: FrameRecord::new(&now.observation, scale),
            frames_per_second: rounded(now.rate.per_second(at)),
            paused: now.paused,
        }
    }
}

impl Status {
    /// The present status.
    pub fn new(hub: &Hub) -> Status {
        let at = hub.started.elapsed();
        let mut now = hub.now();
        let today = now.day.at(unix_time().as_secs() as i64);
        let seen = &now.observation;
        Status {
            today,
            time: (seen.stamp.wall_us != 0).then(|| time(seen.stamp.wall_us)),
            camera: CameraStatus { up: now.camera_is_up(), lost_since: now.camera_lost_since.map(time) },
            journal: JournalStatus {
                failing_since: now.journal_failing.as_ref().map(|(since, _)| time(*since)),
                failing_because: now.journal_failing.as_ref().map(|(_, reason)| reason.clone()),
                dropped: hub.counters.journal_dropped.load(std::sync::atomic::Ordering::Relaxed),
            },
            paused: now.paused,
            throttled_to: now.throttled_to,
            frames_per_second: rounded(now.rate.per_second(at)),
            celsius: seen.millicelsius.map(celsius),
            face_count: now.face_count(),
            face: now.largest_face().map(|face| FaceRecord::new(face, Some(&hub.scale))),
        }
    }

    /// The status without the figures that change with every frame: what is worth publishing at once.
    pub fn without_figures(&self) -> Status {
        let face = self.face.as_ref().map(|face| FaceRecord {
            track: face.track,
            quality: face.quality.clone(),
            label: face.label.clone(),
            ..FaceRecord::default()
        });
        Status { time: None, frames_per_second: 0.0, celsius: None, face, ..self.clone() }
    }
}

impl Overview {
    /// The present.
    pub fn new(hub: &Hub) -> Overview {
        let at = hub.started.elapsed();
        // Copied first: the pipeline must not wait for records to be made.
        let (observation, points, events) = {
            let now = hub.now();
            let observation = now.observed_at.map(|_| ObservedFrame::new(&now, &hub.scale, at));
            let points: Vec<_> = now.history.points().copied().collect();
            (observation, points, now.events.iter().cloned().collect())
        };
        let shares = |scores| hub.scale.probabilities(scores).0.into_iter().map(|(_, share)| share).collect();
        Overview {
            version: env!("CARGO_PKG_VERSION"),
            bundle: hub.about.bundle.clone(),
            model: hub.about.model.clone(),
            labels: hub.about.label_names().collect(),
            uptime_s: at.as_secs(),
            observation,
            status: Status::new(hub),
            history: points.iter().map(|point| (point.second, point.track, shares(&point.scores))).collect(),
            events,
        }
    }
}

/// A message as JSON. Its types always have one.
pub fn text(message: &impl Serialize) -> String {
    serde_json::to_string(message).unwrap_or_default()
}
