//! What `--print` writes.

use expression_core::{Label, Record};
use serde::Serialize;

use crate::frame::Observation;

/// A frame as one JSON object.
#[derive(Debug, Serialize)]
pub struct FrameLine<'a> {
    /// Number of the frame as its source counts.
    sequence: u64,
    /// The picture file, for sources of picture files.
    file: Option<&'a str>,
    /// Unix time of the capture in seconds.
    time: f64,
    /// Milliseconds from the frame's arrival to its observation.
    latency_ms: f64,
    /// The faces, in the order of their tracks.
    faces: Vec<FaceLine>,
}

/// A face of a frame.
#[derive(Debug, Serialize)]
struct FaceLine {
    track: u32,
    /// Left, top, width and height in pixels.
    #[serde(rename = "box")]
    bounds: [i32; 4],
    quality: &'static str,
    label: Option<&'static str>,
    /// Smoothed probability of the likeliest label, 0 to 1.
    confidence: f64,
    /// In the order of [`Label::ALL`].
    integer_scores: Option<[u8; Label::COUNT]>,
}

impl<'a> From<&'a Observation> for FrameLine<'a> {
    fn from(observation: &'a Observation) -> FrameLine<'a> {
        FrameLine {
            sequence: observation.sequence,
            file: observation.name.as_deref(),
            time: observation.stamp.wall_us as f64 / 1e6,
            latency_ms: f64::from(observation.latency_us) / 1e3,
            faces: observation.faces.iter().map(FaceLine::from).collect(),
        }
    }
}

impl From<&Record> for FaceLine {
    fn from(record: &Record) -> FaceLine {
        let bounds = record.bounds;
        FaceLine {
            track: record.track,
            bounds: [bounds.left.into(), bounds.top.into(), bounds.width.into(), bounds.height.into()],
            quality: record.quality.name(),
            label: record.label.map(Label::name),
            confidence: f64::from(record.confidence) / 255.0,
            integer_scores: record.scores,
        }
    }
}
