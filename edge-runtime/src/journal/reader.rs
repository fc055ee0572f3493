//! The end of the journal for everything but the pipeline.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Row as Columns, params};

use super::connect::{self, BUSY};
use super::failure::{Failure, Kind};
use super::quarantine::beside;
use super::{Entry, EventRow, JournalError, Minute, Range, Row, SessionRow, columns, owner, schema};

/// Rows that are read at a time. Short reads let the writer's log begin anew between them.
const PIECE: usize = 4096;

/// Reads a journal while it is written. Nothing is read as one piece: an export of millions of rows holds a few thousand.
pub struct Reader {
    conn: Connection,
    path: PathBuf,
    /// Opened where a cursor is set.
    writable: OnceCell<Connection>,
}

impl Reader {
    /// Opens a journal for reading; also where its folder may not be written.
    ///
    /// # Errors
    /// Returns an error if there is none, if it is a folder, if it is damaged, or if it belongs to another program or a newer schema.
    pub fn open(path: &Path) -> Result<Reader, JournalError> {
        if !path.exists() {
            return Err(JournalError::Missing(path.to_owned()));
        }
        if path.is_dir() {
            return Err(JournalError::Folder(path.to_owned()));
        }
        let conn = connect::open(path).map_err(|failure| reading(failure, path))?;
        Ok(Reader { conn, path: path.to_owned(), writable: OnceCell::new() })
    }

    /// The path that it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file and its log.
    pub fn bytes(&self) -> u64 {
        let length = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
        length(&self.path) + length(&beside(&self.path, "-wal"))
    }

