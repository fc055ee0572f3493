//! What happens to the runtime, as opposed to what it sees.
//!
//! Every event is sent once, to [`crate::run::Sinks`], which hands it to the journal, to telemetry, to the indicator and to the
//! service manager.

use expression_core::thermal::Step;
use serde::{Deserialize, Serialize};

/// The share of frames that is processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// Every frame.
    Full,
    /// Every second frame.
    Half,
    /// Every fourth frame.
    Quarter,
    /// No frame.
    Paused,
}

impl Rate {
    /// The rate in words, as logs and the preview show it.
    pub const fn name(self) -> &'static str {
        match self {
            Rate::Full => "every frame",
            Rate::Half => "every second frame",
            Rate::Quarter => "every fourth frame",
            Rate::Paused => "no frames",
        }
    }
}

impl Rate {
    /// The share of frames that is processed, 0 to 1.
    pub const fn share(self) -> f64 {
        match self {
            Rate::Full => 1.0,
            Rate::Half => 0.5,
            Rate::Quarter => 0.25,
            Rate::Paused => 0.0,
        }
    }
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

/// What is known about a change of the rate. Journals of earlier versions hold the temperature alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Throttling {
    /// The rate before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Rate>,
    /// The rate from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Rate>,
    /// Thousandths of a degree Celsius; `None` if no sensor can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub millicelsius: Option<i32>,
    /// The flags of a Raspberry Pi's firmware, as `vcgencmd get_throttled` documents them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<u32>,
}

impl Throttling {
    fn line(&self) -> String {
        let rate = self.to.map_or("another share of the frames", Rate::name);
        let heat = self.millicelsius.map(|now| format!(" at {:.1} °C", f64::from(now) / 1e3)).unwrap_or_default();
        format!("processing {rate}{heat}")
    }
}

/// Something that happened. Its name and its fields are what the journal's table `event` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A session began.
    Start,
    /// A session ended in order.
    Stop {
        /// Why it ended: a signal, the end of the source.
        reason: String,
    },
    /// The camera delivers no frames any more. Until [`Event::CameraBack`] nothing is known about faces.
    CameraLost {
        /// The source, and what it reported.
        reason: String,
    },
    /// The camera delivers frames again.
    CameraBack {
        /// Milliseconds without a frame.
        gap_ms: u64,
    },
    /// Frames or pictures were not processed: they came faster than they could be read, or were damaged.
    FramesDropped {
        /// Number of frames.
        frames: u64,
    },
    /// The board is hot, so only a part of the frames is processed from now on.
    Throttled(Throttling),
    /// Every frame is processed again.
    Unthrottled(Throttling),
    /// Somebody paused the recording.
    RecordingPaused {
        /// Who did: `button`, `mqtt` or `start`.
        by: String,
    },
    /// Somebody resumed the recording.
    RecordingResumed {
        /// Who resumed it: `button` or `mqtt`.
        by: String,
    },
    /// The journal cannot be written. In the journal itself the row appears once it can be written again.
    WritingFailed {
        /// `disk_full`, `read_only`, `locked`, `damaged`, `foreign`, `newer`, `gone` or `other`.
        cause: String,
        /// SQLite's message.
        message: String,
    },
    /// The journal can be written again.
    WritingRecovered {
        /// Seconds during which it could not be written.
        seconds: f64,
    },
    /// The journal's queue in memory overflowed.
    RecordsLost {
        /// Number of records lost.
        records: u64,
        /// Number of events lost.
        events: u64,
        /// Seconds from the first to the last of them.
        seconds: f64,
    },
    /// The journal has committed records to the disk. Counted by telemetry, never a row of the journal.
    JournalCommitted {
        /// Number of transactions.
        batches: u64,
        /// Number of records in them.
        records: u64,
    },
    /// The journal was damaged, so a new one was begun.
    JournalDamaged {
        /// What SQLite reported.
        reason: String,
        /// Where the damaged file is now.
        moved_to: String,
    },
    /// From now on aligned faces are kept, or no longer kept.
    KeepFaces {
        /// Whether they are kept.
        on: bool,
        /// Which of them: `all`, `unsure`, `changes` or `every=SECONDS`; `None` in journals of earlier versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        which: Option<String>,
    },
    /// Kept faces were deleted.
    FacesDeleted {
        /// Number of faces.
        faces: u64,
        /// Why: `age`, or `command` for `log faces --delete`.
        by: String,
    },
    /// The bundle of this session is older than one that the board accepted before, and was accepted all the same.
    OlderBundle {
        /// The key that signed it.
        key: String,
        /// Its sequence number.
        sequence: u64,
        /// The highest sequence number accepted before.
        newest: u64,
    },
    /// The wall clock was set, or its synchronisation began or ended.
    ClockChanged {
        /// Whether it is synchronised now.
        synchronised: bool,
        /// Milliseconds by which it was set forward; 0 if it was not set.
        step_ms: i64,
    },
}

