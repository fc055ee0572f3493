//! Where an export goes, row by row.

use std::io::Write;

use expression_engine::Error;
use expression_engine::error::Result;
use jiff::tz::TimeZone;

use super::columns::{Column, WithSession};
use super::moment;
use crate::journal::{EventRow, Row, SessionRow};
use crate::record::{JournalEvent, JournalFace};

/// Takes rows in turn.
pub trait Sink<R> {
    /// Writes a row.
    ///
    /// # Errors
    /// Returns an error if the output cannot be written.
    fn put(&mut self, row: WithSession<'_, R>) -> Result<()>;

    /// Writes what must come at the end.
    ///
    /// # Errors
    /// Returns an error if the output cannot be written.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// Comma-separated values with a heading.
pub struct Csv<'a, R: 'static> {
    columns: &'static [Column<R>],
    zone: Option<TimeZone>,
    writer: csv::Writer<&'a mut (dyn Write + Send)>,
}

impl<'a, R> Csv<'a, R> {
    /// Writes the heading. Times are written in `zone`, or in UTC if it is `None`.
    ///
    /// # Errors
    /// Returns an error if the output cannot be written.
    pub fn new(
        columns: &'static [Column<R>],
        delimiter: u8,
        zone: Option<TimeZone>,
        out: &'a mut (dyn Write + Send),
    ) -> Result<Csv<'a, R>> {
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(out);
        writer.write_record(columns.iter().map(|column| column.name)).map_err(from_csv)?;
        Ok(Csv { columns, zone, writer })
    }
}

impl<R> Sink<R> for Csv<'_, R> {
    fn put(&mut self, row: WithSession<'_, R>) -> Result<()> {
        for column in self.columns {
            let value = (column.value)(row);
            self.writer.write_field(value.to_text(self.zone.as_ref()).as_ref()).map_err(from_csv)?;
        }
        self.writer.write_record(None::<&[u8]>).map_err(from_csv)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        Ok(self.writer.flush()?)
    }
}

/// Returns the I/O error within an error of CSV, so that its kind decides the exit code.
fn from_csv(error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => Error::failure(format!("cannot write CSV: {other:?}")),
    }
}

/// A row that belongs to a session.
pub trait InSession {
    /// Returns the number of the session.
    fn session(&self) -> i64;

    /// Returns the row as a JSON object, see [`crate::record`], with its time in `zone`, or in UTC if it is `None`.
    ///
    /// # Errors
    /// Returns an error if the row cannot be written as JSON.
    fn json(&self, session: &SessionRow, zone: Option<&TimeZone>) -> serde_json::Result<String>;
}

impl InSession for Row {
    fn session(&self) -> i64 {
        self.session
    }

    fn json(&self, session: &SessionRow, zone: Option<&TimeZone>) -> serde_json::Result<String> {
        let time = moment::text_in(self.stamp.wall_us, zone);
        serde_json::to_string(&JournalFace { time, ..JournalFace::new(self, session) })
    }
}

impl InSession for EventRow {
    fn session(&self) -> i64 {
        self.session
    }

    fn json(&self, session: &SessionRow, zone: Option<&TimeZone>) -> serde_json::Result<String> {
        let mut record = JournalEvent::new(self, session);
        record.event.time = moment::text_in(self.stamp.wall_us, zone);
        serde_json::to_string(&record)
    }
}

/// One JSON object per line.
pub struct JsonLines<'a> {
    /// The time zone of times; UTC if it is `None`.
    pub zone: Option<TimeZone>,
    /// The output.
    pub out: &'a mut (dyn Write + Send),
}

impl<R: InSession> Sink<R> for JsonLines<'_> {
    fn put(&mut self, (row, session): WithSession<'_, R>) -> Result<()> {
        Ok(writeln!(self.out, "{}", row.json(session, self.zone.as_ref()).map_err(Error::failure)?)?)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(self.out.flush()?)
    }
}
