//! `edge-runtime run`

mod keep_faces;
mod mqtt_payload;
mod outputs;
mod recording;
mod sandbox;
mod terminal;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use expression_core::Turn;
use expression_engine::error::{Context, Result};
use expression_engine::{Bundle, EngineOptions, Error};

use crate::board::{Board, Flip, Indicator, thermal};
use crate::camera::{self, Format, Source, Spec};
use crate::command::settings::Settings;
use crate::journal;
use crate::number::whole;
use crate::pipeline::{Pipeline, PipelineOptions, Profile};
use crate::record::FrameRecord;
use crate::run::{OnObservation, Outcome, PauseMarker, Run, Sinks};
use crate::score::ScoreScale;
use crate::service::{self, Progress, Service, Stop};
use crate::telemetry;
use crate::trust::{self, Policy};
use recording::Recording;
use values::{interval, record_rate, rotation, seconds, size};

/// Watch a camera, a video or pictures: find faces, track them, classify their expressions and record them
///
/// Defaults come from the board file: the built-in one of this machine, or the one of --board. Each flag that a board file can
/// hold has a variable that overrides it: --preview-rate is EDGE_RUNTIME_PREVIEW_RATE. `config show` lists them and shows where each
/// value comes from. SIGTERM or Ctrl-C ends the run without losing a record.
///
/// Examples:
///   edge-runtime run --journal --preview 127.0.0.1:8080
///   edge-runtime run --source dir:pictures --print
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Cmd {
    /// Folder of the bundle [default: the board's]
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Name of a built-in board, or path of a board file [default: this machine]
    #[arg(long, value_name = "NAME|FILE")]
    board: Option<String>,
    /// Threads that share one inference [default: the board's]
    #[arg(long, value_name = "N", value_parser = whole::<u16>("a whole number of threads", 1..=256))]
    threads: Option<u16>,
    /// Run the face detector on every Nth frame and track faces in between [default: the board's]
    #[arg(long, value_name = "N", value_parser = whole::<u32>("a whole number of frames", 1..=100))]
    detect_every: Option<u32>,
    /// Stop after N frames
    #[arg(long, value_name = "N", value_parser = whole::<u64>("a whole number of frames", 0..=u64::MAX))]
    frames: Option<u64>,
    /// Write one JSON object per frame to stdout; docs/records.md describes it
    #[arg(long)]
    print: bool,
    /// At the end, write each step's share of the time to stdout, as a table or as JSON
    #[arg(long, value_name = "FORM", num_args = 0..=1, default_missing_value = "table")]
    profile: Option<ProfileForm>,
    /// v4l2:/dev/video0, command:"PROGRAM ARGUMENTS", rtsp://CAMERA/PATH, FILE.mp4, y4m:FILE, y4m:- (stdin), dir:FOLDER or
    /// images:PATTERN; docs/sources.md explains each [default: the board's camera]
    #[arg(long, value_name = "SOURCE", help_heading = "Source")]
    source: Option<Spec>,
    /// Width and height in pixels that a camera is asked for, or that a program writes, such as 640x480
    #[arg(long, value_name = "WxH", value_parser = size, help_heading = "Source")]
    frame_size: Option<[u32; 2]>,
    /// Format that a camera is asked for, or that a program writes: gray, nv12, i420, yuyv, uyvy, mjpeg or y4m
    #[arg(long, value_name = "FORMAT", help_heading = "Source")]
    frame_format: Option<Format>,
    /// Bytes from one row to the next in the raw frames of a program, if it pads rows
    #[arg(
        long,
        value_name = "BYTES",
        value_parser = whole::<usize>("a whole number of bytes", 1..=u64::MAX),
        help_heading = "Source"
    )]
    frame_stride: Option<usize>,
    /// Frames per second that a camera is asked for
    #[arg(
        long,
        value_name = "N",
        value_parser = whole::<u32>("whole frames per second", 1..=1000),
        help_heading = "Source"
    )]
    frame_rate: Option<u32>,
    /// Turn frames clockwise by 0, 90, 180 or 270 degrees, for a camera that is mounted on its side or upside down
    #[arg(long, value_name = "DEGREES", value_parser = rotation, allow_hyphen_values = true, help_heading = "Source")]
    rotate: Option<Turn>,
    /// Mirror frames, after they were rotated
    #[arg(long, value_name = "DIRECTION", help_heading = "Source")]
    flip: Option<Flip>,
    /// Reopen the camera after SECONDS without a frame, such as 60 [default: several frame intervals, at least 3 s]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Source")]
    stall: Option<Duration>,
    /// Play a video at its frame rate instead of as fast as possible
    #[arg(long, help_heading = "Source")]
    realtime: bool,
    /// Fail if the camera cannot be opened at the start, or ends or is lost before its first frame, instead of waiting for it
    #[arg(long, help_heading = "Source")]
    require_camera: bool,
    /// Record to this journal, which is created if it is missing; without FILE, or with true, to the board's; false records nothing
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        overrides_with = "journal",
        value_parser = Recording::parser(),
        value_hint = clap::ValueHint::AnyPath,
        help_heading = "Journal"
    )]
    journal: Option<Option<Recording>>,
    /// Commit the journal every SECONDS; a power cut loses at most this much [default: the board's, or 2]
    #[arg(long, value_name = "SECONDS", value_parser = interval, help_heading = "Journal")]
    commit_every: Option<Duration>,
    /// Record each face at most N times per second; inf records every frame [default: the board's, or 5]
    #[arg(long, value_name = "N", value_parser = record_rate, help_heading = "Journal")]
    records_per_second: Option<f32>,
    /// Keep the journal below this size; the oldest records are deleted first [default: the board's, or 256]
    #[arg(
        long,
        value_name = "MIB",
        value_parser = whole::<u64>("a whole number of MiB", 1..=1_000_000),
        help_heading = "Journal"
    )]
    journal_size: Option<u64>,
    /// Do not confine the program to the files, devices and ports that this run needs. For development only
    #[arg(long)]
    no_sandbox: bool,
    #[command(flatten)]
    keep_faces: keep_faces::Args,
    /// Start with recording paused, until the privacy button or a message to PREFIX/pause/set resumes it
    #[arg(long, help_heading = "Privacy")]
    start_paused: bool,
    #[command(flatten)]
    watching: telemetry::Args,
    #[command(flatten)]
    trust: trust::Flags,
}

