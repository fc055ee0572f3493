//! Everybody who is told what was seen and what happened.

use std::sync::Arc;

use expression_core::indicator::State;
use expression_core::record::largest;
use expression_core::{FaceInput, Label};
use expression_engine::error::Result;

use super::{AlignedFace, JournalSummary};
use crate::board::Indicator;
use crate::event::Event;
use crate::frame::{Frame, Observation};
use crate::journal::{self, Writer};
use crate::service::Service;
use crate::telemetry::Telemetry;

/// How long the end of a run waits for the last commit before the broker's turn.
#[cfg(feature = "mqtt")]
const LAST_COMMIT: std::time::Duration = std::time::Duration::from_secs(1);

/// Lights, display and privacy button.
pub trait Indicate {
    /// Shows a state. Does not wait for the lights.
    fn show(&self, state: State);
    /// Shows frames per second. Does not wait either.
    fn show_rate(&self, frames_per_second: f32);
    /// Whether the privacy button was pressed; `true` once for each press.
    fn take_press(&self) -> bool;
}

impl Indicate for Indicator {
    fn show(&self, state: State) {
        Indicator::show(self, state);
    }

    fn show_rate(&self, frames_per_second: f32) {
        Indicator::show_rate(self, frames_per_second);
    }

    fn take_press(&self) -> bool {
        Indicator::take_press(self)
    }
}

/// Who watches over the program: a service manager, a person at a terminal.
pub trait Notify {
    /// What the program is doing, in one line.
    fn status(&self, status: &str);
    /// The program was asked to stop, or its source has ended.
    fn stopping(&self);
}

impl Notify for Service {
    fn status(&self, status: &str) {
        Service::status(self, status);
    }

    fn stopping(&self) {
        Service::stopping(self);
    }
}

/// Everybody who is told what was seen and what happened. Every event is sent once, by [`Sinks::send`].
pub struct Sinks<L, S> {
    /// The journal, if one is written.
    pub journal: Option<Arc<Writer>>,
    /// Preview, metrics and broker.
    pub telemetry: Telemetry,
    /// Lights, display and privacy button.
    pub indicator: L,
    /// The service manager.
    pub service: S,
    condition: Condition,
}

/// What the events so far say about the present.
#[derive(Debug, Default)]
struct Condition {
    paused: bool,
    camera_lost: Option<String>,
    journal_failing: Option<String>,
    journal: JournalSummary,
}

impl Condition {
    fn update(&mut self, event: &Event) {
        match event {
            Event::CameraLost { reason } => self.camera_lost = Some(reason.clone()),
            Event::CameraBack { .. } => self.camera_lost = None,
            Event::RecordingPaused { .. } => self.paused = true,
            Event::RecordingResumed { .. } => self.paused = false,
            Event::WritingFailed { message, .. } => self.journal_failing = Some(message.clone()),
            Event::WritingRecovered { .. } => self.journal_failing = None,
            Event::RecordsLost { records, .. } => self.journal.lost += records,
            Event::JournalCommitted { records, .. } => self.journal.records += records,
            Event::Start
            | Event::Stop { .. }
            | Event::FramesDropped { .. }
            | Event::Throttled(_)
            | Event::Unthrottled(_)
            | Event::JournalDamaged { .. }
            | Event::KeepFaces { .. }
            | Event::OlderBundle { .. }
            | Event::FacesDeleted { .. }
            | Event::ClockChanged { .. } => {}
        }
    }

    /// What keeps the program from its work, if anything does.
    fn state(&self) -> Option<State> {
        match (self.paused, &self.camera_lost) {
            (true, _) => Some(State::Paused),
            (_, Some(_)) => Some(State::Fault),
            _ => None,
        }
    }

    /// What is wrong, in words; `None` if nothing is.
    fn problem(&self) -> Option<String> {
        let doing = match (self.paused, &self.camera_lost) {
            (true, _) => Some("paused".to_owned()),
            (_, Some(reason)) => Some(format!("camera lost: {reason}")),
            _ => None,
        };
        let journal = self
            .journal_failing
            .as_ref()
            .map(|reason| format!("journal cannot be written: {reason} ({} records lost)", self.journal.lost));
        let problems: Vec<String> = [doing, journal].into_iter().flatten().collect();
        (!problems.is_empty()).then(|| problems.join("; "))
    }
}

impl<L: Indicate, S: Notify> Sinks<L, S> {
    /// Creates the sinks of a run.
    pub fn new(journal: Option<Arc<Writer>>, telemetry: Telemetry, indicator: L, service: S) -> Sinks<L, S> {
        Sinks { journal, telemetry, indicator, service, condition: Condition::default() }
    }

