//! The open file: one transaction a batch, within a cap on its size.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use expression_core::Stamp;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use super::failure::{Failure, Kind};
use super::quarantine::{beside, sync_folder};
use super::queue::{Batch, Item, Tally};
use super::row::label_code;
use super::schema::{self, FileState, NEWEST, PAGE};
use super::{Config, Row, Session, Signature, erase, owner};

/// How long an attempt waits for another program to release the file. The pipeline does not wait with it.
const BUSY: Duration = Duration::from_secs(1);

/// A journal that is open for writing.
pub(super) struct Store {
    conn: Connection,
    path: PathBuf,
    /// Device and number of the file, by which it is known again.
    file: (u64, u64),
    session: i64,
    page: u64,
    max_bytes: u64,
    log_bytes: u64,
}

impl Store {
    /// Opens or creates the file, and finds or writes the session's row. A file of another program is not touched.
    pub fn open(path: &Path, config: &Config, session: &Session, started: Stamp) -> Result<Store, Failure> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        owner::check(path)?;
        if let Some(target) = lost_target(path) {
            let message = format!("it is a link to {}, and there is no such folder", target.display());
            return Err(Failure::new(Kind::ReadOnly, message));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = owner::open_file(path, flags)?;
        conn.busy_timeout(BUSY)?;
        // FULL syncs the log at each commit; NORMAL would only at checkpoints, and a power cut would take commits back.
        conn.execute_batch(&format!(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -512; PRAGMA page_size = {PAGE};
             PRAGMA temp_store = MEMORY;
             PRAGMA auto_vacuum = INCREMENTAL;"
        ))?;
        let state = schema::state(&conn)?;
        let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(Failure::new(Kind::Other, format!("the file system allows no write-ahead log ({mode})")));
        }
        if state == FileState::Empty {
            schema::create(&conn)?;
            sync_folder(path)?;
        }
        schema::add_missing(&conn)?;
        // Pages that faces lay on, and what is left of them when cells move, are overwritten. Elsewhere it would only wear the card.
        let holds_faces = conn.query_row("SELECT EXISTS (SELECT 1 FROM face)", [], |row| row.get::<_, bool>(0));
        let overwrites = config.keep_faces || holds_faces.unwrap_or(true);
        conn.query_row(&format!("PRAGMA secure_delete = {}", i32::from(overwrites)), [], |_| Ok(()))?;
        let page = conn.pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0))?.max(512) as u64;
        let log_bytes = config.log_bytes();
        conn.pragma_update(None, "wal_autocheckpoint", (log_bytes / 2 / (page + 24)) as i64)?;
        conn.pragma_update(None, "journal_size_limit", log_bytes as i64)?;
        let file = identity(path).ok_or_else(|| Failure::new(Kind::Gone, "the file vanished while it was opened"))?;
        let mut store =
            Store { conn, path: path.to_owned(), file, session: 0, page, max_bytes: config.max_bytes, log_bytes };
        store.prepare_all()?;
        store.session = store.session_row(session, started)?;
        Ok(store)
    }

    /// Writes a batch in one transaction; the number of its last record or event once it is safe on the disk.
    pub fn write(&mut self, batch: &Batch) -> Result<i64, Failure> {
        if identity(&self.path) != Some(self.file) {
            return Err(Failure::new(Kind::Gone, "the file was moved or removed"));
        }
        let need = batch.bytes() as u64 / self.page + 16;
        self.check_log(need * self.page)?;
        let budget = (self.max_bytes - self.log_bytes) / self.page;
        let session = self.session;
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        make_room(&transaction, budget, need, session)?;
        let newest = insert(&transaction, session, batch)?;
        transaction.commit()?;
        Ok(newest)
    }

    /// A reader in the midst of a long read keeps the log from beginning anew; rather than let it grow over the cap,
    /// records wait in memory.
    fn check_log(&self, need: u64) -> Result<(), Failure> {
        let length = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
        let log = length(&beside(&self.path, "-wal")) + need;
        if log <= self.log_bytes || log + length(&self.path) <= self.max_bytes {
            return Ok(());
        }
        let busy: i64 = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        match busy {
            0 => Ok(()),
            _ => Err(Failure::new(Kind::Locked, "another program reads the file without pause, so its log only grows")),
        }
    }

    /// A table that is not as the schema has it is damage, to be seen now rather than at the first record.
    fn prepare_all(&self) -> Result<(), Failure> {
        for statement in [RECORD, EVENT, MINUTE, FACE, CURSOR, SESSION, MODEL, SIGNATURE] {
            self.conn.prepare_cached(statement).map_err(|error| {
                let failure = Failure::from(error);
                let kind = if failure.kind == Kind::Other { Kind::Damaged } else { failure.kind };
                Failure { kind, ..failure }
            })?;
        }
        Ok(())
    }

    /// Deletes the faces of records that are older than an instant. Returns how many.
    pub fn expire_faces(&mut self, before_us: i64) -> Result<u64, Failure> {
        erase::expire(&mut self.conn, before_us)
    }

    /// Number of faces whose records are from an instant on.
    pub fn faces_since(&self, since_us: i64) -> Result<u32, Failure> {
        Ok(erase::kept_since(&self.conn, since_us)?)
    }

    fn session_row(&mut self, session: &Session, started: Stamp) -> Result<i64, Failure> {
        let monotonic_us = (started.monotonic_ns / 1000) as i64;
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let known = transaction.query_row(
            "SELECT max(id) FROM session WHERE boot_id = ?1 AND started_monotonic_us = ?2 AND started_wall_us = ?3",
            params![session.boot_id, monotonic_us, started.wall_us],
            |row| row.get::<_, Option<i64>>(0),
        )?;
        if let Some(id) = known {
            return Ok(id);
        }
        transaction.prepare_cached(SESSION)?.execute(params![
            started.wall_us,
            monotonic_us,
            session.boot_id,
            session.clock_synchronised,
            session.bundle,
            session.model_sha256,
            session.program,
            session.board,
            session.kernels,
            session.configuration,
        ])?;
        let id = transaction.last_insert_rowid();
        if let Some(step) = session.score_step {
            transaction.prepare_cached(MODEL)?.execute(params![id, step, session.labels])?;
        }
        if let Some(Signature { state, key, sequence }) = &session.signature {
            transaction.prepare_cached(SIGNATURE)?.execute(params![id, state, key, sequence])?;
        }
        transaction.commit()?;
        Ok(id)
    }
}

