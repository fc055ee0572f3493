//! The loop: frames in, records and events out, until the source ends or somebody asks to stop.
//!
//! ```text
//! Source -> Observe -> Observation -> Sinks { journal, telemetry, indicator, service }
//! Event -----------------------------^
//! ```
//! The ends are generic: a test drives the loop with frames, faces, lights and a service manager of its own.

mod backlog;
mod pause;
mod sinks;
mod summary;

use std::time::{Duration, Instant};

use expression_core::Record;
use expression_core::thermal::{Change, Policy, Step as ThermalStep};
use expression_engine::error::Result;

pub use backlog::{Journaled, WriteEntry};
pub use pause::PauseMarker;
pub use sinks::{Indicate, Notify, Sinks};
pub use summary::{JournalSummary, Summary};

use crate::board::thermal::{Thermometer, Throttle};
use crate::camera::{Next, Source};
use crate::event::{Event, Throttling};
use crate::frame::{Frame, Observation};
use crate::pipeline::{Observe, Profile, ProfileStep};
use crate::service::{Progress, Stop};

/// How often temperature, journal, lost frames and status are looked at.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// What is done with each observation besides the sinks, such as printing it.
pub type OnObservation = Box<dyn FnMut(&Observation) -> Result<()> + Send>;

/// Everything that the loop works with.
pub struct Run<P, L, S> {
    /// Where frames come from.
    pub source: Box<dyn Source>,
    /// What finds and reads faces.
    pub pipeline: P,
    /// Who is told.
    pub sinks: Sinks<L, S>,
    /// Called with each observation.
    pub on_observation: OnObservation,
    /// When to process fewer frames; `None`: always all.
    pub policy: Option<Policy>,
    /// Temperature and throttling of the board.
    pub thermometer: Thermometer,
    /// Bumped in every round of the loop, for the watchdog.
    pub progress: Progress,
    /// Ends the loop when it is asked to stop.
    pub stop: Stop,
    /// Where the time goes.
    pub profile: Profile,
    /// Ends the loop after this number of frames; `u64::MAX`: never.
    pub max_frames: u64,
    /// Whether the frames are pictures that have nothing to do with each other: all are processed, however hot it is.
    pub still: bool,
    /// Whether recording is paused until somebody resumes it.
    pub start_paused: bool,
    /// Remembers a pause should the program crash.
    pub pause_marker: PauseMarker,
}

/// What a run came to.
pub struct Outcome {
    /// What was seen.
    pub summary: Summary,
    /// Where the time went.
    pub profile: Profile,
}

/// An aligned face of the frame at hand.
pub struct AlignedFace {
    /// Number of its track.
    pub track: u32,
    /// u8 `[channels, size, size]`.
    pub pixels: Vec<u8>,
}

/// What the loop remembers from frame to frame.
#[derive(Default)]
struct Memory {
    observation: Observation,
    faces: Vec<AlignedFace>,
    sequence: Option<u64>,
    /// Frames that were not delivered, since they were last reported.
    dropped: u64,
    paused: bool,
    /// Whether the button paused: then nobody else may resume.
    paused_by_button: bool,
    /// Frames since the last housekeeping.
    frames: u64,
    millicelsius: Option<i32>,
    summary: Summary,
}

impl<P: Observe, L: Indicate, S: Notify> Run<P, L, S> {
    /// Runs to the end.
    ///
    /// # Errors
    /// Returns an error if source or engine cannot go on, or if records could not be saved at the end.
    pub fn run(mut self) -> Result<Outcome> {
        let (mut frame, mut memory) = (Frame::default(), Memory::default());
        let started = Instant::now();
        let mut last_housekeeping = started;
        self.sinks.send(Event::Start);
        let before = self.pause_marker.paused_by();
        if let Some(by) = before.or(self.start_paused.then_some("start")) {
            self.pause(true, by, &mut memory);
            memory.paused_by_button = by == "button";
        }
        let reason = loop {
            self.progress.made();
            if self.stop.is_asked() {
                break "signal";
            }
            if self.profile.frames() >= self.max_frames {
                break "number of frames";
            }
            if self.sinks.indicator.take_press() {
                let pauses = !memory.paused;
                self.pause(pauses, "button", &mut memory);
                memory.paused_by_button = pauses;
            }
            match self.sinks.telemetry.take_pause_request() {
                Some(false) if memory.paused_by_button => {
                    let refused = "recording was paused by the button, so only the button resumes it";
                    tracing::warn!("{refused}");
                    self.sinks.telemetry.note(refused);
                }
                Some(pauses) if pauses != memory.paused => self.pause(pauses, "mqtt", &mut memory),
                Some(_) | None => {}
            }
            if last_housekeeping.elapsed() >= HOUSEKEEPING {
                self.keep_house(&mut memory, last_housekeeping.elapsed());
                last_housekeeping = Instant::now();
            }
            let source = &mut self.source;
            match self.profile.time(ProfileStep::Read, || source.next(&mut frame))? {
                Next::Frame => self.process(&frame, &mut memory)?,
                Next::Waiting => {}
                Next::Lost { reason } => {
                    self.pipeline.forget();
                    memory.observation.faces.clear();
                    self.sinks.send(Event::CameraLost { reason });
                }
                Next::Back { gap } => {
                    memory.sequence = None;
                    self.sinks.send(Event::CameraBack { gap_ms: gap.as_millis() as u64 });
                }
                Next::End => break "end of the source",
            }
        };
        // Those at the end of the source have no later frame to be missed by.
        memory.summary.skipped = self.source.skipped();
        let counted = memory.summary.dropped + memory.dropped;
        memory.dropped += memory.summary.skipped.saturating_sub(counted);
        self.keep_house(&mut memory, last_housekeeping.elapsed());
        if memory.summary.skipped > 0 {
            tracing::warn!("{} pictures or frames were damaged and left out", memory.summary.skipped);
        }
        let mut summary = memory.summary;
        summary.reason = reason.to_owned();
        summary.seconds = started.elapsed().as_secs_f64();
        summary.journal = self.sinks.close(reason)?;
        Ok(Outcome { summary, profile: self.profile })
    }

