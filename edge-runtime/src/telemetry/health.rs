//! Whether the program does its work: what `/health` answers, and what `edge-runtime health` asks for.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::hub::{Hub, unix_time};
use crate::record::{celsius, time};
use crate::score::rounded;

/// What can keep the program from its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The run loop: the bundle has passed its self-test, and frames are awaited.
    Ready,
    /// The camera.
    Camera,
    /// The journal.
    Journal,
    /// The model: another one runs than was expected.
    Model,
}

/// How the program is. `docs/watching.md` explains each field.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Whether no part fails.
    pub healthy: bool,
    /// Whether the bundle has passed its self-test and the run loop has begun.
    pub ready: bool,
    /// Version of the program.
    pub version: String,
    /// Name of the bundle.
    pub bundle: String,
    /// Hash of the int8 net, hexadecimal.
    pub model: String,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// The camera.
    pub camera: CameraHealth,
    /// The journal; `None` if none is written.
    pub journal: Option<JournalHealth>,
    /// Whether recording is paused by the privacy button or a command.
    pub paused: bool,
    /// Frames per second, the mean of the last five whole seconds.
    pub frames_per_second: f64,
    /// Faces that came into view today, by the board's local time, since the program started.
    pub faces_today: u64,
    /// Temperature of the board in degrees Celsius.
    pub celsius: Option<f64>,
    /// The newest of the last events that was a loss: of the camera, of the journal, of records.
    pub last_error: Option<LastError>,
}

/// How the camera is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CameraHealth {
    /// Whether frames arrive.
    pub up: bool,
    /// When they stopped, if they once came.
    pub lost_since: Option<String>,
}

/// How the journal is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JournalHealth {
    /// Bytes of the file and its log.
    pub bytes: u64,
    /// Since when it cannot be written.
    pub failing_since: Option<String>,
    /// Why not.
    pub failing_because: Option<String>,
}

/// A loss, in one line.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LastError {
    /// When it happened.
    pub time: String,
    /// What happened.
    pub line: String,
}

impl Health {
    /// The present health.
    pub fn new(hub: &Hub) -> Health {
        // The file system may be slow: it is asked before the hub is held.
        let bytes = hub.about.journal.as_deref().map(|path| {
            let log = Path::new(&format!("{}-wal", path.display())).to_owned();
            [path, &log].iter().filter_map(|path| path.metadata().ok()).map(|about| about.len()).sum()
        });
        let at = hub.started.elapsed();
        let mut now = hub.now();
        let faces_today = now.day.at(unix_time().as_secs() as i64).visits;
        let failing = now.journal_failing.as_ref();
        let mut health = Health {
            healthy: false,
            ready: now.is_running,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            bundle: hub.about.bundle.clone(),
            model: hub.about.model.clone(),
            uptime_s: at.as_secs(),
            camera: CameraHealth { up: now.camera_is_up(), lost_since: now.camera_lost_since.map(time) },
            journal: bytes.map(|bytes| JournalHealth {
                bytes,
                failing_since: failing.map(|(since, _)| time(*since)),
                failing_because: failing.map(|(_, reason)| reason.clone()),
            }),
            paused: now.paused,
            frames_per_second: rounded(now.rate.per_second(at)),
            faces_today,
            celsius: now.observation.millicelsius.map(celsius),
            last_error: now
                .events
                .iter()
                .rev()
                .find(|told| is_loss(&told.record.event))
                .map(|told| LastError { time: told.record.time.clone(), line: told.line.clone() }),
        };
        drop(now);
        health.healthy = health.failing(None).is_empty();
        health
    }

    /// The parts that fail and why, in one line each. With `model`, also when another model runs; the start of its hash will do.
    pub fn failing(&self, model: Option<&str>) -> Vec<(Part, String)> {
        let mut failing = Vec::new();
        if !self.ready {
            failing.push((Part::Ready, "the run has not started yet".to_owned()));
        }
        if let Some(model) = model
            && (model.is_empty()
                || !self.model.get(..model.len()).is_some_and(|start| start.eq_ignore_ascii_case(model)))
        {
            failing.push((Part::Model, format!("{} runs, not {model}", self.model)));
        }
        // While recording is paused no frame is looked at, so none may have come; a lost camera still counts.
        if !self.camera.up && (!self.paused || self.camera.lost_since.is_some()) {
            failing.push((
                Part::Camera,
                match &self.camera.lost_since {
                    Some(since) => format!("no frames since {since}"),
                    None => "no frame has come yet".to_owned(),
                },
            ));
        }
        if let Some(reason) = self.journal.as_ref().and_then(|journal| journal.failing_because.as_ref()) {
            failing.push((Part::Journal, format!("cannot be written: {reason}")));
        }
        failing
    }
}

