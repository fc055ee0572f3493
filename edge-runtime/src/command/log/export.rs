//! `edge-runtime log export`

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use expression_engine::error::Context;
use expression_engine::error::Result;

use super::Source;
use super::columns::{self, Column, Of};
use crate::journal::{EventRow, JournalError, Range, Reader, Row, Session, SessionRow};
use crate::record::{JournalEvent, JournalFace};
use expression_engine::Error;
use expression_engine::files;

/// Writes records, or events, as CSV, JSON lines or Parquet.
#[derive(clap::Args)]
pub struct Cmd {
    #[command(flatten)]
    source: Source,
    /// How.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// Events instead of records.
    #[arg(long)]
    events: bool,
    /// The file to write, whole or not at all; without it, stdout.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Formats of an export.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Comma-separated values with a heading.
    Csv,
    /// A JSON object a line.
    Jsonl,
    /// Apache Parquet, Snappy-compressed; needs --output.
    #[cfg(feature = "parquet")]
    Parquet,
}

/// Takes rows in turn.
pub trait Sink<R> {
    /// Writes a row.
    ///
    /// # Errors
    /// Of what is written to.
    fn put(&mut self, of: Of<'_, R>) -> Result<()>;

    /// Writes what must come at the end.
    ///
    /// # Errors
    /// Of what is written to.
    fn finish(self: Box<Self>) -> Result<()>;
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Where the journal is refused, a time is none, or the output cannot be written.
    pub fn run(&self) -> Result<()> {
        let (reader, range) = self.source.open()?;
        match &self.output {
            Some(path) => atomically(path, |file| self.write(&reader, &range, file)),
            #[cfg(feature = "parquet")]
            None if self.format == Format::Parquet => {
                Err(Error::bad_input("Parquet is no format for a terminal or a pipe; give a file with --output"))
            }
            None => gone_is_fine(self.write(&reader, &range, &mut BufWriter::new(io::stdout()))),
        }
    }

    fn write(&self, reader: &Reader, range: &Range, out: &mut (dyn Write + Send)) -> Result<()> {
        match self.events {
            false => pour(reader, sink(self.format, columns::RECORD, out)?, |each| reader.each_record(range, each)),
            true => pour(reader, sink(self.format, columns::EVENT, out)?, |each| reader.each_event(range, each)),
        }
    }
}

/// Something that belongs to a session.
trait InSession {
    fn session(&self) -> i64;

    /// The row as a JSON object; see [`crate::record`].
    fn json(&self, session: &SessionRow) -> serde_json::Result<String>;
}

impl InSession for Row {
    fn session(&self) -> i64 {
        self.session
    }

    fn json(&self, session: &SessionRow) -> serde_json::Result<String> {
        serde_json::to_string(&JournalFace::new(self, session))
    }
}

impl InSession for EventRow {
    fn session(&self) -> i64 {
        self.session
    }

    fn json(&self, session: &SessionRow) -> serde_json::Result<String> {
        serde_json::to_string(&JournalEvent::new(self, session))
    }
}

/// Sends all rows to the sink, each with its session.
fn pour<R: InSession>(
    reader: &Reader,
    mut sink: Box<dyn Sink<R> + '_>,
    read: impl FnOnce(&mut dyn FnMut(R) -> Result<()>) -> Result<()>,
) -> Result<()> {
    let mut sessions = Sessions::of(reader)?;
    read(&mut |row| sink.put((&row, sessions.get(reader, row.session())?)))?;
    sink.finish()
}

/// The sessions of a journal by number.
pub struct Sessions {
    known: HashMap<i64, SessionRow>,
}

impl Sessions {
    /// Those that there are now.
    ///
    /// # Errors
    /// Where the journal cannot be read.
    pub fn of(reader: &Reader) -> Result<Sessions, JournalError> {
        let sessions = reader.sessions()?;
        Ok(Sessions { known: sessions.into_iter().map(|session| (session.id, session)).collect() })
    }

    /// The session of a number, also where it began since.
    ///
    /// # Errors
    /// Where the journal cannot be read.
    pub fn get(&mut self, reader: &Reader, id: i64) -> Result<&SessionRow, JournalError> {
        if !self.known.contains_key(&id) {
            self.known.extend(reader.sessions()?.into_iter().map(|session| (session.id, session)));
        }
        // Only a damaged journal lacks it; what is known of its rows is still worth having.
        Ok(self.known.entry(id).or_insert_with(|| SessionRow {
            id,
            started_wall_us: 0,
            started_monotonic_us: 0,
            session: Session::default(),
            scale: None,
        }))
    }
}

fn sink<'a, R: InSession + 'static>(
    format: Format,
    columns: &'static [Column<R>],
    out: &'a mut (dyn Write + Send),
) -> Result<Box<dyn Sink<R> + 'a>> {
    Ok(match format {
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(out);
            writer.write_record(columns.iter().map(|column| column.name)).map_err(from_csv)?;
            Box::new(Csv { columns, writer })
        }
        Format::Jsonl => Box::new(JsonLines(out)),
        #[cfg(feature = "parquet")]
        Format::Parquet => Box::new(super::parquet::Parquet::new(columns, out).map_err(Error::failure)?),
    })
}

struct Csv<'a, R: 'static> {
    columns: &'static [Column<R>],
    writer: csv::Writer<&'a mut (dyn Write + Send)>,
}

impl<R> Sink<R> for Csv<'_, R> {
    fn put(&mut self, of: Of<'_, R>) -> Result<()> {
        for column in self.columns {
            let value = (column.of)(of);
            self.writer.write_field(value.to_text().as_ref()).map_err(from_csv)?;
        }
        self.writer.write_record(None::<&[u8]>).map_err(from_csv)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        Ok(self.writer.flush()?)
    }
}

/// The error of the file below, so that its kind is seen.
fn from_csv(error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => Error::failure(format!("cannot write CSV: {other:?}")),
    }
}

struct JsonLines<'a>(&'a mut (dyn Write + Send));

impl<R: InSession> Sink<R> for JsonLines<'_> {
    fn put(&mut self, (row, session): Of<'_, R>) -> Result<()> {
        Ok(writeln!(self.0, "{}", row.json(session).map_err(Error::failure)?)?)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(self.0.flush()?)
    }
}

/// Writes a file whole or not at all, and keeps the error of what writes it.
pub fn atomically(path: &Path, write: impl FnOnce(&mut (dyn Write + Send)) -> Result<()>) -> Result<()> {
    let mut own = None;
    let written = files::write_atomic(path, |file| {
        write(file).map_err(|error| {
            let kind = error.downcast_ref::<io::Error>().map_or(io::ErrorKind::Other, io::Error::kind);
            own = Some(error);
            kind.into()
        })
    });
    match own {
        Some(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
        None => Ok(written?),
    }
}

/// A reader that has gone, such as `head`, is no error.
pub fn gone_is_fine(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if matches!(error.downcast_ref::<io::Error>(), Some(cause) if cause.kind() == io::ErrorKind::BrokenPipe) => {
            Ok(())
        }
        other => other,
    }
}
