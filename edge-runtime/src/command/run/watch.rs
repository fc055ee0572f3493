//! The loop: frames in, records out, until the source ends or somebody asks to stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use expression_core::indicator::State;
use expression_core::thermal::{Change, Policy, Step as Rate};
use expression_engine::Error;
use expression_engine::error::Result;

use crate::board::Indicator;
use crate::board::thermal::{Thermometer, Throttle};
use crate::camera::{Next, Source};
use crate::frame::{Frame, Observation};
use crate::journal::{self, Event, Throttling, Writer};
use crate::pipeline::{Pipeline, Profile, Step};
use crate::record::FrameRecord;
use crate::score::ScoreScale;
use crate::service::{Progress, Service, Stop};
use crate::telemetry::{self, Telemetry};

/// How often temperature, status and lost frames are looked at.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// Everything that the loop works with.
pub struct Watch {
    pub source: Box<dyn Source>,
    pub pipeline: Pipeline,
    pub journal: Option<Arc<Writer>>,
    pub telemetry: Telemetry,
    pub indicator: Indicator,
    pub policy: Option<Policy>,
    pub thermometer: Thermometer,
    pub service: Service,
    pub progress: Progress,
    pub stop: Stop,
    pub profile: Profile,
    pub most_frames: u64,
    pub print: bool,
    /// Turns the scores of printed records into probabilities.
    pub scale: ScoreScale,
    /// Whether frames are pictures that have nothing to do with each other.
    pub still: bool,
}

/// What the loop remembers from frame to frame.
#[derive(Default)]
struct Memory {
    observation: Observation,
    /// Aligned faces of the frame at hand, by track.
    faces: Vec<(u32, Vec<u8>)>,
    sequence: Option<u64>,
    dropped: u64,
    paused: bool,
    lost: bool,
    /// Frames since the last housekeeping.
    frames: u64,
    committed: i64,
    millicelsius: Option<i32>,
}

impl Watch {
    /// Runs to the end; gives where the time went.
    ///
    /// # Errors
    /// Where source or engine cannot go on, or records could not be saved at the end.
    pub fn run(mut self) -> Result<Profile> {
        let (mut frame, mut memory) = (Frame::default(), Memory::default());
        let mut kept = Instant::now();
        self.indicator.show(State::Watching);
        let reason = loop {
            self.progress.made();
            if self.stop.is_asked() {
                break "signal";
            }
            if self.profile.frames() >= self.most_frames {
                break "number of frames";
            }
            if self.indicator.pressed() {
                self.pause(&mut memory);
            }
            if kept.elapsed() >= HOUSEKEEPING {
                self.keep_house(&mut memory, kept.elapsed());
                kept = Instant::now();
            }
            let source = &mut self.source;
            match self.profile.time(Step::Read, || source.next(&mut frame))? {
                Next::Frame => self.frame(&frame, &mut memory)?,
                Next::Waiting => {}
                Next::Lost { reason } => {
                    tracing::warn!("camera lost: {reason}");
                    memory.lost = true;
                    self.pipeline.forget();
                    self.event(Event::CameraLost { reason });
                    self.telemetry.event(telemetry::Event::CameraLost);
                    self.indicator.show(State::Fault);
                }
                Next::Back { gap } => {
                    (memory.lost, memory.sequence) = (false, None);
                    let gap_ms = gap.as_millis() as u64;
                    self.event(Event::CameraBack { gap_ms });
                    self.telemetry.event(telemetry::Event::CameraBack { gap_ms });
                    self.indicator.show(State::Watching);
                }
                Next::End => break "end of the source",
            }
        };
        self.service.stopping();
        self.keep_house(&mut memory, kept.elapsed());
        if self.source.skipped() > 0 {
            tracing::warn!("{} pictures or frames were damaged and left out", self.source.skipped());
        }
        // It reads the journal, and writes how far it came, until here.
        drop(self.telemetry);
        if let Some(journal) = self.journal.take().and_then(Arc::into_inner) {
            journal.close(reason)?;
        }
        Ok(self.profile)
    }

