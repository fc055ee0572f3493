//! The journal as the queue of a broker: an outage of any length loses nothing that the journal still holds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use expression_engine::error::Result;

use crate::journal::{Entry, JournalError, Reader, Writer};
use crate::telemetry;

/// Name of the cursor that remembers how far the broker has come.
const CURSOR: &str = "mqtt";

/// Turns an entry of the journal into the payload of a message.
pub trait WriteEntry: Send {
    /// Returns the payload, a JSON object.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read.
    fn write(&mut self, reader: &Reader, entry: &Entry) -> Result<String>;

    /// Forgets what is remembered of the file: another one is being read.
    fn reset(&mut self);
}

/// Reads the journal for the broker.
pub struct Journaled<W> {
    path: PathBuf,
    writer: Arc<Writer>,
    reader: Option<Reader>,
    payload: W,
    position: Option<i64>,
}

impl<W: WriteEntry> Journaled<W> {
    /// Reads the journal at `path`, which `writer` writes; `payload` makes the messages.
    pub fn new(path: &Path, writer: Arc<Writer>, payload: W) -> Journaled<W> {
        Journaled { path: path.to_owned(), writer, reader: None, payload, position: None }
    }

    fn open(&mut self) -> Result<(), JournalError> {
        if self.reader.is_none() {
            self.reader = Some(Reader::open(&self.path)?);
            self.payload.reset();
        }
        Ok(())
    }

    fn read(&mut self, position: i64, limit: usize) -> Result<Vec<telemetry::BacklogEntry>> {
        self.open()?;
        let Some(reader) = &self.reader else { return Ok(Vec::new()) };
        let mut message =
            |entry: &Entry| Ok(telemetry::BacklogEntry { id: entry.id(), payload: self.payload.write(reader, entry)? });
        reader.entries_after(position, limit)?.iter().map(&mut message).collect()
    }
}

impl<W: WriteEntry> telemetry::Backlog for Journaled<W> {
    fn after(&mut self, position: i64, limit: usize) -> Result<Vec<telemetry::BacklogEntry>> {
        // A file that was moved out of the way is opened anew the next time.
        self.read(position, limit).inspect_err(|_| self.reader = None)
    }

    fn position(&mut self) -> Result<i64> {
        if let Some(position) = self.position {
            return Ok(position);
        }
        self.open()?;
        let Some(reader) = &self.reader else { return Ok(0) };
        // A broker that is new to this journal does not get the months before.
        let position = match reader.cursor(CURSOR)? {
            Some(position) => position,
            None => reader.ids()?.map_or(0, |(_, newest)| newest),
        };
        self.set_position(position)?;
        Ok(position)
    }

    fn set_position(&mut self, position: i64) -> Result<()> {
        self.writer.set_cursor(CURSOR, position);
        self.position = Some(position);
        Ok(())
    }
}
