//! Rows of the journal as values.

use std::sync::Arc;

use expression_core::{Label, Record, Stamp};
use serde::Serialize;

use super::Session;
use crate::event::Event;
use crate::score::ScoreScale;

/// A row of the table `record`: one face in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its number: rises with each record and event, and is never used again.
    pub id: i64,
    /// The [`SessionRow`] that it belongs to.
    pub session: i64,
    /// When the frame was captured; monotonic time in whole microseconds.
    pub stamp: Stamp,
    /// Whether the wall clock was synchronised then.
    pub synchronised: bool,
    /// Number of the frame as its source counts.
    pub sequence: u64,
    /// The file that the frame comes from, for sources of picture files.
    pub name: Option<Arc<str>>,
    /// Width and height of the frame in pixels.
    pub size: [u16; 2],
    /// What is said of the face.
    pub record: Record,
    /// Microseconds from the frame's arrival to its observation.
    pub latency_us: u32,
    /// The board's temperature in thousandths of a degree Celsius; `None` if it is unknown.
    pub millicelsius: Option<i32>,
}

/// A row of the table `event`.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// Its number, from the same count as [`Row::id`].
    pub id: i64,
    /// The [`SessionRow`] that it belongs to.
    pub session: i64,
    /// When it happened; monotonic time in whole microseconds.
    pub stamp: Stamp,
    /// Name of the event, see [`Event`].
    pub kind: String,
    /// Its fields as a JSON object, if it has any.
    pub detail: Option<String>,
}

impl EventRow {
    /// The event; `None` if a newer program wrote a kind that this one does not know.
    pub fn event(&self) -> Option<Event> {
        Event::from_parts(&self.kind, self.detail.as_deref())
    }
}

/// A record or an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A record.
    Record(Row),
    /// An event.
    Event(EventRow),
}

impl Entry {
    /// Its number.
    pub fn id(&self) -> i64 {
        match self {
            Entry::Record(row) => row.id,
            Entry::Event(row) => row.id,
        }
    }
}

/// A row of the table `session`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SessionRow {
    /// Its number, from 1.
    pub id: i64,
    /// Unix time of the start in microseconds.
    pub started_wall_us: i64,
    /// Monotonic time of the start in microseconds.
    pub started_monotonic_us: i64,
    /// Its circumstances.
    #[serde(flatten)]
    pub session: Session,
    /// Turns its scores into probabilities; `None` in journals of earlier versions.
    #[serde(skip)]
    pub scale: Option<ScoreScale>,
}

/// A row of the table `minute`: counts over a minute of the wall clock in one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Minute {
    /// The session.
    pub session: i64,
    /// Unix time in whole minutes.
    pub minute: i64,
    /// Frames seen, with and without faces.
    pub frames: u64,
    /// Of these, frames that showed a face.
    pub with_faces: u64,
    /// Faces left out because of `max_records_per_second`.
    pub thinned: u64,
}

/// An aligned face to be kept: u8, row-major, `[channels, size, size]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Face<'a> {
    /// Width and height in pixels.
    pub size: u16,
    /// 1 for grey, 3 for RGB.
    pub channels: u8,
    /// `channels * size * size` bytes.
    pub pixels: &'a [u8],
}

/// The column `label` of a label.
pub(super) fn label_code(label: Option<Label>) -> Option<u8> {
    label.map(|label| label as u8)
}
