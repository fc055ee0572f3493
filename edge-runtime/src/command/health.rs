//! `edge-runtime health`

use std::collections::HashSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use expression_engine::Error;
use expression_engine::error::{Result, print};

use crate::number::whole;
use crate::telemetry::{HEALTH_SOCKET, Health, HealthPart};

/// Longest time that the running program may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two looks while waiting.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest answer, in bytes.
const MAX_ANSWER: u64 = 64 << 10;

/// Check the health of the running service: ready, camera, journal and model; prints one line per part
///
/// It asks the service's socket, which systemd's RuntimeDirectory= holds, so it needs neither --preview nor --metrics.
/// Exit code 1 if a part fails or nothing answers.
#[derive(clap::Args)]
pub struct Cmd {
    /// Socket of the service
    #[arg(long, value_name = "FILE", default_value = HEALTH_SOCKET)]
    socket: PathBuf,
    /// Wait up to SECONDS for every part to be well
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = whole::<u16>("a whole number of seconds", 0..=65_535))]
    wait: u16,
    /// Also fail unless the running int8 net has this SHA-256, of which the beginning is enough
    #[arg(long, value_name = "HASH")]
    model: Option<String>,
    /// Print this part but do not fail because of it; can be repeated
    #[arg(long, value_name = "PART")]
    ignore: Vec<HealthPart>,
    /// Write what /health answers, one JSON object, instead of lines of text
    #[arg(long)]
    json: bool,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if a part that is not ignored fails, or the service does not answer.
    pub fn run(&self) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(self.wait.into());
        let (health, bad) = loop {
            let answer = ask(&self.socket);
            let bad = answer.as_ref().ok().map(|health| self.failing(health));
            if bad.as_ref().is_some_and(Vec::is_empty) || Instant::now() >= until {
                break (answer?, bad.unwrap_or_default());
            }
            std::thread::sleep(PAUSE);
        };
        if self.json {
            print(&serde_json::to_string(&health).map_err(Error::failure)?)?;
        } else {
            self.lines(&health).iter().try_for_each(|line| print(line))?;
        }
        let reasons: Vec<String> = bad.iter().map(|(part, reason)| format!("{}: {reason}", part.name())).collect();
        if reasons.is_empty() { Ok(()) } else { Err(Error::failure(reasons.join("; "))) }
    }

    fn failing(&self, health: &Health) -> Vec<(HealthPart, String)> {
        let mut failing = health.failing(self.model.as_deref());
        failing.retain(|(part, _)| !self.ignore.contains(part));
        failing
    }

    fn lines(&self, health: &Health) -> Vec<String> {
        let failing = health.failing(self.model.as_deref());
        let ignored: HashSet<_> = self.ignore.iter().collect();
        let journal = health.journal.as_ref().map(|journal| format!("is written, {} bytes", journal.bytes));
        [
            (HealthPart::Ready, format!("version {}, up for {} s", health.version, health.uptime_s)),
            (HealthPart::Model, format!("{} {}", health.bundle, health.model)),
            (HealthPart::Camera, format!("{} frames/s", health.frames_per_second)),
            (HealthPart::Journal, journal.unwrap_or_else(|| "none is written".to_owned())),
        ]
        .into_iter()
        .map(|(part, well)| {
            let reason = failing.iter().find(|(failing, _)| *failing == part).map(|(_, reason)| reason);
            let outcome = match reason {
                None => "ok",
                Some(_) if ignored.contains(&part) => "warn",
                Some(_) => "fail",
            };
            format!("{outcome:<5} {:<8} {}", part.name(), reason.unwrap_or(&well))
        })
        .collect()
    }
}

/// Asks for `/health`: one HTTP/1.0 request over a local socket, which the server closes afterwards. An HTTP client would not be
/// worth its dependencies here.
fn ask(socket: &Path) -> Result<Health> {
    let failed = |error: std::io::Error| {
        let socket = socket.display();
        // A timeout of a socket comes as this.
        let reason = match error.kind() {
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
                format!("no answer within {} s", PATIENCE.as_secs())
            }
            _ => error.to_string(),
        };
        Error::failure(format!("{socket}: {reason}; is the service running (systemctl status edge-runtime)?"))
    };
    let mut stream = UnixStream::connect(socket).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.write_all(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n").map_err(failed)?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer).map_err(failed)?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body)
        .map_err(|error| Error::failure(format!("{}: the answer is not a health report: {error}", socket.display())))
}
