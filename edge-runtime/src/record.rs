//! The records that the program writes for other programs. `classify`, `run --print`, the preview's `/events` and
//! `/api/state`, MQTT, `log tail --json` and `log export --format jsonl` all use these types. `docs/records.md` describes every
//! field, and a test holds what is written to `docs/records.schema.json`.

use expression_core::{Label, Record};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::frame::Observation;
use crate::journal::{EventRow, Row, SessionRow};
use crate::score::{ScoreScale, Scores, rounded};

/// One face in one frame.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FaceRecord {
    /// Number of the track, from 1; the same face has it in every frame of its visit. `None` for single pictures.
    pub track: Option<u32>,
    /// Left, top, width and height of the face in pixels of the frame; it may reach outside. `None` if no face was looked for,
    /// because the picture was taken to be one.
    #[serde(rename = "box")]
    pub bounds: Option<[i32; 4]>,
    /// `good`, or why the face cannot be read: `small`, `turned`, `blurred` or `cut`. `None` if it was not judged.
    pub quality: Option<String>,
    /// Name of the expression; `None` while nothing is sure enough.
    pub label: Option<String>,
    /// Probability of the likeliest label, 0 to 1, smoothed over the track.
    pub confidence: Option<f64>,
    /// The net's probabilities for this frame alone, by the name of the label. `None` for faces that cannot be read.
    pub scores: Option<Scores>,
    /// The net's integer scores that `scores` were made of, 0 to 255, in the same order.
    pub integer_scores: Option<Vec<u8>>,
}

impl FaceRecord {
    /// The record of a tracked face; without a scale it has no probabilities.
    pub fn new(record: &Record, scale: Option<&ScoreScale>) -> FaceRecord {
        let bounds = record.bounds;
        let integers = |scores: [u8; Label::COUNT]| match scale {
            Some(scale) => scale.labels().map(|label| scores[label as usize]).collect(),
            None => scores.to_vec(),
        };
        FaceRecord {
            track: Some(record.track),
            bounds: Some([bounds.left.into(), bounds.top.into(), bounds.width.into(), bounds.height.into()]),
            quality: Some(record.quality.name().to_owned()),
            label: record.label.map(|label| label.name().to_owned()),
            confidence: Some(rounded(f32::from(record.confidence) / 255.0)),
            scores: record.scores.zip(scale).map(|(scores, scale)| scale.probabilities(&scores)),
            integer_scores: record.scores.map(integers),
        }
    }
}

/// One frame, or one picture file, and the faces in it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FrameRecord {
    /// The picture file that the frame comes from.
    pub file: Option<String>,
    /// When the frame was captured: RFC 3339, in UTC.
    pub time: Option<String>,
    /// Number of the frame as its source counts, from 0.
    pub frame: Option<u64>,
    /// Width of the frame in pixels.
    pub frame_width: u32,
    /// Height of the frame in pixels.
    pub frame_height: u32,
    /// Milliseconds from the frame's arrival to this record.
    pub latency_ms: f64,
    /// Temperature of the board in degrees Celsius.
    pub celsius: Option<f64>,
    /// The faces, in the order of their tracks.
    pub faces: Vec<FaceRecord>,
}

impl FrameRecord {
    /// The record of an observed frame.
    pub fn new(seen: &Observation, scale: &ScoreScale) -> FrameRecord {
        FrameRecord {
            file: seen.name.clone(),
            time: Some(time(seen.stamp.wall_us)),
            frame: Some(seen.sequence),
            frame_width: seen.size[0].into(),
            frame_height: seen.size[1].into(),
            latency_ms: f64::from(seen.latency_us) / 1e3,
            celsius: seen.millicelsius.map(celsius),
            faces: seen.faces.iter().map(|face| FaceRecord::new(face, Some(scale))).collect(),
        }
    }
}

/// One face in one frame, as the journal has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalFace {
    /// Number of the entry, from the same count as that of [`JournalEvent`]; it rises and never comes again.
    pub id: i64,
    /// When the frame was captured: RFC 3339, in UTC.
    pub time: String,
    /// Whether the wall clock was synchronised then.
    pub clock_synchronised: bool,
    /// The same moment by the monotonic clock, in microseconds; comparable within one boot.
    pub monotonic_us: i64,
    /// The kernel's name for the boot.
    pub boot_id: String,
    /// Number of the session: one run of the program.
    pub session: i64,
    /// Number of the frame as its source counts, from 0.
    pub frame: u64,
    /// The picture file that the frame comes from.
    pub file: Option<String>,
    /// Width of the frame in pixels.
    pub frame_width: u32,
    /// Height of the frame in pixels.
    pub frame_height: u32,
    /// What was seen of the face.
    #[serde(flatten)]
    pub face: FaceRecord,
    /// Milliseconds from the frame's arrival to this record.
    pub latency_ms: f64,
    /// Temperature of the board in degrees Celsius.
    pub celsius: Option<f64>,
    /// Name of the bundle.
    pub bundle: String,
    /// SHA-256 of the bundle's int8 net, in hexadecimal.
    pub model_sha256: String,
}

