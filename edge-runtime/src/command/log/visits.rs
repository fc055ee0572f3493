//! `edge-runtime log visits`

use std::io::Write;
use std::path::PathBuf;

use expression_engine::Error;
use expression_engine::error::Result;
use jiff::tz::TimeZone;

use super::Source;
use super::columns::{self, Column, NO_SESSION};
use super::output::write_output;
use super::period::{Period, Periods, Unit};
use super::sink::{Csv, Objects, Sink, Table};
use crate::journal::visit::{Visit, each_visit};
use crate::journal::{Range, Reader};

/// List visits, or sum them by hour or day: how long faces were there, and how long they showed each expression.
///
/// A visit is a track: a face from its appearance to its disappearance. The time from one record to the next counts for the label of the
/// first; steps of more than 10 s count for nothing, because nobody knows what happened in them. The longest smile is the longest
/// stretch of happiness without another label; unsure is the time without a label, also of faces that could not be read. Times are in
/// this machine's time zone, or in UTC with --utc; JSON lines have UTC.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  edge-runtime log visits --journal journal.db --by hour --since 2026-11-25
  edge-runtime log visits --journal journal.db --by day --format csv -o days.csv
  edge-runtime log visits --journal journal.db --since 2h")]
pub struct Cmd {
    #[command(flatten)]
    source: Source,
    /// Sum visits by hour or by day instead of listing them. Hours and days without a face are left out.
    #[arg(long, value_enum, value_name = "PERIOD")]
    by: Option<Unit>,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Hours, days and times in UTC instead of this machine's time zone.
    #[arg(long)]
    utc: bool,
    /// File to write; stdout by default, or for `-`. A regular file is written whole or not at all.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Formats of the output.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Aligned columns, for people.
    Table,
    /// Comma-separated values with a heading.
    Csv,
    /// One JSON object per line.
    Jsonl,
    /// Apache Parquet, compressed with Snappy; requires --output.
    #[cfg(feature = "parquet")]
    Parquet,
}

impl Cmd {
    /// Writes the visits or their sums.
    ///
    /// # Errors
    /// Returns an error if the journal or a flag is refused, or if the output cannot be written.
    pub fn run(&self) -> Result<()> {
        #[cfg(feature = "parquet")]
        if self.format == Format::Parquet && self.output.is_none() {
            return Err(Error::bad_input("Parquet cannot be written to stdout; name a file with --output"));
        }
        let (reader, range) = self.source.open()?;
        write_output(self.output.as_deref(), reader.path(), |out| self.write(&reader, &range, out))
    }

    fn zone(&self) -> TimeZone {
        if self.utc { TimeZone::UTC } else { TimeZone::system() }
    }

    fn write(&self, reader: &Reader, range: &Range, out: &mut (dyn Write + Send)) -> Result<()> {
        match self.by {
            None => {
                let mut sink = self.sink::<Visit>(columns::VISIT, out)?;
                each_visit(reader, range, |_, _| {}, |visit| sink.put((&visit, &NO_SESSION)))?;
                sink.finish()
            }
            Some(unit) => {
                let mut sink = self.sink::<Period>(columns::PERIOD, out)?;
                for period in Periods::read(reader, range, unit, self.zone())?.list() {
                    sink.put((period, &NO_SESSION))?;
                }
                sink.finish()
            }
        }
    }

    fn sink<'a, R: 'static>(
        &self,
        columns: &'static [Column<R>],
        out: &'a mut (dyn Write + Send),
    ) -> Result<Box<dyn Sink<R> + 'a>> {
        Ok(match self.format {
            Format::Table => Box::new(Table::new(columns, self.zone(), out)),
            Format::Csv => Box::new(Csv::new(columns, b',', Some(self.zone()), out)?),
            Format::Jsonl => Box::new(Objects { columns, out }),
            #[cfg(feature = "parquet")]
            Format::Parquet => {
                Box::new(super::parquet::Parquet::new(columns, out).map_err(super::parquet::from_parquet)?)
            }
        })
    }
}
