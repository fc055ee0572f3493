//! stderr: log lines, and on a terminal a status line below them.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use expression_engine::Error;
use expression_engine::error::Result;
use expression_engine::line::{LogLines, one_line, stderr_in_colour, stderr_obeys};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Whether a status line stands on the terminal.
static HAS_STATUS: AtomicBool = AtomicBool::new(false);
/// Whether nothing but errors may be written.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// How much is logged.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Verbosity {
    /// Log more: -v what happens, -vv details; RUST_LOG=TARGET=LEVEL chooses by module
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = 1000)]
    verbose: u8,
    /// Log errors only; no status line and no summary
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = 1000)]
    quiet: bool,
}

impl Verbosity {
    fn filter(self) -> Result<Targets> {
        let level = match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::ERROR,
            (_, 0) => LevelFilter::WARN,
            (_, 1) => LevelFilter::INFO,
            (_, 2) => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        };
        match std::env::var("RUST_LOG") {
            Ok(text) if !text.is_empty() && !self.quiet && self.verbose == 0 => text.parse().map_err(|error| {
                Error::bad_input(format!(
                    "RUST_LOG={text}: {error}; give a level (error, warn, info, debug, trace) or TARGET=LEVEL,..."
                ))
            }),
            _ => Ok(Targets::new().with_default(level)),
        }
    }

    /// Starts logging to stderr: in colour on a terminal, unless it is dumb or NO_COLOR is set, plain elsewhere.
    ///
    /// # Errors
    /// Returns an error if RUST_LOG cannot be read.
    pub fn start_logging(self) -> Result<()> {
        IS_QUIET.store(self.quiet, Ordering::Relaxed);
        let filter = self.filter()?;
        let lines =
            tracing_subscriber::fmt::layer().with_writer(|| LogLines(AboveStatus)).with_ansi(stderr_in_colour());
        tracing_subscriber::registry().with(lines).with(filter).init();
        Ok(())
    }
}

/// Writes to stderr where the status line stands.
struct AboveStatus;

impl Write for AboveStatus {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        clear_status();
        io::stderr().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Shows a status line on a terminal; nothing elsewhere, and nothing for those who want quiet.
pub fn show_status(status: &str) {
    if IS_QUIET.load(Ordering::Relaxed) || !stderr_obeys() {
        return;
    }
    HAS_STATUS.store(true, Ordering::Relaxed);
    // As wide as a terminal is at least: a longer line would wrap, and could not be cleared.
    let line: String = status.chars().map(|c| if c.is_control() { ' ' } else { c }).take(79).collect();
    let _ = write!(io::stderr(), "\r\x1b[2K{line}");
}

/// Removes the status line, if there is one.
pub fn clear_status() {
    if HAS_STATUS.swap(false, Ordering::Relaxed) {
        let _ = write!(io::stderr(), "\r\x1b[2K");
    }
}

/// Writes a line for people to stderr, unless they want quiet.
pub fn say(line: &str) {
    if !IS_QUIET.load(Ordering::Relaxed) {
        let _ = writeln!(io::stderr(), "{}", one_line(line));
    }
}