/// A source that is open already, and what to do once the preview is served.
pub struct Opened {
    /// Where frames come from; they follow each other.
    pub source: Box<dyn Source>,
    /// Called with the address of the preview.
    pub on_preview: Box<dyn FnOnce(SocketAddr)>,
}

/// How the profile is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ProfileForm {
    Table,
    Json,
}

impl Cmd {
    /// Runs the command until its source ends or a signal asks it to stop. `started` is when the program started.
    ///
    /// # Errors
    /// Returns an error if the bundle is refused, if board, source, journal or addresses are bad input, or if the source ended
    /// without a frame.
    pub fn run(&self, started: Instant, settings: &Settings) -> Result<()> {
        self.run_with(started, settings, None)
    }

    /// [`Cmd::run`] with a source that is open already, instead of the one that the settings name. Such a run is not confined: the
    /// source may have started threads.
    ///
    /// # Errors
    /// As [`Cmd::run`].
    pub fn run_with(&self, started: Instant, settings: &Settings, opened: Option<Opened>) -> Result<()> {
        let board = &settings.board;
        let config = self.journal_config(board)?;
        let spec = self.source.clone().map_or_else(|| board.camera.source.parse(), Ok)?;
        let still = opened.is_none() && matches!(spec, Spec::Dir { .. } | Spec::Images { .. });
        let open_source = || camera::open(&spec, &self.camera_options(&board.camera));
        // Finding pictures starts no thread, and shows which files the run has to read.
        let pictures = still.then(open_source).transpose()?;
        let folder = self.bundle.as_deref().unwrap_or(Path::new(&board.paths.bundle));
        let path = self.journal(board);
        let watching = self.watching.options()?;
        let mut policy = self.policy(board)?;
        let runtime = service::runtime_directory();
        if self.no_sandbox {
            tracing::warn!("--no-sandbox: the program can open everything that its user may open");
        } else if opened.is_none() {
            // Before the first thread is started: a thread that runs already would not be confined.
            let mut sandbox = sandbox::of_run(board, &spec, pictures.as_deref(), folder, path, &watching);
            sandbox.write.extend(policy.folder().map(Path::to_owned));
            sandbox.write.extend(runtime.clone());
            sandbox::enter(&sandbox)?;
        }
        let stop = Stop::on_signals().context("cannot handle signals")?;
        let progress = Progress::default();
        let service = terminal::Terminal::new(Service::start(progress.clone()));
        let indicator = Indicator::open(board);
        let (bundle, pipeline) = self.open_pipeline(folder, board, still, &policy)?;
        let (source, on_preview) = match opened {
            Some(Opened { source, on_preview }) => (source, Some(on_preview)),
            None => (pictures.map_or_else(open_source, Ok)?, None),
        };
        let description = source.describe();
        let engine = pipeline.engine();
        let scale = ScoreScale::new(bundle.manifest().output.scale, outputs::labels(engine));
        let journal = path.map(|path| outputs::open_journal(path, config, settings, &bundle, engine)).transpose()?;
        let journal = journal.map(Arc::new);
        let camera = source_name(&spec);
        let telemetry = outputs::start_telemetry(watching, camera, &bundle, engine, path.zip(journal.as_ref()))?;
        #[cfg(feature = "preview")]
        if let Some((tell, address)) = on_preview.zip(telemetry.preview_address()) {
            tell(address);
        }
        #[cfg(not(feature = "preview"))]
        drop(on_preview);
        self.warn_if_unheard(path.is_some());
        if let Some(warning) = policy.warning(&bundle) {
            tracing::warn!("{warning}");
        }
        service.ready(&format!("watching {description}"));
        let mut sinks = Sinks::new(journal, telemetry, indicator, service);
        if let Some(event) = policy.event(bundle.verdict()) {
            sinks.send(event);
        }
        policy.remember(bundle.verdict());
        let run = Run {
            source,
            pipeline,
            sinks,
            on_observation: self.on_observation(scale),
            policy: expression_core::thermal::Policy::new(board.thermal.limits()),
            thermometer: thermal::Thermometer::start(thermal::Sensors::find(Path::new("/"), &board.thermal)),
            progress,
            stop: stop.clone(),
            profile: Profile::new(started),
            max_frames: self.frames.unwrap_or(u64::MAX),
            still,
            start_paused: self.start_paused,
            pause_marker: PauseMarker::new(runtime.map(|folder| folder.join("paused"))),
        };
        let outcome = run.run()?;
        self.report(&outcome, &description, &stop)
    }

