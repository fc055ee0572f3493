//! `edge-runtime run`

mod backlog;
mod watch;

use expression_engine::error::Result;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use expression_core::Label;
use expression_engine::error::Context;

use crate::board::{Board, Indicator, thermal};
use crate::camera::{self, Format, Spec};
use crate::journal::{self, Session};
use crate::pipeline::{Options, Pipeline, Profile};
use crate::score::ScoreScale;
use crate::service::{Progress, Service, Stop};
use crate::telemetry::{self, Telemetry};
use expression_engine::EngineOptions;
use expression_engine::Error;
use expression_engine::{Bundle, bundle};

/// Watches a camera, or reads a video or pictures: finds faces, follows them, names their expressions and journals them.
///
/// What is not given comes from the board: the built-in file of the machine at hand, or that of --board. SIGTERM or Ctrl-C ends
/// it with nothing lost.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of the bundle; by default the board's.
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// v4l2:/dev/video0, command:"PROGRAM ARGUMENTS", y4m:FILE, y4m:- (stdin), dir:FOLDER or images:PATTERN; by default the
    /// board's camera.
    #[arg(long, value_name = "SOURCE")]
    source: Option<Spec>,
    /// The journal to write, made where it is missing; without FILE the board's. Without the flag nothing is kept.
    #[arg(long, value_name = "FILE", num_args = 0..=1, overrides_with = "journal")]
    journal: Option<Option<PathBuf>>,
    /// A built-in board by its name, or a board file; by default the machine at hand.
    #[arg(long, value_name = "NAME|FILE")]
    board: Option<String>,
    /// Threads that share one inference; by default the board's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Look for faces in every so manieth frame, and follow them between; by default the board's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    detect_every: Option<u32>,
    /// Width and height in pixels: what a camera is asked for, and what a program writes.
    #[arg(long, value_name = "WxH", value_parser = size)]
    frame_size: Option<[u32; 2]>,
    /// Format that a camera is asked for, or that a program writes: yuyv, uyvy, nv12, i420, grey, mjpeg or y4m.
    #[arg(long, value_name = "FORMAT")]
    frame_format: Option<Format>,
    /// Frames a second that a camera is asked for.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    frame_rate: Option<u32>,
    /// Play a video at its frame rate instead of as fast as possible.
    #[arg(long)]
    realtime: bool,
    /// Refuse a camera that cannot be opened at the start, instead of waiting for it.
    #[arg(long)]
    require_camera: bool,
    /// Stop after so many frames.
    #[arg(long, value_name = "N")]
    frames: Option<u64>,
    /// Seconds between commits of the journal: what a power cut can lose.
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    commit_every: f64,
    /// Most records a second of each face in the journal.
    #[arg(long, value_name = "N", default_value_t = 5.0)]
    records_per_second: f32,
    /// Most MiB of the journal; the oldest records go first.
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    journal_size: u64,
    /// Also keep the aligned faces of records, as pictures of people. The journal says so.
    #[arg(long, requires = "journal")]
    keep_faces: bool,
    /// Write one JSON line per frame to stdout; docs/records.md describes it.
    #[arg(long)]
    print: bool,
    /// At the end, write each step's share of the time to stdout, as a table or as JSON.
    #[arg(long, value_name = "FORM", num_args = 0..=1, default_missing_value = "table")]
    profile: Option<Form>,
    #[command(flatten)]
    watching: telemetry::Args,
}

/// How the profile is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    Table,
    Json,
}

