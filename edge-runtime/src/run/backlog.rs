//! The journal as the queue of a broker: an outage of any length loses nothing that the journal still holds.

use std::os::unix::fs::MetadataExt;
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
    /// Device and number of the file that was read last.
    file: Option<(u64, u64)>,
}

impl<W: WriteEntry> Journaled<W> {
    /// Reads the journal at `path`, which `writer` writes; `payload` makes the messages.
    pub fn new(path: &Path, writer: Arc<Writer>, payload: W) -> Journaled<W> {
        Journaled { path: path.to_owned(), writer, reader: None, payload, position: None, file: None }
    }

    fn open(&mut self) -> Result<(), JournalError> {
        if self.reader.is_none() {
            let file = identity(&self.path);
            self.reader = Some(Reader::open(&self.path)?);
            self.payload.reset();
            // Another file than before is for `follow` to notice: the position is of the one before.
            self.file = self.file.or(file);
        }
        Ok(())
    }

    /// Begins anew if the writer has put another file in the place of a damaged or lost one: all in it is of this run.
    fn follow(&mut self) {
        let found = identity(&self.path);
        if self.file.is_some() && found.is_some() && found != self.file {
            self.writer.set_cursor(CURSOR, 0);
            (self.reader, self.file, self.position) = (None, found, Some(0));
        }
    }

    fn read(&mut self, position: i64, limit: usize) -> Result<Vec<telemetry::BacklogEntry>> {
        self.open()?;
        let Some(reader) = &self.reader else { return Ok(Vec::new()) };
        let mut message =
            |entry: &Entry| Ok(telemetry::BacklogEntry { id: entry.id(), payload: self.payload.write(reader, entry)? });
        reader.entries_after(position, limit)?.iter().map(&mut message).collect()
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

impl<W: WriteEntry> telemetry::Backlog for Journaled<W> {
    fn after(&mut self, position: i64, limit: usize) -> Result<Vec<telemetry::BacklogEntry>> {
        // A file that was moved out of the way is opened anew the next time.
        self.read(position, limit).inspect_err(|_| self.reader = None)
    }

    fn position(&mut self) -> Result<i64> {
        self.follow();
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::Event;
    use crate::journal::{Config, Session};
    use crate::telemetry::Backlog;

    struct Numbers;

    impl WriteEntry for Numbers {
        fn write(&mut self, _: &Reader, entry: &Entry) -> Result<String> {
            Ok(entry.id().to_string())
        }

        fn reset(&mut self) {}
    }

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn another_file_in_the_place_of_the_journal_is_read_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let config = Config { commit_every: Duration::from_millis(1), ..Config::default() };
        let writer = Arc::new(Writer::open(&path, config, Session::here()).unwrap());
        let pause = || writer.event(Event::RecordingPaused { by: "test".into() });
        (0..10).for_each(|_| pause());
        assert!(writer.flush(PATIENCE));
        let mut backlog = Journaled::new(&path, Arc::clone(&writer), Numbers);
        // A broker that is new to the journal gets nothing of the past.
        let position = backlog.position().unwrap();
        assert!(position >= 10 && backlog.after(position, 64).unwrap().is_empty());
        pause();
        assert!(writer.flush(PATIENCE));
        assert!(!backlog.after(position, 64).unwrap().is_empty());
        backlog.set_position(position + 1).unwrap();
        for suffix in ["", "-wal", "-shm"] {
            let name = |name: &str| folder.path().join(format!("{name}{suffix}"));
            std::fs::rename(name("journal"), name("moved")).unwrap();
        }
        // The first attempt finds that the file has gone.
        for _ in 0..2 {
            pause();
            writer.flush(PATIENCE);
        }
        let until = std::time::Instant::now() + PATIENCE;
        while !writer.flush(PATIENCE) && std::time::Instant::now() < until {}
        let position = backlog.position().unwrap();
        assert_eq!(position, 0);
        assert!(backlog.after(position, 64).unwrap().len() >= 2);
    }
}