    /// Checks what can be checked without running: values that need more than one flag, or the board.
    ///
    /// # Errors
    /// Returns an error if a setting of the journal is out of its bounds, or if the broker's address is invalid.
    pub fn check(&self, board: &Board) -> Result<()> {
        self.journal_config(board)?;
        self.watching.check()?;
        if self.source.is_none() {
            board.camera.source.parse::<Spec>().context("camera.source")?;
        }
        Ok(())
    }

    /// What is trusted: by the file of --board, or else by the one of the installed service if there is one.
    fn policy(&self, board: &Board) -> Result<Policy> {
        let installed = if self.board.is_none() { trust::installed()? } else { None };
        Policy::new(Some(installed.as_ref().unwrap_or(board)), &self.trust, Path::new("/"))
    }

    /// Opens the bundle in `folder`, and what finds and reads faces with it.
    fn open_pipeline(&self, folder: &Path, board: &Board, still: bool, policy: &Policy) -> Result<(Bundle, Pipeline)> {
        let threads = self.threads.map_or(usize::from(board.threads), usize::from);
        let engine_options = EngineOptions { threads, ..EngineOptions::default() };
        let (bundle, engine) = expression_engine::selftest::open_trusted(folder, engine_options, policy.trust())?;
        let mut options = if still { PipelineOptions::still() } else { PipelineOptions::moving() };
        if !still {
            options.detect_every = self.detect_every.unwrap_or(board.camera.detect_every.into());
        }
        let pipeline = Pipeline::new(&bundle, engine, options.with_confidence_from(&bundle))?;
        Ok((bundle, pipeline))
    }