    /// Numbers of the oldest and the newest record or event; `None` if there are none.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn ids(&self) -> Result<Option<(i64, i64)>, JournalError> {
        self.query(
            "SELECT (SELECT min(id) FROM record), (SELECT min(id) FROM event), (SELECT max(id) FROM record),
             (SELECT max(id) FROM event)",
            [],
            |row| {
                let first: [Option<i64>; 2] = [row.get(0)?, row.get(1)?];
                let last: [Option<i64>; 2] = [row.get(2)?, row.get(3)?];
                Ok(first.into_iter().flatten().min().zip(last.into_iter().flatten().max()))
            },
        )
        .map(|rows| rows.into_iter().flatten().next())
    }

    /// At most `limit` records after a number, in order.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn records_after(&self, id: i64, limit: usize) -> Result<Vec<Row>, JournalError> {
        self.records_between(id, i64::MAX, &Range::default(), limit)
    }

    /// At most `limit` events after a number, in order.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn events_after(&self, id: i64, limit: usize) -> Result<Vec<EventRow>, JournalError> {
        self.events_between(id, &Range::default(), limit)
    }

    /// At most `limit` records and events after a number, in order.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn entries_after(&self, id: i64, limit: usize) -> Result<Vec<Entry>, JournalError> {
        // Both from one state of the file, or an event between two records could be missed for ever.
        let whole = self.conn.unchecked_transaction().map_err(|error| reading(error.into(), &self.path))?;
        let records = self.records_after(id, limit)?.into_iter().map(Entry::Record);
        let mut entries: Vec<Entry> =
            records.chain(self.events_after(id, limit)?.into_iter().map(Entry::Event)).collect();
        drop(whole);
        entries.sort_by_key(Entry::id);
        entries.truncate(limit);
        Ok(entries)
    }

    /// Calls for each record of a range, in the order of their numbers.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or the one of `each`.
    pub fn each_record<E: From<JournalError>>(
        &self,
        range: &Range,
        mut each: impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut after, last) = self.span(range)?;
        while after < last {
            let rows = self.records_between(after, last, range, PIECE)?;
            let Some(newest) = rows.last().map(|row| row.id) else { break };
            after = newest;
            rows.into_iter().try_for_each(&mut each)?;
        }
        Ok(())
    }

    /// Calls for each event of a range, in the order of their numbers.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or the one of `each`.
    pub fn each_event<E: From<JournalError>>(
        &self,
        range: &Range,
        mut each: impl FnMut(EventRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut after = i64::MIN;
        loop {
            let rows = self.events_between(after, range, PIECE)?;
            let Some(newest) = rows.last().map(|row| row.id) else { return Ok(()) };
            after = newest;
            rows.into_iter().try_for_each(&mut each)?;
        }
    }

    /// The counts of the minutes that a range touches, in the order of the wall clock.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn minutes(&self, range: &Range) -> Result<Vec<Minute>, JournalError> {
        let (first, last) = range.minutes();
        self.query(
            "SELECT session, minute, frames, with_faces, thinned FROM minute WHERE minute BETWEEN ?1 AND ?2
             ORDER BY minute, session",
            params![first, last],
            |row| {
                let count = |index: usize| row.get::<_, i64>(index).map(|count| count.max(0) as u64);
                let (frames, with_faces, thinned) = (count(2)?, count(3)?, count(4)?);
                Ok(Minute { session: row.get(0)?, minute: row.get(1)?, frames, with_faces, thinned })
            },
        )
    }

    /// All sessions, in order.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn sessions(&self) -> Result<Vec<SessionRow>, JournalError> {
        let has = |table: &str| schema::has(&self.conn, table).map_err(|error| self.error(error));
        let (model, model_table) = match has("model")? {
            true => ("score_step, labels", "LEFT JOIN model ON model.session = session.id"),
            false => ("NULL, NULL", ""),
        };
        let (signature, signature_table) = match has("signature")? {
            true => ("state, signing_key, sequence", "LEFT JOIN signature ON signature.session = session.id"),
            false => ("NULL, NULL, NULL", ""),
        };
        let named = columns::named("session", columns::session);
        let (session, tables) = (columns::SESSION, format!("session {model_table} {signature_table}"));
        self.query(&format!("SELECT {session}, {model}, {signature} FROM {tables} ORDER BY id"), [], named)
    }

    /// Whether a face was kept with a record.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn has_face(&self, record: i64) -> Result<bool, JournalError> {
        Ok(!self.query("SELECT 1 FROM face WHERE record = ?1", [record], |_| Ok(()))?.is_empty())
    }

    /// The face that was kept with a record: channels, width and height, and u8 `[channels, size, size]`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn face(&self, record: i64) -> Result<Option<(u8, u16, Vec<u8>)>, JournalError> {
        let statement = "SELECT channels, size, pixels FROM face WHERE record = ?1";
        let rows = self.query(statement, [record], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(rows.into_iter().next())
    }

    /// How far the reader of this name has come; `None` if it never said.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn cursor(&self, name: &str) -> Result<Option<i64>, JournalError> {
        Ok(self.query("SELECT id FROM cursor WHERE name = ?1", [name], |row| row.get(0))?.into_iter().next())
    }

    /// Remembers under a name how far a reader has come. It is not synced: a power cut may take the newest back, so that
    /// records come twice, but none is missed. Inside the runtime use [`super::Writer::set_cursor`].
    ///
    /// # Errors
    /// Returns an error if the file may not be written, or if another program holds it.
    pub fn set_cursor(&self, name: &str, id: i64) -> Result<(), JournalError> {
        let write = || -> Result<(), Failure> {
            if self.writable.get().is_none() {
                let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let conn = owner::open_file(&self.path, flags)?;
                conn.busy_timeout(BUSY)?;
                conn.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = OFF;")?;
                // Only this thread has it, so nobody else can have filled it.
                let _ = self.writable.set(conn);
            }
            let Some(conn) = self.writable.get() else { return Ok(()) };
            let mut statement = conn.prepare_cached(
                "INSERT INTO cursor (name, id) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET id = excluded.id",
            )?;
            statement.execute(params![name, id])?;
            Ok(())
        };
        write().map_err(|failure| failure.at(&self.path))
    }

    /// A connection for SQLite's own checks; see [`super::verify`]. SQLite does not look at constraints through a
    /// connection that may only read, so this one may write where the file allows it, and changes nothing all the same.
    pub(super) fn for_checks(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = owner::open_file(&self.path, flags)?;
        conn.busy_timeout(BUSY)?;
        conn.pragma_update(None, "query_only", true)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok(conn)
    }

    /// The connection that only reads.
    pub(super) fn conn(&self) -> &Connection {
        &self.conn
    }

    pub(super) fn error(&self, error: rusqlite::Error) -> JournalError {
        reading(error.into(), &self.path)
    }

    /// Numbers between which the records of a range lie, the first without: the table `minute` is the index.
    fn span(&self, range: &Range) -> Result<(i64, i64), JournalError> {
        if range.is_all() {
            return Ok((i64::MIN, i64::MAX));
        }
        let (first, last) = range.minutes();
        let spans = self.query(
            "SELECT min(first_id), max(last_id) FROM minute WHERE minute BETWEEN ?1 AND ?2 AND first_id <= last_id",
            params![first, last],
            |row| Ok(row.get::<_, Option<i64>>(0)?.zip(row.get::<_, Option<i64>>(1)?)),
        )?;
        Ok(spans.into_iter().flatten().next().map_or((0, 0), |(first, last)| (first.saturating_sub(1), last)))
    }

    fn records_between(&self, after: i64, last: i64, range: &Range, limit: usize) -> Result<Vec<Row>, JournalError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.query(
            &format!(
                "SELECT {} FROM record WHERE id > ?1 AND id <= ?2 AND wall_us >= ?3 AND wall_us < ?4 ORDER BY id LIMIT ?5",
                columns::RECORD
            ),
            params![after, last, range.since_us, range.until_us, limit],
            columns::named("record", columns::record),
        )
        .and_then(|rows| self.rising(after, rows, |row| row.id))
    }

    fn events_between(&self, after: i64, range: &Range, limit: usize) -> Result<Vec<EventRow>, JournalError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.query(
            &format!(
                "SELECT {} FROM event WHERE id > ?1 AND wall_us >= ?2 AND wall_us < ?3 ORDER BY id LIMIT ?4",
                columns::EVENT
            ),
            params![after, range.since_us, range.until_us, limit],
            columns::named("event", columns::event),
        )
        .and_then(|rows| self.rising(after, rows, |row| row.id))
    }

    /// Rows whose numbers rise from one above `after` on. In a damaged file they may not, and what reads on from the last one
    /// would never come to an end.
    fn rising<T>(&self, mut after: i64, rows: Vec<T>, id: impl Fn(&T) -> i64) -> Result<Vec<T>, JournalError> {
        for row in &rows {
            if id(row) <= after {
                let reason = format!("number {} comes after number {after}", id(row));
                return Err(JournalError::Damaged { path: self.path.clone(), reason, in_row: true });
            }
            after = id(row);
        }
        Ok(rows)
    }

    fn query<T>(
        &self,
        statement: &str,
        values: impl rusqlite::Params,
        read: impl FnMut(&Columns) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, JournalError> {
        let rows =
            || -> rusqlite::Result<Vec<T>> { self.conn.prepare_cached(statement)?.query_map(values, read)?.collect() };
        rows().map_err(|error| self.error(error))
    }
}

fn reading(failure: Failure, path: &Path) -> JournalError {
    match failure.kind {
        Kind::Full | Kind::ReadOnly | Kind::Confined | Kind::Gone | Kind::Other => {
            JournalError::Unreadable { path: path.to_owned(), reason: failure.message }
        }
        _ => failure.at(path),
    }
}
