//! What happens to the runtime, as opposed to what it sees.

use expression_core::thermal::Step;
use serde::{Deserialize, Serialize};

/// How many of the frames are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// Every one.
    Full,
    /// Every second one.
    Half,
    /// Every fourth one.
    Quarter,
    /// None.
    Paused,
}

impl From<Step> for Rate {
    fn from(step: Step) -> Rate {
        match step {
            Step::Full => Rate::Full,
            Step::Half => Rate::Half,
            Step::Quarter => Rate::Quarter,
            Step::Paused => Rate::Paused,
        }
    }
}

/// What is known of a change of the rate. Journals of earlier versions know the temperature alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Throttling {
    /// The rate before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Rate>,
    /// The rate from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Rate>,
    /// Thousandths of a degree Celsius, where the sensor can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub millicelsius: Option<i32>,
    /// The flags of a Raspberry Pi's firmware, as `vcgencmd get_throttled` documents them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<u32>,
}

/// Something worth a line in the journal. Its name and its fields are what the table `event` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A session began. The writer says so by itself.
    Start,
    /// A session ended in order. The writer says so when it is closed.
    Stop {
        /// Why: a signal, the end of the source.
        reason: String,
    },
    /// The camera gives no frames any more.
    CameraLost {
        /// The source, and what it said.
        reason: String,
    },
    /// It gives frames again.
    CameraBack {
        /// Milliseconds without a frame.
        gap_ms: u64,
    },
    /// Frames came faster than they could be read.
    FramesDropped {
        /// How many.
        frames: u64,
    },
    /// Because of the board's heat, another part of the frames is taken from now on, and not every one.
    Throttled(Throttling),
    /// Every frame is taken again.
    Unthrottled(Throttling),
    /// Somebody paused the recording.
    RecordingPaused {
        /// Who: the privacy button, a command.
        by: String,
    },
    /// Recording goes on.
    RecordingResumed {
        /// Who: the privacy button, a command.
        by: String,
    },
    /// The journal could not be written; said once it can be again. The writer says so by itself, as of all below.
    WritingFailed {
        /// `disk_full`, `read_only`, `locked`, `gone` or `other`.
        cause: String,
        /// SQLite's words.
        message: String,
    },
    /// The journal is written again.
    WritingRecovered {
        /// Seconds since it could not be written.
        seconds: f64,
    },
    /// What the queue in memory could not hold.
    RecordsLost {
        /// Records lost.
        records: u64,
        /// Events lost.
        events: u64,
        /// Seconds from the first to the last of them.
        seconds: f64,
    },
    /// The file was damaged, so a new one was begun.
    JournalDamaged {
        /// What SQLite said of it.
        reason: String,
        /// Where the damaged file lies now.
        moved_to: String,
    },
    /// Aligned faces are kept from here on, or not any more.
    KeepFaces {
        /// Whether.
        on: bool,
    },
    /// The wall clock was set, or became synchronised, or stopped being so.
    ClockChanged {
        /// Whether it is synchronised now.
        synchronised: bool,
        /// Milliseconds that it was set forward by; 0 where it was not set.
        step_ms: i64,
    },
}

impl Event {
    /// Its name, and its other fields as a JSON object where it has any: what a row of the table holds.
    pub fn to_parts(&self) -> (String, Option<String>) {
        let Ok(serde_json::Value::Object(mut fields)) = serde_json::to_value(self) else {
            return (String::new(), None);
        };
        let kind = fields.shift_remove("kind");
        let kind = kind.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        let detail = (!fields.is_empty()).then(|| serde_json::Value::Object(fields).to_string());
        (kind, detail)
    }

    /// The event of a row; `None` where a newer program wrote one that this does not know.
    pub fn from_parts(kind: &str, detail: Option<&str>) -> Option<Event> {
        let mut fields: serde_json::Map<String, serde_json::Value> = match detail {
            Some(detail) => serde_json::from_str(detail).ok()?,
            None => serde_json::Map::new(),
        };
        fields.insert("kind".into(), kind.into());
        serde_json::from_value(fields.into()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lead_back_to_their_event() {
        let events = [
            Event::Start,
            Event::Stop { reason: "SIGTERM".into() },
            Event::CameraBack { gap_ms: 1200 },
            Event::Throttled(Throttling {
                from: Some(Rate::Half),
                to: Some(Rate::Paused),
                millicelsius: Some(81_500),
                firmware: Some(0x50005),
            }),
            Event::Unthrottled(Throttling::default()),
            Event::RecordsLost { records: 3, events: 0, seconds: 0.25 },
            Event::ClockChanged { synchronised: true, step_ms: -17 },
        ];
        for event in events {
            let (kind, detail) = event.to_parts();
            assert_eq!(Event::from_parts(&kind, detail.as_deref()), Some(event), "{kind} {detail:?}");
        }
        assert_eq!(Event::CameraBack { gap_ms: 5 }.to_parts(), ("camera_back".into(), Some("{\"gap_ms\":5}".into())));
        assert_eq!(Event::Start.to_parts(), ("start".into(), None));
        let earlier = Event::from_parts("throttled", Some("{\"millicelsius\":81500}"));
        let known = Throttling { millicelsius: Some(81_500), ..Throttling::default() };
        assert_eq!(earlier, Some(Event::Throttled(known)));
        assert_eq!(Event::from_parts("teleported", None), None);
        assert_eq!(Event::from_parts("stop", Some("not json")), None);
    }
}