    /// Says what the run came to, and writes the profile if it is asked for.
    ///
    /// # Errors
    /// Returns an error if the source, which is described by `source`, ended without a frame, or if stdout cannot be written.
    fn report(&self, outcome: &Outcome, source: &str, stop: &Stop) -> Result<()> {
        let Outcome { summary, profile } = outcome;
        terminal::summary(summary);
        if self.start_paused && summary.frames == 0 && summary.delivered > 0 {
            tracing::warn!("recording was paused to the end, so no frame was looked at; leave --start-paused out");
        }
        match self.profile {
            Some(ProfileForm::Table) => expression_engine::error::print(&profile.report().to_string())?,
            Some(ProfileForm::Json) => expression_engine::error::print(&json(&profile.report())?)?,
            None => {}
        }
        if summary.delivered == 0 && self.frames != Some(0) && !stop.is_asked() {
            return Err(Error::bad_input(format!(
                "{source} ended without a single frame; check that it holds pictures that can be read"
            )));
        }
        Ok(())
    }

    fn on_observation(&self, scale: ScoreScale) -> OnObservation {
        if !self.print {
            return Box::new(|_| Ok(()));
        }
        Box::new(move |observation| expression_engine::error::print(&json(&FrameRecord::new(observation, &scale))?))
    }

    fn camera_options(&self, board: &crate::board::Camera) -> camera::CameraOptions {
        let turn = self.rotate.unwrap_or(board.rotation());
        let turn = match self.flip.or(board.flip) {
            None => turn,
            Some(Flip::Horizontal) => turn.flipped_horizontally(),
            Some(Flip::Vertical) => turn.flipped_vertically(),
        };
        camera::CameraOptions {
            turn,
            stride: self.frame_stride,
            stall: self.stall.or(board.stall()),
            size: self.frame_size,
            format: self.frame_format,
            rate: self.frame_rate,
            realtime: self.realtime,
            wait_for_camera: !self.require_camera,
            fail_without_frame: self.require_camera,
            ..camera::CameraOptions::default()
        }
    }

    /// Where the run records to; `None` if it does not.
    fn journal<'a>(&'a self, board: &'a Board) -> Option<&'a Path> {
        self.journal.as_ref()?.as_ref().unwrap_or(&Recording::Board).path(board)
    }

    /// The board's settings of the journal, with those of the flags above them.
    fn journal_config(&self, board: &Board) -> Result<journal::Config> {
        let mut config = board.journal.clone();
        config.commit_every = self.commit_every.unwrap_or(config.commit_every);
        config.max_records_per_second = self.records_per_second.unwrap_or(config.max_records_per_second);
        config.max_bytes = self.journal_size.map_or(config.max_bytes, |mib| mib << 20);
        self.keep_faces.apply(&mut config);
        // Whoever turned recording off has turned this off as well.
        if self.keep_faces.needs_journal() && self.journal.is_none() {
            return Err(Error::bad_input(
                "faces are kept in the journal, and none is recorded: give --journal (EDGE_RUNTIME_JOURNAL=true) with \
                 --keep-faces (EDGE_RUNTIME_KEEP_FACES)",
            ));
        }
        config.check()?;
        Ok(config)
    }

    /// Says so if results go nowhere, or only to a part of where one would expect them.
    fn warn_if_unheard(&self, is_recorded: bool) {
        if !(is_recorded || self.print || self.profile.is_some() || self.watching.is_any()) {
            tracing::warn!(
                "nobody will see the results: give --journal to record them, --print to write them to stdout, \
                 --preview 127.0.0.1:8080 to watch them, or --mqtt mqtt://HOST to publish them"
            );
        }
        if self.watching.publishes() && !is_recorded {
            tracing::warn!(
                "--mqtt without --journal publishes the present state only: PREFIX/records stays empty, and what happens \
                 while the broker is away is lost; add --journal to publish every record"
            );
        }
    }
}

/// Returns the name of the source for telemetry.
fn source_name(spec: &Spec) -> String {
    match spec {
        Spec::V4l2 { device, .. } => device.display().to_string(),
        other => format!("{other:?}"),
    }
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(Error::failure)
}