impl Part {
    /// The name in lines and flags.
    pub const fn name(self) -> &'static str {
        match self {
            Part::Ready => "ready",
            Part::Camera => "camera",
            Part::Journal => "journal",
            Part::Model => "model",
        }
    }
}

/// Whether an event of this name is a loss that somebody should look into.
fn is_loss(name: &str) -> bool {
    ["camera_lost", "writing_failed", "records_lost", "journal_damaged"].contains(&name)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::event::Event;
    use crate::telemetry::About;

    fn hub(journal: Option<PathBuf>) -> Hub {
        Hub::new(About {
            bundle: "b".into(),
            model: "0123abcd".into(),
            source: "s".into(),
            journal,
            score_scale: 0.05,
            labels: [true; 8],
        })
    }

    fn parts(hub: &Hub) -> Vec<&'static str> {
        Health::new(hub).failing(None).into_iter().map(|(part, _)| part.name()).collect()
    }

    #[test]
    fn each_part_that_fails_is_named_and_recovers() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.sqlite");
        std::fs::write(&journal, [0; 100]).unwrap();
        std::fs::write(folder.path().join("journal.sqlite-wal"), [0; 20]).unwrap();
        let hub = hub(Some(journal));
        assert_eq!(parts(&hub), ["ready", "camera"]);
        hub.event(&Event::Start);
        assert_eq!(parts(&hub), ["camera"]);
        hub.observe(&crate::frame::Observation::default());
        assert_eq!(parts(&hub), Vec::<&str>::new());
        assert!(Health::new(&hub).healthy);
        hub.event(&Event::WritingFailed { cause: "disk_full".into(), message: "database or disk is full".into() });
        assert_eq!(parts(&hub), ["journal"]);
        let health = Health::new(&hub);
        assert_eq!(health.journal.unwrap().bytes, 120);
        assert!(health.last_error.unwrap().line.contains("disk is full"));
        hub.event(&Event::WritingRecovered { seconds: 1.0 });
        assert_eq!(parts(&hub), Vec::<&str>::new());
        hub.event(&Event::CameraLost { reason: "unplugged".into() });
        let health = Health::new(&hub);
        assert!(!health.healthy && health.failing(None)[0].1.starts_with("no frames since 20"), "{health:?}");
        assert!(health.last_error.unwrap().line.contains("unplugged"));
    }

    #[test]
    fn a_run_that_starts_paused_is_well_unless_its_camera_is_lost() {
        let hub = hub(None);
        hub.event(&Event::Start);
        hub.event(&Event::RecordingPaused { by: "start".into() });
        assert!(Health::new(&hub).healthy);
        hub.event(&Event::CameraLost { reason: "unplugged".into() });
        assert_eq!(parts(&hub), ["camera"]);
        hub.event(&Event::CameraBack { gap_ms: 100 });
        assert_eq!(parts(&hub), Vec::<&str>::new());
        hub.event(&Event::RecordingResumed { by: "mqtt".into() });
        assert_eq!(parts(&hub), ["camera"]);
    }

    #[test]
    fn without_a_journal_there_is_none_to_fail() {
        let hub = hub(None);
        hub.event(&Event::Start);
        hub.observe(&crate::frame::Observation::default());
        hub.event(&Event::WritingFailed { cause: "disk_full".into(), message: "database or disk is full".into() });
        assert_eq!(parts(&hub), Vec::<&str>::new());
    }

    #[test]
    fn another_model_than_expected_fails() {
        let health = Health { ready: true, model: "0123abcd".into(), ..Health::default() };
        let model = |expected| health.failing(Some(expected)).iter().any(|(part, _)| *part == Part::Model);
        assert!(!model("0123abcd") && !model("0123") && !model("0123ABCD"));
        assert!(model("0123abce") && model("") && model("0123abcd0"));
    }
}
