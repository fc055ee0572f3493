//! `edge-runtime log`: reads a journal.

mod columns;
pub mod export;
pub mod faces;
pub mod moment;
mod output;
#[cfg(feature = "parquet")]
mod parquet;
mod period;
pub mod report;
mod sink;
pub mod stats;
pub mod tail;
pub mod verify;
pub mod visits;

use expression_engine::error::Result;
use std::path::PathBuf;

use crate::journal::{Range, Reader};
use expression_engine::Error;

/// Read a journal: export it, summarise it, follow it, check it, or turn it into a report.
///
/// All subcommands work while `run` writes to the journal.
#[derive(clap::Args)]
pub struct Cmd {
    #[command(subcommand)]
    command: Log,
}

#[derive(clap::Subcommand)]
enum Log {
    Export(export::Cmd),
    Stats(stats::Cmd),
    Tail(tail::Cmd),
    Verify(verify::Cmd),
    Report(report::Cmd),
    Faces(faces::Cmd),
    Visits(visits::Cmd),
}

impl Cmd {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Returns the error of the subcommand.
    pub fn run(&self) -> Result<()> {
        match &self.command {
            Log::Export(cmd) => cmd.run(),
            Log::Stats(cmd) => cmd.run(),
            Log::Tail(cmd) => cmd.run(),
            Log::Verify(cmd) => cmd.run(),
            Log::Report(cmd) => cmd.run(),
            Log::Faces(cmd) => cmd.run(),
            Log::Visits(cmd) => cmd.run(),
        }
    }
}

/// The journal and the range of time that a subcommand reads.
#[derive(clap::Args)]
pub struct Source {
    /// Journal file.
    #[arg(long, value_name = "FILE")]
    journal: PathBuf,
    /// Read entries from this time on: 2026-11-25T10:00:00Z, 2026-11-25 10:00 or 2026-11-25 (in this machine's time zone),
    /// or how long ago: 90s, 15m, 2h, 3d, 1w.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Read entries before this time, in the same forms. A date without a time means its midnight.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Source {
    /// Opens the journal and works out the range.
    ///
    /// # Errors
    /// Returns an error if the journal or a time is refused.
    pub fn open(&self) -> Result<(Reader, Range)> {
        let now = jiff::Timestamp::now();
        let moment = |flag: &str, text: &Option<String>| -> Result<Option<i64>, Error> {
            let Some(text) = text else { return Ok(None) };
            let parsed = moment::parse(text, now, &jiff::tz::TimeZone::system());
            parsed.map(Some).map_err(|error| Error::bad_input(format!("--{flag} {text}: {error}")))
        };
        let all = Range::default();
        let since_us = moment("since", &self.since)?.unwrap_or(all.since_us);
        let until_us = moment("until", &self.until)?.unwrap_or(all.until_us);
        if since_us >= until_us {
            return Err(Error::bad_input("--since must be earlier than --until"));
        }
        Ok((Reader::open(&self.journal)?, Range { since_us, until_us }))
    }
}