impl JournalFace {
    /// The record of a row and its session; without the session's scale it has no probabilities.
    pub fn new(row: &Row, session: &SessionRow) -> JournalFace {
        JournalFace {
            id: row.id,
            time: time(row.stamp.wall_us),
            clock_synchronised: row.synchronised,
            monotonic_us: (row.stamp.monotonic_ns / 1000) as i64,
            boot_id: session.session.boot_id.clone(),
            session: row.session,
            frame: row.sequence,
            file: row.name.as_deref().map(str::to_owned),
            frame_width: row.size[0].into(),
            frame_height: row.size[1].into(),
            face: FaceRecord::new(&row.record, session.scale.as_ref()),
            latency_ms: f64::from(row.latency_us) / 1e3,
            celsius: row.millicelsius.map(celsius),
            bundle: session.session.bundle.clone(),
            model_sha256: session.session.model_sha256.clone(),
        }
    }
}

/// Something that happened to the program, as opposed to what it saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// When: RFC 3339, in UTC.
    pub time: String,
    /// Which event, such as `camera_lost`.
    pub event: String,
    /// What is known of it; the fields depend on the event.
    pub detail: Option<Map<String, Value>>,
}

/// An event, as the journal has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalEvent {
    /// Number of the entry, from the same count as that of [`JournalFace`].
    pub id: i64,
    /// What happened, and when.
    #[serde(flatten)]
    pub event: EventRecord,
    /// The same moment by the monotonic clock, in microseconds; comparable within one boot.
    pub monotonic_us: i64,
    /// The kernel's name for the boot.
    pub boot_id: String,
    /// Number of the session: one run of the program.
    pub session: i64,
}

impl JournalEvent {
    /// The record of a row and its session.
    pub fn new(row: &EventRow, session: &SessionRow) -> JournalEvent {
        JournalEvent {
            id: row.id,
            event: EventRecord {
                time: time(row.stamp.wall_us),
                event: row.kind.clone(),
                detail: row.detail.as_deref().map(detail),
            },
            monotonic_us: (row.stamp.monotonic_ns / 1000) as i64,
            boot_id: session.session.boot_id.clone(),
            session: row.session,
        }
    }
}

/// What a journal holds of an event. A damaged one may hold anything; it is passed on as `text`.
fn detail(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_else(|_| Map::from_iter([("text".to_owned(), text.into())]))
}

/// A moment in RFC 3339, in UTC, to the microsecond; the bare number for a year that cannot be written.
pub fn time(wall_us: i64) -> String {
    match jiff::Timestamp::from_microsecond(wall_us) {
        Ok(moment) => format!("{moment:.6}"),
        Err(_) => wall_us.to_string(),
    }
}

/// Thousandths of a degree as degrees.
pub fn celsius(millicelsius: i32) -> f64 {
    f64::from(millicelsius) / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_are_written() {
        let scores = Some([1, 2, 3, 4, 5, 6, 7, 8]);
        let record = Record {
            track: 3,
            bounds: expression_core::Bounds { left: -4, top: 5, width: 60, height: 70 },
            quality: expression_core::Quality::Good,
            scores,
            label: Some(Label::Fear),
            confidence: 255,
        };
        let mut labels = [true; 8];
        labels[7] = false;
        let face = FaceRecord::new(&record, Some(&ScoreScale::new(0.1, labels)));
        assert_eq!(face.integer_scores.as_deref(), Some(&[1, 2, 3, 4, 5, 6, 7][..]));
        let text = serde_json::to_string(&face).unwrap();
        assert!(
            text.starts_with(
                r#"{"track":3,"box":[-4,5,60,70],"quality":"good","label":"fear","confidence":1.0,"scores":{"neutral":"#
            ),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<FaceRecord>(&text).unwrap(), face);
        assert!(serde_json::from_str::<FaceRecord>(&text.replace("\"surprise\"", "\"boredom\"")).is_err());
    }
}
