//! Where an export goes, row by row.

use std::io::Write;

use expression_engine::Error;
use expression_engine::error::Result;
use jiff::tz::TimeZone;

use super::columns::{Column, Value, WithSession};
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

/// One JSON object per line, with a field for each column and times in UTC.
pub struct Objects<'a, R: 'static> {
    /// The columns.
    pub columns: &'static [Column<R>],
    /// The output.
    pub out: &'a mut (dyn Write + Send),
}

impl<R> Sink<R> for Objects<'_, R> {
    fn put(&mut self, row: WithSession<'_, R>) -> Result<()> {
        let field = |column: &Column<R>| {
            let value = match (column.value)(row) {
                Value::Null => serde_json::Value::Null,
                Value::Int(value) => value.into(),
                Value::Float(value) => value.into(),
                Value::Bool(value) => value.into(),
                Value::Text(value) => value.into(),
                Value::Time(value) => moment::text(value).into(),
            };
            (column.name.to_owned(), value)
        };
        let object: serde_json::Map<String, serde_json::Value> = self.columns.iter().map(field).collect();
        Ok(writeln!(self.out, "{}", serde_json::Value::Object(object))?)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

/// Aligned columns for people. All rows are held until the widths are known.
pub struct Table<'a, R: 'static> {
    columns: &'static [Column<R>],
    zone: TimeZone,
    rows: Vec<Vec<String>>,
    out: &'a mut (dyn Write + Send),
}

impl<'a, R> Table<'a, R> {
    /// Begins a table whose times are in `zone`.
    pub fn new(columns: &'static [Column<R>], zone: TimeZone, out: &'a mut (dyn Write + Send)) -> Table<'a, R> {
        let heading = columns.iter().map(|column| column.name.replace('_', " ")).collect();
        Table { columns, zone, rows: vec![heading], out }
    }
}

impl<R> Sink<R> for Table<'_, R> {
    fn put(&mut self, row: WithSession<'_, R>) -> Result<()> {
        let cell = |column: &Column<R>| match (column.value)(row) {
            Value::Float(value) => format!("{value:.1}"),
            Value::Time(value) => moment::short(value, &self.zone),
            other => other.to_text(None).into_owned(),
        };
        self.rows.push(self.columns.iter().map(cell).collect());
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        for row in &self.rows {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
            writeln!(self.out, "{}", cells.join("  "))?;
        }
        Ok(self.out.flush()?)
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
