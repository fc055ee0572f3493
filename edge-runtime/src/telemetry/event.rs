//! What happens besides frames.

/// Something that happened besides frames.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The camera delivers no frames any more.
    CameraLost,
    /// The camera delivers again.
    CameraBack {
        /// How long it did not, in milliseconds.
        gap_ms: u64,
    },
    /// The frame rate is held down because of the temperature.
    Throttled {
        /// Frames a second from now on; `None` where the limit is lifted.
        frames_per_second: Option<f32>,
    },
    /// Recording was paused or goes on, by the privacy button for instance.
    Paused(bool),
    /// The journal has committed a batch.
    JournalCommitted {
        /// How many records were in it.
        records: u64,
    },
    /// The journal had to drop records, on a full disk for instance.
    JournalDropped {
        /// How many.
        records: u64,
    },
    /// Anything else that is worth a line; cut after 200 characters.
    Note(String),
}

/// Characters of a note that are kept.
const NOTE: usize = 200;

impl Event {
    /// A line for people; `None` for what happens all the time and is only counted.
    pub(super) fn line(&self) -> Option<String> {
        Some(match self {
            Event::CameraLost => "camera lost".into(),
            Event::CameraBack { gap_ms } => format!("camera back after {:.1} s", *gap_ms as f64 / 1e3),
            Event::Throttled { frames_per_second: Some(rate) } => format!("throttled to {rate:.1} frames/s"),
            Event::Throttled { frames_per_second: None } => "no longer throttled".into(),
            Event::Paused(true) => "recording paused".into(),
            Event::Paused(false) => "recording goes on".into(),
            Event::JournalCommitted { .. } => return None,
            Event::JournalDropped { records } => format!("journal dropped {records} records"),
            Event::Note(text) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(NOTE).collect(),
        })
    }
}