/// Where a link leads whose folder does not exist, on a disk that is not mounted for instance.
pub(crate) fn lost_target(path: &Path) -> Option<PathBuf> {
    let target = path.parent()?.join(std::fs::read_link(path).ok()?);
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    (!path.exists() && !folder.is_dir()).then_some(target)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

const SESSION: &str = "INSERT INTO session (started_wall_us, started_monotonic_us, boot_id, clock_synchronised, bundle,
    model_sha256, program, board, kernels, configuration) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
const MODEL: &str = "INSERT OR REPLACE INTO model (session, score_step, labels) VALUES (?1, ?2, ?3)";
const SIGNATURE: &str =
    "INSERT OR REPLACE INTO signature (session, state, signing_key, sequence) VALUES (?1, ?2, ?3, ?4)";
const RECORD: &str = "INSERT INTO record (id, session, wall_us, monotonic_us, synchronised, frame, file, frame_width,
    frame_height, track, left_px, top_px, width_px, height_px, quality, scores, label, confidence, latency_us,
    millicelsius) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)";
const EVENT: &str =
    "INSERT INTO event (id, session, wall_us, monotonic_us, kind, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const FACE: &str = "INSERT INTO face (record, channels, size, pixels) VALUES (?1, ?2, ?3, ?4)";
const CURSOR: &str = "INSERT INTO cursor (name, id) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET id = excluded.id";
const MINUTE: &str = "INSERT INTO minute (session, minute, frames, with_faces, thinned, first_id, last_id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (session, minute) DO UPDATE SET frames = frames + excluded.frames,
    with_faces = with_faces + excluded.with_faces, thinned = thinned + excluded.thinned,
    first_id = min(first_id, excluded.first_id), last_id = max(last_id, excluded.last_id)";

fn insert(conn: &Connection, session: i64, batch: &Batch) -> Result<i64, Failure> {
    // Read in each transaction: whoever else writes to the file, no number comes twice.
    let mut id: i64 = conn.prepare_cached(NEWEST)?.query_row([], |row| row.get(0))?;
    let mut minutes: std::collections::BTreeMap<i64, (Tally, i64, i64)> =
        batch.minutes.iter().map(|(minute, tally)| (*minute, (*tally, id + 1, id))).collect();
    let (mut record, mut event) = (conn.prepare_cached(RECORD)?, conn.prepare_cached(EVENT)?);
    for item in &batch.items {
        id += 1;
        match item {
            Item::Record(row, face) => {
                insert_record(&mut record, id, session, row)?;
                if let Some(face) = face {
                    let values = params![id, face.channels, face.size, face.pixels];
                    conn.prepare_cached(FACE)?.execute(values)?;
                }
                let span = minutes.entry(minute_of(row.stamp)).or_insert((Tally::default(), id, id));
                (span.1, span.2) = (span.1.min(id), span.2.max(id));
            }
            Item::Event(stamp, what) => {
                let (kind, detail) = what.to_parts();
                event.execute(params![id, session, stamp.wall_us, monotonic_us(*stamp), kind, detail])?;
            }
        }
    }
    for (minute, (tally, first, last)) in minutes {
        let counts = [tally.frames, tally.with_faces, tally.thinned].map(|count| count as i64);
        let values = params![session, minute, counts[0], counts[1], counts[2], first, last];
        conn.prepare_cached(MINUTE)?.execute(values)?;
    }
    for (name, id) in &batch.cursors {
        conn.prepare_cached(CURSOR)?.execute(params![name, id])?;
    }
    Ok(id)
}