impl Cmd {
    /// Runs the command until its source ends or a signal asks it to stop. `started`: when the program did.
    ///
    /// # Errors
    /// Where the bundle is refused, or board, source, journal or addresses are bad input.
    pub fn run(&self, started: Instant) -> Result<()> {
        let config = self.journal_config()?;
        let stop = Stop::on_signals().context("signals cannot be listened to")?;
        let progress = Progress::default();
        let service = Service::start(progress.clone());
        let board = match &self.board {
            Some(name) => Board::open(name)?,
            None => Board::detect()?,
        };
        let indicator = Indicator::open(&board);
        let spec = self.source.clone().map_or_else(|| board.camera.source.parse(), Ok)?;
        let folder = self.bundle.as_deref().unwrap_or(Path::new(&board.paths.bundle));
        let threads = self.threads.map_or(usize::from(board.threads), usize::from);
        let (bundle, engine) =
            expression_engine::selftest::open(folder, EngineOptions { threads, ..EngineOptions::default() })?;
        let still = matches!(spec, Spec::Dir { .. } | Spec::Images { .. });
        let mut options = if still { Options::still() } else { Options::moving() };
        if !still {
            options.detect_every = self.detect_every.unwrap_or(board.camera.detect_every.into());
        }
        let pipeline = Pipeline::new(&bundle, engine, options.with_confidence_of(&bundle))?;
        let source = camera::open(&spec, &self.camera_options())?;
        let labels = pipeline.engine().labels();
        let (step, names) =
            (bundle.manifest().output.scale, labels.iter().map(|label| label.name()).collect::<Vec<_>>());
        let scale = ScoreScale::new(step, Label::ALL.map(|label| labels.contains(&label)));
        let kernels = pipeline.engine().kernels().join(" ");
        let path = self.journal.as_ref().map(|given| given.as_deref().unwrap_or(Path::new(&board.paths.journal)));
        let journal = path
            .map(|path| open_journal(path, config.clone(), &bundle, &names.join(" "), &board, &kernels))
            .transpose()?;
        let journal = journal.map(Arc::new);
        let camera = match &spec {
            Spec::V4l2 { device, .. } => device.display().to_string(),
            other => format!("{other:?}"),
        };
        let telemetry = self.telemetry(&bundle, pipeline.engine().labels(), &camera, path.zip(journal.as_ref()))?;
        service.ready(&format!("watching {}", source.describe()));
        let watch = watch::Watch {
            source,
            pipeline,
            journal,
            telemetry,
            indicator,
            policy: expression_core::thermal::Policy::new(board.thermal.limits()),
            thermometer: thermal::Thermometer::start(thermal::Sensors::find(Path::new("/"), &board.thermal)),
            service,
            progress,
            stop,
            profile: Profile::new(started),
            most_frames: self.frames.unwrap_or(u64::MAX),
            print: self.print,
            scale,
            still,
        };
        let profile = watch.run()?;
        match self.profile {
            Some(Form::Table) => expression_engine::error::print(&profile.table()),
            Some(Form::Json) => expression_engine::error::print(&profile.report().to_string()),
            None => Ok(()),
        }
    }

    fn camera_options(&self) -> camera::Options {
        camera::Options {
            size: self.frame_size,
            format: self.frame_format,
            rate: self.frame_rate,
            realtime: self.realtime,
            wait_for_camera: !self.require_camera,
            ..camera::Options::default()
        }
    }

    fn journal_config(&self) -> Result<journal::Config> {
        let seconds = self.commit_every;
        let config = journal::Config {
            commit_every: Duration::try_from_secs_f64(seconds)
                .map_err(|error| Error::bad_input(format!("--commit-every {seconds}: {error}")))?,
            max_records_per_second: self.records_per_second,
            max_bytes: self.journal_size << 20,
            keep_faces: self.keep_faces,
            ..journal::Config::default()
        };
        config.check()?;
        Ok(config)
    }

    fn telemetry(
        &self,
        bundle: &Bundle,
        labels: &[Label],
        source: &str,
        journal: Option<(&Path, &Arc<journal::Writer>)>,
    ) -> Result<Telemetry> {
        let backlog = journal.map(|(path, writer)| {
            Box::new(backlog::Journaled::new(path, Arc::clone(writer))) as Box<dyn telemetry::Backlog>
        });
        let manifest = bundle.manifest();
        let about = telemetry::About {
            bundle: manifest.name.clone(),
            model: manifest.files.get(bundle::INT8).cloned().unwrap_or_default(),
            source: source.to_owned(),
            score_scale: manifest.output.scale,
            labels: Label::ALL.map(|label| labels.contains(&label)),
        };
        Ok(Telemetry::start(self.watching.options()?, about, backlog)?)
    }
}

fn open_journal(
    path: &Path,
    config: journal::Config,
    bundle: &Bundle,
    labels: &str,
    board: &Board,
    kernels: &str,
) -> Result<journal::Writer> {
    let manifest = bundle.manifest();
    let session = Session {
        bundle: manifest.name.clone(),
        model_sha256: manifest.files.get(bundle::INT8).cloned().unwrap_or_default(),
        board: board.name.clone(),
        kernels: kernels.to_owned(),
        score_step: Some(manifest.output.scale),
        labels: labels.to_owned(),
        configuration: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        ..Session::here()
    };
    Ok(journal::Writer::open(path, config, session)?)
}

fn size(text: &str) -> Result<[u32; 2], String> {
    let (width, height) = text.split_once(['x', 'X']).ok_or("write WIDTHxHEIGHT, such as 640x480")?;
    let side = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number of pixels"));
    Ok([side(width)?, side(height)?])
}