    fn process(&mut self, frame: &Frame, memory: &mut Memory) -> Result<()> {
        let arrived = Instant::now();
        memory.summary.delivered += 1;
        // A source of pictures counts from 0, so that a damaged first one shows as well.
        let first = if self.still { 0 } else { frame.sequence };
        let expected = memory.sequence.replace(frame.sequence).map_or(first, |last| last + 1);
        memory.dropped += frame.sequence.saturating_sub(expected);
        let step = self.policy.as_ref().filter(|_| !self.still).map_or(ThermalStep::Full, Policy::step);
        if memory.paused || step.divisor().is_none_or(|divisor| !frame.sequence.is_multiple_of(u64::from(divisor))) {
            return Ok(());
        }
        let Memory { observation, faces, .. } = memory;
        let keeps_faces = self.sinks.keeps_faces();
        faces.clear();
        let before = self.profile.clone();
        self.pipeline.observe(frame, observation, &mut self.profile, &mut |record: &Record, pixels: &[u8]| {
            if keeps_faces {
                faces.push(AlignedFace { track: record.track, pixels: pixels.to_vec() });
            }
        })?;
        let [detector, classifier] =
            [ProfileStep::Detect, ProfileStep::Classify].map(|step| self.profile.since(&before, step));
        self.sinks.telemetry.step_times(detector, classifier);
        observation.latency_us = arrived.elapsed().as_micros().min(u128::from(u32::MAX)) as u32;
        observation.millicelsius = memory.millicelsius;
        let input = self.pipeline.input();
        let sinks = &self.sinks;
        self.profile.time(ProfileStep::Record, || sinks.observe(frame, observation, faces, input));
        self.profile.frame(observation.faces.len());
        memory.frames += 1;
        memory.summary.count(&memory.observation);
        (self.on_observation)(&memory.observation)
    }

    fn pause(&mut self, pauses: bool, by: &str, memory: &mut Memory) {
        memory.paused = pauses;
        self.pause_marker.remember(pauses.then_some(by));
        memory.observation.faces.clear();
        self.pipeline.forget();
        let by = by.to_owned();
        self.sinks.send(if memory.paused { Event::RecordingPaused { by } } else { Event::RecordingResumed { by } });
    }

    /// What is looked at once a second.
    fn keep_house(&mut self, memory: &mut Memory, elapsed: Duration) {
        let rate = memory.frames as f64 / elapsed.as_secs_f64().max(1e-3);
        memory.frames = 0;
        self.sinks.indicator.show_rate(rate as f32);
        let reading = self.thermometer.latest();
        memory.millicelsius = reading.millicelsius;
        let throttled = reading.is_throttled();
        if let Some(change) = self.policy.as_mut().and_then(|policy| policy.update(reading.millicelsius, throttled)) {
            self.sinks.send(throttling(change, reading.throttle));
        }
        if memory.dropped > 0 {
            let frames = std::mem::take(&mut memory.dropped);
            memory.summary.dropped += frames;
            self.sinks.send(Event::FramesDropped { frames });
        }
        self.sinks.forward_journal_reports();
        self.sinks.status(rate, &memory.observation, memory.millicelsius);
    }
}

/// The event of a change of the rate.
fn throttling(change: Change, firmware: Option<Throttle>) -> Event {
    let known = Throttling {
        from: Some(change.from.into()),
        to: Some(change.to.into()),
        millicelsius: change.millicelsius,
        firmware: firmware.map(|Throttle(flags)| flags),
    };
    if change.to > ThermalStep::Full { Event::Throttled(known) } else { Event::Unthrottled(known) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_says_which_rate_followed_which_and_why() {
        let change = |from, to, millicelsius| Change { from, to, millicelsius, throttled: true };
        let slower = throttling(change(ThermalStep::Half, ThermalStep::Paused, Some(85_250)), Some(Throttle(0x50005)));
        let (kind, detail) = slower.to_parts();
        assert_eq!(kind, "throttled");
        let wanted = r#"{"from":"half","to":"paused","millicelsius":85250,"firmware":327685}"#;
        assert_eq!(detail.as_deref(), Some(wanted));
        // Less slow is still slow.
        let (kind, _) = throttling(change(ThermalStep::Quarter, ThermalStep::Half, None), None).to_parts();
        assert_eq!(kind, "throttled");
        let whole = throttling(change(ThermalStep::Half, ThermalStep::Full, None), None).to_parts();
        assert_eq!(whole, ("unthrottled".into(), Some(r#"{"from":"half","to":"full"}"#.into())));
    }
}