fn insert_record(record: &mut rusqlite::Statement, id: i64, session: i64, row: &Row) -> Result<(), Failure> {
    let bounds = row.record.bounds;
    record.execute(params![
        id,
        session,
        row.stamp.wall_us,
        monotonic_us(row.stamp),
        row.synchronised,
        i64::try_from(row.sequence).unwrap_or(i64::MAX),
        row.name.as_deref(),
        row.size[0],
        row.size[1],
        row.record.track,
        bounds.left,
        bounds.top,
        bounds.width,
        bounds.height,
        row.record.quality as u8,
        row.record.scores.as_ref().map(|scores| scores.as_slice()),
        label_code(row.record.label),
        row.record.confidence,
        row.latency_us,
        row.millicelsius,
    ])?;
    Ok(())
}

fn monotonic_us(stamp: Stamp) -> i64 {
    (stamp.monotonic_ns / 1000) as i64
}

/// The minute of the wall clock in which a frame was captured.
pub(super) fn minute_of(stamp: Stamp) -> i64 {
    stamp.wall_us.div_euclid(60_000_000)
}

/// How many ids are deleted at a time.
const STEP: i64 = 128;
/// How many times before one commit.
const MAX_STEPS: usize = 256;

/// Deletes the oldest until the batch has room. What the file has above the cap, once it is lowered, is given back
/// some pages a commit.
fn make_room(conn: &Connection, budget: u64, need: u64, session: i64) -> Result<(), Failure> {
    let pragma = |name: &str| -> Result<u64, Failure> {
        Ok(conn.prepare_cached(&format!("PRAGMA {name}"))?.query_row([], |row| row.get::<_, i64>(0))?.max(0) as u64)
    };
    for _ in 0..MAX_STEPS {
        if pragma("page_count")?.saturating_sub(pragma("freelist_count")?) + need <= budget
            || !drop_oldest(conn, session)?
        {
            break;
        }
    }
    if pragma("page_count")? > budget {
        let mut vacuum = conn.prepare_cached("PRAGMA incremental_vacuum(256)")?;
        let mut rows = vacuum.raw_query();
        while rows.next()?.is_some() {}
    }
    Ok(())
}

/// Deletes some of the oldest rows; `false` if there is nothing left to delete.
fn drop_oldest(conn: &Connection, session: i64) -> Result<bool, Failure> {
    let number = |statement: &str| -> Result<Option<i64>, Failure> {
        Ok(conn.prepare_cached(statement)?.query_row([], |row| row.get(0))?)
    };
    let first = [number("SELECT min(id) FROM record")?, number("SELECT min(id) FROM event")?];
    let first = first.into_iter().flatten().min().unwrap_or(0);
    // The newest stays, or its number would be given again.
    let until = first.saturating_add(STEP).min(number(NEWEST)?.unwrap_or(0));
    if until <= first {
        // Nothing but counts of frames that showed nobody.
        let mut counts = conn.prepare_cached(&format!(
            "DELETE FROM minute WHERE (session, minute) IN
             (SELECT session, minute FROM minute ORDER BY session, minute LIMIT {STEP})"
        ))?;
        return Ok(counts.execute([])? > 0);
    }
    for statement in [
        "DELETE FROM face WHERE record < ?1",
        "DELETE FROM record WHERE id < ?1",
        "DELETE FROM event WHERE id < ?1",
        "DELETE FROM minute WHERE last_id < ?1",
    ] {
        conn.prepare_cached(statement)?.execute([until])?;
    }
    let oldest = [
        number("SELECT session FROM record ORDER BY id LIMIT 1").ok().flatten(),
        number("SELECT session FROM event ORDER BY id LIMIT 1").ok().flatten(),
        number("SELECT min(session) FROM minute")?,
    ];
    let oldest = oldest.into_iter().flatten().min().unwrap_or(session).min(session);
    for statement in [
        "DELETE FROM session WHERE id < ?1",
        "DELETE FROM model WHERE session < ?1",
        "DELETE FROM signature WHERE session < ?1",
    ] {
        conn.prepare_cached(statement)?.execute([oldest])?;
    }
    Ok(true)
}
