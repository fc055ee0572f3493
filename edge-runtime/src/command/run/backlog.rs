//! The journal as what waits for the broker: an outage of any length loses nothing that the journal still holds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use expression_engine::error::Result;

use crate::command::log::tail::{self, Sessions};
use crate::journal::{Reader, Writer};
use crate::telemetry::{Backlog, BacklogEntry};

/// Name of the cursor that remembers how far the broker has come.
const CURSOR: &str = "mqtt";

/// Reads the journal for the broker.
pub struct Journaled {
    path: PathBuf,
    writer: Arc<Writer>,
    opened: Option<(Reader, Sessions)>,
    position: Option<i64>,
}

impl Journaled {
    /// Of the journal at `path`, which `writer` writes.
    pub fn new(path: &Path, writer: Arc<Writer>) -> Journaled {
        Journaled { path: path.to_owned(), writer, opened: None, position: None }
    }

    fn opened(&mut self) -> Result<&mut (Reader, Sessions)> {
        let opened = match self.opened.take() {
            Some(opened) => opened,
            None => {
                let reader = Reader::open(&self.path)?;
                let sessions = Sessions::of(&reader)?;
                (reader, sessions)
            }
        };
        Ok(self.opened.insert(opened))
    }
}

impl Backlog for Journaled {
    fn after(&mut self, position: i64, limit: usize) -> Result<Vec<BacklogEntry>> {
        let entries = self.opened()?.0.entries_after(position, limit);
        // A file that was moved aside is opened anew the next time.
        let entries = entries.inspect_err(|_| self.opened = None)?;
        let (reader, sessions) = self.opened()?;
        let line = |entry: &crate::journal::Entry| -> Result<BacklogEntry> {
            Ok(BacklogEntry { id: entry.id(), payload: tail::json(reader, sessions, entry)? })
        };
        entries.iter().map(line).collect()
    }

    fn position(&mut self) -> Result<i64> {
        if let Some(position) = self.position {
            return Ok(position);
        }
        let (reader, _) = self.opened()?;
        // Whoever begins to publish does not want the months before.
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
