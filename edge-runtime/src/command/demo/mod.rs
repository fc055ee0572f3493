//! `edge-runtime demo`

mod clip;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use expression_engine::bundle;
use expression_engine::error::{Error, Result};

use super::run::Opened;
use super::{console, settings};
use crate::camera::{self, CameraError, CameraOptions, Next, Source, Spec};
use crate::frame::Frame;
use crate::number::whole;

/// Show what this program does: watch a camera, or a built-in clip of rendered people, on a page in the browser
///
/// Takes the first camera that works. Nothing is recorded, and the page can be reached from this machine only. Ctrl-C ends it.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of the bundle [default: the first that is found beside the program, installed, or in models/]
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Port of the page; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080, value_parser = whole::<u16>("a port", 0..=65_535))]
    port: u16,
    /// Do not open a browser
    #[arg(long)]
    no_browser: bool,
    /// Play the clip even if there is a camera
    #[arg(long)]
    clip: bool,
}

impl Cmd {
    /// Runs the command until a signal asks it to stop. `started` is when the program started.
    ///
    /// # Errors
    /// Returns an error if there is no bundle with a face detector, or if the port is in use.
    pub fn run(&self, started: Instant) -> Result<()> {
        let bundle = self.bundle.clone().map_or_else(|| installed(&places()), Ok)?;
        if bundle.join("manifest.toml").is_file() && !bundle.join(bundle::DETECTOR).is_file() {
            return Err(Error::bad_input(format!(
                "{0} lacks {1}, without which no face is found; packages and images of edge-runtime hold it, and \
                 `host-trainer detector {0}` on a workstation adds it",
                bundle.display(),
                bundle::DETECTOR
            )));
        }
        let steps = next_steps(&called(), &in_shell(&bundle.to_string_lossy()));
        let arguments = ["edge-runtime".into(), "run".into(), "--bundle".into(), bundle.into_os_string()]
            .into_iter()
            .chain(["--preview".into(), format!("127.0.0.1:{}", self.port).into()]);
        let (cli, settings) = settings::parse(arguments, false)?;
        let (Some(run), Some(settings)) = (cli.into_run(), settings) else {
            return Err(Error::failure("no settings were read"));
        };
        let no_browser = self.no_browser;
        let source = if self.clip { Box::new(clip::Clip::new()) } else { first_camera() };
        let description = source.describe();
        let opened =
            Opened { source, on_preview: Box::new(move |address| tell(address, &description, &steps, no_browser)) };
        run.run_with(started, &settings, Some(opened))
    }
}

/// How long a camera may take for its first frame.
const PATIENCE: Duration = Duration::from_secs(5);

/// The first camera that gives a frame; the clip if there is none.
fn first_camera() -> Box<dyn Source> {
    for device in camera::devices().into_iter().filter(|device| device.problem.is_none()) {
        let opened = format!("v4l2:{}", device.path.display())
            .parse::<Spec>()
            .and_then(|spec| camera::open(&spec, &CameraOptions::default()))
            .and_then(|source| with_frame(source, PATIENCE));
        match opened {
            Ok(source) => return source,
            Err(error) => tracing::warn!("{}: {error}", device.path.display()),
        }
    }
    Box::new(clip::Clip::new())
}

/// Waits for the first frame: a device may be there, and open, and have no camera behind it.
fn with_frame(mut source: Box<dyn Source>, patience: Duration) -> Result<Box<dyn Source>, CameraError> {
    let (mut frame, start) = (Frame::default(), Instant::now());
    let mut reason = format!("it gave no frame within {} s", patience.as_secs());
    while start.elapsed() < patience {
        match source.next(&mut frame)? {
            Next::Frame => return Ok(source),
            Next::Waiting | Next::Back { .. } => {}
            Next::Lost { reason: lost } => {
                reason = lost;
                break;
            }
            Next::End => break,
        }
    }
    Err(CameraError::Unavailable { what: source.describe(), reason })
}

/// Where bundles are looked for, in this order.
fn places() -> Vec<PathBuf> {
    let program = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.to_owned()));
    let beside = program.iter().flat_map(|folder| {
        ["bundle", "models/ferplus-edge", "../share/edge-runtime/bundle"].map(|name| folder.join(name))
    });
    let fixed =
        ["/usr/share/edge-runtime/bundle", "/usr/share/edge-runtime/models/ferplus-edge", "models/ferplus-edge"];
    beside.chain(fixed.map(PathBuf::from)).collect()
}

