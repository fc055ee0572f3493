//! `edge-runtime run`

mod backlog;
mod watch;

use expression_engine::error::Result;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use expression_core::{Label, Turn};
use expression_engine::error::Context;

use crate::board::{Board, Flip, Indicator, thermal};
use crate::camera::{self, Format, Spec};
use crate::journal::{self, Session};
use crate::pipeline::{Options, Pipeline, Profile};
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
    /// Where frames come from: v4l2:/dev/video0, command:"PROGRAM ARGUMENTS", rtsp://CAMERA/PATH, FILE.mp4, y4m:FILE, y4m:- (stdin),
    /// dir:FOLDER or images:PATTERN; by default the board's camera. docs/sources.md explains each.
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
    /// Width and height in pixels that a camera is asked for, or that a program writes, such as 640x480.
    #[arg(long, value_name = "WxH", value_parser = size)]
    frame_size: Option<[u32; 2]>,
    /// Format that a camera is asked for, or that a program writes: gray, nv12, i420, yuyv, uyvy, mjpeg or y4m.
    #[arg(long, value_name = "FORMAT")]
    frame_format: Option<Format>,
    /// Bytes from one row to the next in the raw frames of a program, if it pads rows.
    #[arg(long, value_name = "BYTES")]
    frame_stride: Option<usize>,
    /// Frames per second that a camera is asked for.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    frame_rate: Option<u32>,
    /// Turn frames clockwise by this many degrees, for a camera that is mounted on its side or upside down: 0, 90, 180 or 270.
    #[arg(long, value_name = "DEGREES", value_parser = rotation)]
    rotate: Option<Turn>,
    /// Mirror frames, after they were rotated.
    #[arg(long, value_name = "DIRECTION")]
    flip: Option<Flip>,
    /// Give a camera up and open it again after this many seconds without a frame, such as 60; by default after several of the
    /// intervals seen between frames, at least 3 s.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    stall: Option<Duration>,
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
    /// Write a JSON line a frame to stdout.
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
        let source = camera::open(&spec, &self.camera_options(&board.camera))?;
        let kernels = pipeline.engine().kernels().join(" ");
        let path = self.journal.as_ref().map(|given| given.as_deref().unwrap_or(Path::new(&board.paths.journal)));
        let journal = path.map(|path| open_journal(path, config.clone(), &bundle, &board, &kernels)).transpose()?;
        let journal = journal.map(Arc::new);
        let telemetry = self.telemetry(&bundle, pipeline.engine().labels(), path.zip(journal.as_ref()))?;
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
            still,
        };
        let profile = watch.run()?;
        match self.profile {
            Some(Form::Table) => expression_engine::error::print(&profile.table()),
            Some(Form::Json) => expression_engine::error::print(&profile.report().to_string()),
            None => Ok(()),
        }
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
            ..camera::CameraOptions::default()
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
        journal: Option<(&Path, &Arc<journal::Writer>)>,
    ) -> Result<Telemetry> {
        let backlog = journal.map(|(path, writer)| {
            Box::new(backlog::Journaled::new(path, Arc::clone(writer))) as Box<dyn telemetry::Backlog>
        });
        let manifest = bundle.manifest();
        let about = telemetry::About {
            bundle: manifest.name.clone(),
            model: manifest.files.get(bundle::INT8).cloned().unwrap_or_default(),
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
    board: &Board,
    kernels: &str,
) -> Result<journal::Writer> {
    let manifest = bundle.manifest();
    let session = Session {
        bundle: manifest.name.clone(),
        model_sha256: manifest.files.get(bundle::INT8).cloned().unwrap_or_default(),
        board: board.name.clone(),
        kernels: kernels.to_owned(),
        configuration: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        ..Session::here()
    };
    Ok(journal::Writer::open(path, config, session)?)
}

fn rotation(text: &str) -> Result<Turn, String> {
    let turn = text.parse().ok().and_then(Turn::from_degrees);
    turn.ok_or_else(|| "expected 0, 90, 180 or 270 degrees".into())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0.0).and_then(|s| Duration::try_from_secs_f64(s).ok());
    seconds.ok_or_else(|| "expected a number of seconds above 0".into())
}

fn size(text: &str) -> Result<[u32; 2], String> {
    let (width, height) = text.split_once(['x', 'X']).ok_or("write WIDTHxHEIGHT, such as 640x480")?;
    let side = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number of pixels"));
    Ok([side(width)?, side(height)?])
}
