//! `edge-runtime log tail`

use expression_engine::error::Result;
use expression_engine::line::one_line;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use super::export::Sessions;
use super::moment;
use super::output::to_stdout;
use crate::journal::{Entry, JournalError, Reader, Row};
use crate::number::whole;
use crate::record::{JournalEvent, JournalFace};

/// Print the newest records and events, one line each, and follow new ones with --follow.
#[derive(clap::Args)]
pub struct Cmd {
    /// Journal file.
    #[arg(long, value_name = "FILE")]
    journal: PathBuf,
    /// Start with the newest N entries.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, value_parser = whole::<u32>("a whole number of entries", 0..=u32::MAX.into()))]
    lines: u32,
    /// Keep printing new entries as they are written, until interrupted.
    #[arg(short, long)]
    follow: bool,
    /// Print one JSON object per line, as `log export --format jsonl` writes them.
    #[arg(long)]
    json: bool,
}

/// How often the journal is read for new entries.
const PAUSE: Duration = Duration::from_millis(200);
/// How many entries are read at a time.
const PIECE: usize = 1000;

impl Cmd {
    /// Prints the entries.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read or stdout cannot be written.
    pub fn run(&self) -> Result<()> {
        let reader = Reader::open(&self.journal)?;
        let newest = reader.ids()?.map_or(0, |(_, newest)| newest);
        to_stdout(self.show(reader, newest.saturating_sub(self.lines.into())))
    }

    fn show(&self, mut reader: Reader, mut after: i64) -> Result<()> {
        let mut sessions = Sessions::read(&reader)?;
        let mut file = identity(&self.journal);
        loop {
            if identity(&self.journal) != file
                && let Ok(new) = Reader::open(&self.journal)
            {
                // A new journal under the same name has ids of its own.
                sessions = Sessions::read(&new)?;
                (reader, after, file) = (new, 0, identity(&self.journal));
            }
            match reader.entries_after(after, PIECE) {
                Ok(entries) => {
                    let mut out = io::stdout().lock();
                    for entry in &entries {
                        writeln!(out, "{}", self.line(&reader, &mut sessions, entry)?)?;
                        after = entry.id();
                    }
                    out.flush()?;
                    if entries.len() == PIECE {
                        continue;
                    }
                }
                // The journal is being moved away or renamed because it is damaged: the next read finds the new one.
                Err(JournalError::Locked(_)) if self.follow => {}
                Err(_) if self.follow && identity(&self.journal) != file => {}
                Err(error) => return Err(error.into()),
            }
            if !self.follow {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn line(&self, reader: &Reader, sessions: &mut Sessions, entry: &Entry) -> Result<String> {
        Ok(match (entry, self.json) {
            (entry, true) => json(reader, sessions, entry)?,
            (Entry::Record(row), false) => one_line(&sentence(row)),
            (Entry::Event(row), false) => {
                let detail = row.detail.as_deref().unwrap_or_default();
                one_line(format!("{}  event {} {detail}", moment::text(row.stamp.wall_us), row.kind).trim_end())
            }
        })
    }
}

/// Returns a record or event as a JSON object; see [`crate::record`].
///
/// # Errors
/// Returns an error if the journal cannot be read.
pub fn json(reader: &Reader, sessions: &mut Sessions, entry: &Entry) -> Result<String> {
    let text = match entry {
        Entry::Record(row) => serde_json::to_string(&JournalFace::new(row, sessions.get(reader, row.session)?)),
        Entry::Event(row) => serde_json::to_string(&JournalEvent::new(row, sessions.get(reader, row.session)?)),
    };
    text.map_err(expression_engine::Error::failure)
}

/// Returns a record as a line for people.
fn sentence(row: &Row) -> String {
    let record = &row.record;
    let bounds = record.bounds;
    let label = match (record.label, record.scores) {
        (Some(label), _) => format!("{} {:.2}", label.name(), f64::from(record.confidence) / 255.0),
        (None, Some(_)) => "unsure".to_owned(),
        (None, None) => record.quality.name().to_owned(),
    };
    let file = row.name.as_deref().map_or(String::new(), |name| format!("  {name}"));
    format!(
        "{}  track {}  {label}  {}x{} at {},{}  {:.1} ms{file}",
        moment::text(row.stamp.wall_us),
        record.track,
        bounds.width,
        bounds.height,
        bounds.left,
        bounds.top,
        f64::from(row.latency_us) / 1e3,
    )
}

/// Returns the device and inode of a file, which tell it from another file under the same name.
fn identity(path: &Path) -> Option<(u64, u64)> {
    path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
