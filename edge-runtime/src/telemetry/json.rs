//! The present as JSON, the same to the page, to other programs and to the broker.

use std::sync::atomic::Ordering::Relaxed;
#[cfg(feature = "preview")]
use std::time::Duration;

use expression_core::{Label, Record};
use serde_json::{Value, json};

use super::About;
use super::hub::{Hub, Now};

/// An observation for the page: `time` is Unix time in seconds, boxes are pixels of a frame of `size`, scores are probabilities.
#[cfg(feature = "preview")]
pub fn observation(about: &About, now: &Now, at: Duration) -> Value {
    let seen = &now.observation;
    json!({
        "sequence": seen.sequence,
        "time": seen.stamp.wall_us as f64 / 1e6,
        "size": seen.size,
        "latency_ms": f64::from(seen.latency_us) / 1e3,
        "celsius": seen.millicelsius.map(|value| f64::from(value) / 1e3),
        "frames_per_second": rounded(now.rate.per_second(at)),
        "paused": now.paused,
        "faces": seen.faces.iter().map(|face| self::face(about, face)).collect::<Vec<_>>(),
    })
}

/// A face of an observation.
#[cfg(feature = "preview")]
pub fn face(about: &About, face: &Record) -> Value {
    let bounds = face.bounds;
    json!({
        "track": face.track,
        "box": [i32::from(bounds.left), i32::from(bounds.top), i32::from(bounds.width), i32::from(bounds.height)],
        "quality": face.quality.name(),
        "label": face.label.map(Label::name),
        "confidence": rounded(f32::from(face.confidence) / 255.0),
        "scores": face.scores.map(|scores| about.probabilities(&scores).map(rounded)),
    })
}

/// Everything that a page needs to begin with. `history` is rows of second, track and scores.
#[cfg(feature = "preview")]
pub fn state(hub: &Hub) -> Value {
    let at = hub.started.elapsed();
    // Copied first: the pipeline must not wait for JSON to be written.
    let (mut state, points, events) = {
        let now = hub.now();
        let observation = now.at.map(|_| observation(&hub.about, &now, at));
        let points: Vec<_> = now.history.points().copied().collect();
        let mut state =
            json!({ "observation": observation, "paused": now.paused, "camera_lost_since": now.camera_lost });
        state["journal"] = journal(hub, &now);
        (state, points, now.events.clone())
    };
    let rows = points
        .iter()
        .map(|point| json!([point.second, point.track, hub.about.probabilities(&point.scores).map(rounded)]));
    state["history"] = rows.collect();
    state["events"] = events.iter().map(|(second, line)| json!({ "second": second, "line": line })).collect();
    state["version"] = env!("CARGO_PKG_VERSION").into();
    state["bundle"] = hub.about.bundle.as_str().into();
    state["model"] = hub.about.model.as_str().into();
    let known = Label::ALL.iter().zip(hub.about.labels).map(|(label, known)| json!([label.name(), known]));
    state["labels"] = known.collect();
    state["uptime_s"] = at.as_secs().into();
    state
}

/// How the journal is doing: why it cannot be written, `null` if it can, and how many records were lost.
pub fn journal(hub: &Hub, now: &Now) -> Value {
    json!({ "failing": now.journal_failing, "dropped": hub.counters.journal_dropped.load(Relaxed) })
}

/// With four digits after the point.
pub fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1e4).round() / 1e4
}

/// The present for a broker: the faces, and what is said of the one in front. `null` where there is none to say it of.
#[cfg(feature = "mqtt")]
pub fn summary(
    about: &About,
    seen: &crate::frame::Observation,
    front: Option<&Record>,
    rate: f32,
    paused: bool,
) -> Value {
    let scores = front.and_then(|face| face.scores).map(|scores| about.probabilities(&scores).map(rounded));
    let of = |index: usize| scores.map(|scores| scores[index]);
    let known = Label::ALL.iter().enumerate().filter(|(index, _)| about.labels[*index]);
    json!({
        "faces": seen.faces.len(),
        "label": front.and_then(|face| face.label).map(Label::name),
        "confidence": front.filter(|face| face.label.is_some()).map(|face| rounded(f32::from(face.confidence) / 255.0)),
        "track": front.map(|face| face.track),
        "quality": front.map(|face| face.quality.name()),
        "scores": known.map(|(index, label)| (label.name().to_owned(), json!(of(index)))).collect::<serde_json::Map<_, _>>(),
        "frames_per_second": rounded(rate),
        "celsius": seen.millicelsius.map(|value| f64::from(value) / 1e3),
        "paused": paused,
    })
}