    fn frame(&mut self, frame: &Frame, memory: &mut Memory) -> Result<()> {
        let arrived = Instant::now();
        let expected = memory.sequence.replace(frame.sequence).map_or(frame.sequence, |last| last + 1);
        memory.dropped += frame.sequence.saturating_sub(expected);
        // Pictures are all read, however hot it is.
        let divisor =
            if self.still { Some(1) } else { self.policy.as_ref().map_or(Rate::Full, Policy::step).divisor() };
        if memory.paused || divisor.is_none_or(|divisor| !frame.sequence.is_multiple_of(u64::from(divisor))) {
            return Ok(());
        }
        let Memory { observation, faces, .. } = memory;
        let keep = self.journal.is_some();
        faces.clear();
        self.pipeline.observe(frame, observation, &mut self.profile, |record, face| {
            if keep {
                faces.push((record.track, face.to_vec()));
            }
        })?;
        observation.latency_us = arrived.elapsed().as_micros().min(u128::from(u32::MAX)) as u32;
        observation.millicelsius = memory.millicelsius;
        memory.frames += 1;
        let (journal, telemetry, indicator) = (&self.journal, &self.telemetry, &self.indicator);
        let input = self.pipeline.engine().input();
        self.profile.time(Step::Record, || {
            if let Some(journal) = journal {
                let of = |track: u32| {
                    faces.iter().find(|(id, _)| *id == track).map(|(_, pixels)| journal::Face {
                        size: input.size as u16,
                        channels: input.channels as u8,
                        pixels,
                    })
                };
                let kept: Vec<_> = observation.faces.iter().map(|record| of(record.track)).collect();
                journal.observe_with_faces(observation, &kept);
            }
            telemetry.observe(frame, observation);
            indicator.show(state(observation));
        });
        self.profile.frame(memory.observation.faces.len());
        if self.print {
            let record = FrameRecord::new(&memory.observation, &self.scale);
            expression_engine::error::print(&serde_json::to_string(&record).map_err(Error::failure)?)?;
        }
        Ok(())
    }

    fn pause(&mut self, memory: &mut Memory) {
        memory.paused = !memory.paused;
        let by = "button".to_owned();
        self.event(if memory.paused { Event::RecordingPaused { by } } else { Event::RecordingResumed { by } });
        self.telemetry.event(telemetry::Event::Paused(memory.paused));
        self.pipeline.forget();
        self.indicator.show(if memory.paused { State::Paused } else { State::Watching });
    }

    /// What is looked at once a second.
    fn keep_house(&mut self, memory: &mut Memory, elapsed: Duration) {
        let rate = memory.frames as f64 / elapsed.as_secs_f64().max(1e-3);
        memory.frames = 0;
        self.indicator.show_rate(rate as f32);
        let reading = self.thermometer.latest();
        memory.millicelsius = reading.millicelsius;
        let throttled = reading.is_throttled();
        if let Some(change) = self.policy.as_mut().and_then(|policy| policy.update(reading.millicelsius, throttled)) {
            self.throttled(change, reading.throttle);
        }
        if memory.dropped > 0 {
            let frames = std::mem::take(&mut memory.dropped);
            self.event(Event::FramesDropped { frames });
        }
        if let Some(journal) = &self.journal {
            let committed = journal.committed();
            let records = (committed - memory.committed).max(0) as u64;
            if records > 0 {
                self.telemetry.event(telemetry::Event::JournalCommitted { records });
            }
            memory.committed = committed;
        }
        let doing = match (memory.lost, memory.paused) {
            (true, _) => "camera lost".to_owned(),
            (_, true) => "paused".to_owned(),
            _ => format!("{rate:.1} frames/s, {} faces", memory.observation.faces.len()),
        };
        self.service.status(&doing);
    }

    fn throttled(&mut self, change: Change, firmware: Option<Throttle>) {
        tracing::warn!("{} instead of {}", change.to.name(), change.from.name());
        self.event(throttling(change, firmware));
        let heat = change.millicelsius.map(|now| format!(" at {:.1} °C", f64::from(now) / 1e3)).unwrap_or_default();
        self.telemetry.event(telemetry::Event::Note(format!("{}{heat}", change.to.name())));
    }

    fn event(&self, event: Event) {
        if let Some(journal) = &self.journal {
            journal.event(event);
        }
    }
}

/// A change of the rate as the journal has it.
fn throttling(change: Change, firmware: Option<Throttle>) -> Event {
    let known = Throttling {
        from: Some(change.from.into()),
        to: Some(change.to.into()),
        millicelsius: change.millicelsius,
        firmware: firmware.map(|Throttle(flags)| flags),
    };
    if change.to > Rate::Full { Event::Throttled(known) } else { Event::Unthrottled(known) }
}

/// What the indicator shows: the label of the largest face.
fn state(observation: &Observation) -> State {
    let size = |record: &&expression_core::Record| u32::from(record.bounds.width) * u32::from(record.bounds.height);
    match observation.faces.iter().max_by_key(size) {
        None => State::Watching,
        Some(record) => record.label.map_or(State::Face, State::Label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_says_which_rate_followed_which_and_why() {
        let change = |from, to, millicelsius| Change { from, to, millicelsius, throttled: true };
        let slower = throttling(change(Rate::Half, Rate::Paused, Some(85_250)), Some(Throttle(0x50005)));
        let (kind, detail) = slower.to_parts();
        assert_eq!(kind, "throttled");
        let wanted = r#"{"from":"half","to":"paused","millicelsius":85250,"firmware":327685}"#;
        assert_eq!(detail.as_deref(), Some(wanted));
        // Less slow is still slow.
        assert_eq!(throttling(change(Rate::Quarter, Rate::Half, None), None).to_parts().0, "throttled");
        let whole = throttling(change(Rate::Half, Rate::Full, None), None).to_parts();
        assert_eq!(whole, ("unthrottled".into(), Some(r#"{"from":"half","to":"full"}"#.into())));
    }
}