/// Longest line about an event, in characters.
const MAX_LINE: usize = 200;

impl Event {
    /// Whether the journal's writer causes this event and writes it by itself, so that it must not be handed to the writer.
    pub fn is_from_journal(&self) -> bool {
        match self {
            Event::Start
            | Event::Stop { .. }
            | Event::WritingFailed { .. }
            | Event::WritingRecovered { .. }
            | Event::RecordsLost { .. }
            | Event::JournalCommitted { .. }
            | Event::JournalDamaged { .. }
            | Event::KeepFaces { .. }
            | Event::FacesDeleted { .. }
            | Event::ClockChanged { .. } => true,
            Event::CameraLost { .. }
            | Event::CameraBack { .. }
            | Event::FramesDropped { .. }
            | Event::Throttled(_)
            | Event::Unthrottled(_)
            | Event::RecordingPaused { .. }
            | Event::RecordingResumed { .. }
            | Event::OlderBundle { .. } => false,
        }
    }

    /// One line for people, without control characters and of at most 200 characters; `None` for what is only counted.
    pub fn line(&self) -> Option<String> {
        let line = match self {
            Event::Start => "started".to_owned(),
            Event::Stop { reason } => format!("stopped: {reason}"),
            Event::CameraLost { reason } => format!("camera lost: {reason}"),
            Event::CameraBack { gap_ms } => format!("camera back after {:.1} s", *gap_ms as f64 / 1e3),
            Event::FramesDropped { frames } => format!("{frames} frames not processed"),
            Event::Throttled(throttling) | Event::Unthrottled(throttling) => throttling.line(),
            Event::RecordingPaused { by } => format!("recording paused by {by}"),
            Event::RecordingResumed { by } => format!("recording resumed by {by}"),
            Event::WritingFailed { message, .. } => format!("journal cannot be written: {message}"),
            Event::WritingRecovered { seconds } => format!("journal written again after {seconds:.1} s"),
            Event::RecordsLost { records, events, .. } => format!("journal lost {records} records, {events} events"),
            Event::JournalCommitted { .. } => return None,
            Event::JournalDamaged { moved_to, .. } => format!("journal damaged, moved to {moved_to}"),
            Event::KeepFaces { on: true, which } => match which.as_deref().filter(|which| *which != "all") {
                Some(which) => format!("aligned faces are kept: {which}"),
                None => "aligned faces are kept".to_owned(),
            },
            Event::FacesDeleted { faces, by } => format!("{faces} kept faces were deleted ({by})"),
            Event::KeepFaces { on: false, .. } => "aligned faces are no longer kept".to_owned(),
            Event::OlderBundle { key, sequence, newest } => {
                format!("older bundle accepted: sequence number {sequence} of key {key}, after {newest}")
            }
            Event::ClockChanged { synchronised: true, step_ms } => format!("clock synchronised, set by {step_ms} ms"),
            Event::ClockChanged { synchronised: false, step_ms } => {
                format!("clock not synchronised, set by {step_ms} ms")
            }
        };
        Some(line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_LINE).collect())
    }

    /// The name of the event, and its other fields as a JSON object if it has any: what a row of the table holds.
    pub fn to_parts(&self) -> (String, Option<String>) {
        let Ok(serde_json::Value::Object(mut fields)) = serde_json::to_value(self) else {
            return (String::new(), None);
        };
        let kind = fields.shift_remove("kind");
        let kind = kind.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        let detail = (!fields.is_empty()).then(|| serde_json::Value::Object(fields).to_string());
        (kind, detail)
    }

    /// The event of a row; `None` if a newer program wrote a kind that this one does not know.
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
            Event::OlderBundle { key: "D59B8CDFD7893007".into(), sequence: 5, newest: 6 },
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

    #[test]
    fn a_line_has_no_control_characters_and_an_end() {
        let lost = Event::CameraLost { reason: format!("two\nlines{}", "x".repeat(1000)) };
        let line = lost.line().unwrap();
        assert!(line.starts_with("camera lost: two lines") && line.chars().count() == MAX_LINE, "{line}");
        let hot = Throttling { to: Some(Rate::Half), millicelsius: Some(81_500), ..Throttling::default() };
        assert_eq!(Event::Throttled(hot).line().unwrap(), "processing every second frame at 81.5 °C");
        assert_eq!(Event::JournalCommitted { batches: 1, records: 2 }.line(), None);
    }
}
