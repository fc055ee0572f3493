//! `edge-runtime log export`

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;

use expression_engine::Error;
use expression_engine::error::Result;
use jiff::tz::TimeZone;

use super::Source;
use super::columns::{self, Column};
use super::output::write_output;
use super::sink::{Csv, InSession, JsonLines, Sink};
use crate::journal::{JournalError, Range, Reader, Session, SessionRow};

/// Export records or events as CSV, JSON lines or Parquet.
///
/// Records hold what was seen: one row per face and frame. Events hold what happened to the program, such as a lost camera.
/// docs/journal.md explains every column.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  edge-runtime log export --journal journal.db --since 2h > faces.csv
  edge-runtime log export --journal journal.db --delimiter ';' --local-time -o faces.csv
  edge-runtime log export --journal journal.db --events --format jsonl
  edge-runtime log export --journal journal.db --format parquet -o faces.parquet")]
pub struct Cmd {
    #[command(flatten)]
    source: Source,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// Export events instead of records.
    #[arg(long)]
    events: bool,
    /// Separate CSV fields by this character instead of a comma; `tab` stands for a tab.
    #[arg(long, value_name = "CHAR", value_parser = parse_delimiter)]
    delimiter: Option<u8>,
    /// Write times in this machine's time zone, with their offset, instead of UTC: 2026-11-25T11:00:00.000000+01:00.
    /// Not for Parquet, which stores instants.
    #[arg(long)]
    local_time: bool,
    /// File to write; stdout by default, or for `-`. A regular file is written whole or not at all.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Formats of an export.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Comma-separated values with a heading.
    Csv,
    /// One JSON object per line.
    Jsonl,
    /// Apache Parquet, compressed with Snappy; requires --output.
    #[cfg(feature = "parquet")]
    Parquet,
}

/// Reads a character that can separate the fields of CSV.
fn parse_delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n') => Ok(*byte),
        _ => Err("expected one ASCII character other than a quote, or `tab`".to_owned()),
    }
}

impl Cmd {
    /// Writes the export.
    ///
    /// # Errors
    /// Returns an error if the journal or a flag is refused, or if the output cannot be written.
    pub fn run(&self) -> Result<()> {
        self.check()?;
        let (reader, range) = self.source.open()?;
        write_output(self.output.as_deref(), reader.path(), |out| self.write(&reader, &range, out))
    }

    /// Refuses flags that do not fit the format.
    fn check(&self) -> Result<()> {
        if self.delimiter.is_some() && self.format != Format::Csv {
            return Err(Error::bad_input("--delimiter applies to CSV only; leave it out, or use --format csv"));
        }
        #[cfg(feature = "parquet")]
        if self.format == Format::Parquet {
            if self.output.is_none() {
                return Err(Error::bad_input("Parquet cannot be written to stdout; name a file with --output"));
            }
            if self.local_time {
                return Err(Error::bad_input("Parquet stores instants, not local times; leave out --local-time"));
            }
        }
        Ok(())
    }

    fn write(&self, reader: &Reader, range: &Range, out: &mut (dyn Write + Send)) -> Result<()> {
        if self.events {
            write_rows(reader, self.sink(columns::EVENT, out)?, |each| reader.each_event(range, each))
        } else {
            write_rows(reader, self.sink(columns::RECORD, out)?, |each| reader.each_record(range, each))
        }
    }

    fn sink<'a, R: InSession + 'static>(
        &self,
        columns: &'static [Column<R>],
        out: &'a mut (dyn Write + Send),
    ) -> Result<Box<dyn Sink<R> + 'a>> {
        let zone = self.local_time.then(TimeZone::system);
        Ok(match self.format {
            Format::Csv => Box::new(Csv::new(columns, self.delimiter.unwrap_or(b','), zone, out)?),
            Format::Jsonl => Box::new(JsonLines { zone, out }),
            #[cfg(feature = "parquet")]
            Format::Parquet => {
                Box::new(super::parquet::Parquet::new(columns, out).map_err(super::parquet::from_parquet)?)
            }
        })
    }
}

/// Sends all rows to the sink, each with its session.
fn write_rows<R: InSession>(
    reader: &Reader,
    mut sink: Box<dyn Sink<R> + '_>,
    read: impl FnOnce(&mut dyn FnMut(R) -> Result<()>) -> Result<()>,
) -> Result<()> {
    let mut sessions = Sessions::read(reader)?;
    read(&mut |row| sink.put((&row, sessions.get(reader, row.session())?)))?;
    sink.finish()
}

/// The sessions of a journal by their numbers.
pub struct Sessions {
    known: HashMap<i64, SessionRow>,
}

impl Sessions {
    /// Reads the sessions that the journal has now.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read.
    pub fn read(reader: &Reader) -> Result<Sessions, JournalError> {
        let sessions = reader.sessions()?;
        Ok(Sessions { known: sessions.into_iter().map(|session| (session.id, session)).collect() })
    }

    /// Returns the session of a number, even if it began since [`Sessions::read`].
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read.
    pub fn get(&mut self, reader: &Reader, id: i64) -> Result<&SessionRow, JournalError> {
        if !self.known.contains_key(&id) {
            self.known.extend(reader.sessions()?.into_iter().map(|session| (session.id, session)));
        }
        // Only a damaged journal lacks it; its rows are still worth exporting.
        Ok(self.known.entry(id).or_insert_with(|| SessionRow {
            id,
            started_wall_us: 0,
            started_monotonic_us: 0,
            session: Session::default(),
            scale: None,
        }))
    }
}