    /// Tells everybody that something happened.
    pub fn send(&mut self, event: Event) {
        log(&event);
        let (state, problem) = (self.condition.state(), self.condition.problem());
        self.condition.update(&event);
        if let Some(journal) = self.journal.as_ref().filter(|_| !event.is_from_journal()) {
            journal.event(event.clone());
        }
        self.telemetry.event(&event);
        if matches!(event, Event::Start) || self.condition.state() != state {
            self.indicator.show(self.condition.state().unwrap_or(State::Watching));
        }
        if self.condition.problem() != problem {
            self.service.status(&self.condition.problem().unwrap_or_else(|| "watching".to_owned()));
        }
        if matches!(event, Event::Stop { .. }) {
            self.service.stopping();
        }
    }

    /// Tells everybody else what the journal's writer has to say of itself.
    pub fn forward_journal_reports(&mut self) {
        let reports = self.journal.as_ref().map(|journal| journal.reports()).unwrap_or_default();
        reports.into_iter().for_each(|event| self.send(event));
    }

    /// Whether anybody wants the aligned faces.
    pub fn keeps_faces(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| journal.keeps_faces())
    }

    /// Tells everybody what was seen in a frame. `faces` are the aligned faces of its records, of the geometry `input`.
    pub fn observe(&self, frame: &Frame, observation: &Observation, faces: &[AlignedFace], input: FaceInput) {
        if let Some(journal) = &self.journal {
            let face_of = |track: u32| {
                faces.iter().find(|face| face.track == track).map(|face| journal::Face {
                    size: input.size as u16,
                    channels: input.channels as u8,
                    pixels: &face.pixels,
                })
            };
            let faces: Vec<_> = observation.faces.iter().map(|record| face_of(record.track)).collect();
            journal.observe_with_faces(observation, &faces);
        }
        self.telemetry.observe(frame, observation);
        self.indicator.show(state(observation));
    }

    /// Tells the service manager how the work goes. `frames_per_second` is measured over the last second.
    pub fn status(&self, frames_per_second: f64, observation: &Observation, millicelsius: Option<i32>) {
        let mut parts = Vec::new();
        if self.condition.state().is_none() {
            let labels: Vec<_> = observation.faces.iter().filter_map(|face| face.label).map(Label::name).collect();
            let labels = if labels.is_empty() { String::new() } else { format!(" ({})", labels.join(", ")) };
            parts.push(format!("{frames_per_second:.1} frames/s"));
            parts.push(format!("{} faces{labels}", observation.faces.len()));
        }
        parts.extend(self.condition.problem());
        if self.journal.is_some() && self.condition.journal_failing.is_none() {
            parts.push(format!("journal {} records", self.condition.journal.records));
        }
        parts.extend(millicelsius.map(|now| format!("{:.1} °C", f64::from(now) / 1e3)));
        self.service.status(&parts.join(", "));
    }

    /// Ends the session: tells everybody, and writes what the journal still holds.
    ///
    /// # Errors
    /// Returns an error if some of the journal could not be written.
    pub fn close(mut self, reason: &str) -> Result<Option<JournalSummary>> {
        self.send(Event::Stop { reason: reason.to_owned() });
        let Sinks { journal, telemetry, mut condition, .. } = self;
        // What was seen last goes to the broker too, which gets what is committed.
        #[cfg(feature = "mqtt")]
        if let (Some(writer), Some(true)) = (&journal, telemetry.connected_to_broker()) {
            writer.flush(LAST_COMMIT);
        }
        // It reads the journal, and writes how far it came, until here.
        drop(telemetry);
        let Some(mut journal) = journal.and_then(Arc::into_inner) else { return Ok(None) };
        let closed = journal.finish(reason);
        journal.reports().iter().for_each(|event| condition.update(event));
        closed?;
        Ok(Some(condition.journal))
    }
}

/// The state that the largest face gives.
fn state(observation: &Observation) -> State {
    match largest(&observation.faces, |record| record.bounds) {
        None => State::Watching,
        Some(record) => record.label.map_or(State::Face, State::Label),
    }
}

/// Logs an event. The journal's thread logs its own.
fn log(event: &Event) {
    let Some(line) = event.line().filter(|_| !event.is_from_journal()) else { return };
    match event {
        Event::CameraLost { .. }
        | Event::CameraBack { .. }
        | Event::Throttled(_)
        | Event::Unthrottled(_)
        | Event::OlderBundle { .. } => {
            tracing::warn!("{line}");
        }
        _ => tracing::info!("{line}"),
    }
}