/// Returns the first place that holds a bundle with a detector, or else the first that holds a bundle.
fn installed(places: &[PathBuf]) -> Result<PathBuf> {
    let with = |file: &'static str| places.iter().find(move |folder| folder.join(file).is_file());
    let whole =
        places.iter().find(|folder| ["manifest.toml", bundle::DETECTOR].iter().all(|file| folder.join(file).is_file()));
    whole.or_else(|| with("manifest.toml")).cloned().ok_or_else(|| {
        let list: Vec<_> = places.iter().map(|folder| folder.display().to_string()).collect();
        Error::bad_input(format!("no bundle in {}; name its folder with --bundle", list.join(", ")))
    })
}

/// Prints what the page shows and what to try next, and opens the browser.
fn tell(address: SocketAddr, source: &str, steps: &[String], no_browser: bool) {
    let page = format!("http://{address}/");
    console::say(&format!("watching {source}; nothing is recorded"));
    console::say("next:");
    steps.iter().for_each(|step| console::say(step));
    console::say("Ctrl-C ends the demo");
    if !no_browser && is_desktop() {
        open(&page);
    }
}

/// The lines that say what to try next, with this program as it was called and the bundle of the demo: in a checkout or an unpacked
/// release, neither is where a shell and `run` look by themselves.
fn next_steps(program: &str, bundle: &str) -> [String; 3] {
    let steps = [
        (format!("{program} doctor --bundle {bundle}"), "check this machine"),
        (format!("{program} run --bundle {bundle} --journal faces.db --preview 8080"), "keep a journal"),
        (format!("{program} log stats --journal faces.db"), "read it"),
    ];
    let width = steps.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
    steps.map(|(command, purpose)| format!("  {command:width$}   {purpose}"))
}

/// How this program was called, as a word for a shell.
fn called() -> String {
    std::env::args_os().next().map_or_else(|| "edge-runtime".into(), |program| in_shell(&program.to_string_lossy()))
}

/// Quotes a word for a shell, if it needs that.
fn in_shell(word: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./+".contains(character);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Whether this session has a desktop.
fn is_desktop() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Opens a page in the browser of the desktop.
fn open(page: &str) {
    let browser =
        Command::new("xdg-open").arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    match browser {
        // A thread waits for it to end, so that no zombie process is left.
        Ok(mut browser) => drop(std::thread::spawn(move || browser.wait())),
        Err(_) => console::say(&format!("open {page} in a browser")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_with_a_detector_is_preferred_and_all_places_are_named_if_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let places = ["none", "bare", "whole"].map(|name| folder.path().join(name));
        let refused = installed(&places).unwrap_err().to_string();
        assert!(places.iter().all(|place| refused.contains(&place.display().to_string())), "{refused}");
        for (place, files) in [(&places[1], &["manifest.toml"][..]), (&places[2], &["manifest.toml", bundle::DETECTOR])]
        {
            std::fs::create_dir(place).unwrap();
            files.iter().for_each(|file| std::fs::write(place.join(file), "").unwrap());
        }
        assert_eq!(installed(&places).unwrap(), places[2]);
        assert_eq!(installed(&places[..2]).unwrap(), places[1]);
    }

    #[test]
    fn the_next_steps_name_program_and_bundle_so_that_they_work_where_nothing_is_installed() {
        let bundle = in_shell("My Projects/it's/bundle");
        assert_eq!(bundle, r"'My Projects/it'\''s/bundle'");
        let [doctor, run, stats] = next_steps(&in_shell("bin/edge-runtime"), &bundle);
        assert!(doctor.starts_with(&format!("  bin/edge-runtime doctor --bundle {bundle} ")), "{doctor}");
        assert!(run.starts_with(&format!("  bin/edge-runtime run --bundle {bundle} --journal faces.db ")), "{run}");
        assert!(stats.starts_with("  bin/edge-runtime log stats --journal faces.db "), "{stats}");
        let columns = [(doctor, "check"), (run, "keep"), (stats, "read")].map(|(line, purpose)| line.find(purpose));
        assert!(columns[0].is_some() && columns.iter().all(|column| *column == columns[0]), "{columns:?}");
    }

    #[test]
    fn a_camera_is_one_that_gives_a_frame() {
        let folder = tempfile::tempdir().unwrap();
        let video = folder.path().join("a.y4m");
        std::fs::write(&video, b"YUV4MPEG2 W2 H1 Cmono\nFRAME\nab").unwrap();
        let options = CameraOptions { format: Some(camera::Format::Y4m), ..CameraOptions::default() };
        let open = |text: String| camera::open(&text.parse::<Spec>().unwrap(), &options).unwrap();
        assert!(with_frame(open(format!("y4m:{}", video.display())), Duration::from_secs(60)).is_ok());
        let silent = with_frame(open("command:sleep 60".into()), Duration::from_millis(1)).err().unwrap().to_string();
        assert!(silent.contains("no frame within"), "{silent}");
        let lost = with_frame(open("command:true".into()), Duration::from_secs(60)).err().unwrap().to_string();
        assert!(lost.contains("it ended"), "{lost}");
    }
}
