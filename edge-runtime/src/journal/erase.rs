//! Deleting kept faces: by age while the journal is written, and by whoever asks for it.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use super::connect::BUSY;
use super::failure::Failure;
use super::schema::NEWEST;
use super::{JournalError, Reader, owner};
use crate::clock;
use crate::event::Event;

/// How many faces are deleted in one transaction, so that the writer never waits long.
const STEP: usize = 128;
/// Bytes of a journal, at most, that is copied in memory to be written anew.
const MAX_COPY: i64 = 64 << 20;

/// What [`erase_faces`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// How many faces were deleted.
    pub faces: u64,
    /// Whether pieces of them may remain in unused parts of the file, because `run` kept it busy.
    pub pieces: bool,
}

/// Deletes the faces of records, overwrites where they lay, and writes an event that says so. Then writes the whole file anew: a
/// face that was moved to another page before may have left a piece behind. The records themselves stay. `run` may write to the
/// journal at the same time.
///
/// # Errors
/// Returns an error if the file may not be written or another program holds it.
pub fn erase_faces(reader: &Reader, records: &[i64]) -> Result<Erased, JournalError> {
    erase(reader.path(), records).map_err(|failure| failure.at(reader.path()))
}

fn erase(path: &Path, records: &[i64]) -> Result<Erased, Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = owner::open_file(path, flags)?;
    conn.busy_timeout(BUSY)?;
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA secure_delete = ON;")?;
    let mut deleted = 0;
    for step in records.chunks(STEP) {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let faces = delete(&transaction, step)?;
        if faces > 0 {
            say(&transaction, faces)?;
        }
        transaction.commit()?;
        deleted += faces;
    }
    // A copy in a file for temporary data would leave the faces that stay on blocks which nobody overwrites.
    let bytes = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    if conn.query_row(bytes, [], |row| row.get::<_, i64>(0))? <= MAX_COPY {
        conn.execute_batch("PRAGMA temp_store = MEMORY")?;
    }
    // It needs the file for itself, and room for a copy. The faces are deleted without it, too.
    let vacuumed = conn.execute_batch("VACUUM").is_ok();
    let truncated = truncate_log(&conn)?;
    Ok(Erased { faces: deleted, pieces: !(vacuumed && truncated) })
}

/// Deletes the faces of records that are older than an instant. Returns how many.
pub(super) fn expire(conn: &mut Connection, before_us: i64) -> Result<u64, Failure> {
    // A clock that was set may have put old faces between newer ones, so all are looked at.
    let statement =
        "SELECT face.record FROM face LEFT JOIN record ON record.id = face.record WHERE coalesce(wall_us, 0) < ?1";
    let old: Vec<i64> = {
        let mut query = conn.prepare_cached(statement)?;
        query.query_map([before_us], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?
    };
    if old.is_empty() {
        return Ok(0);
    }
    let before: i64 = conn.query_row("PRAGMA secure_delete", [], |row| row.get(0))?;
    conn.query_row("PRAGMA secure_delete = ON", [], |_| Ok(()))?;
    let mut deleted = 0;
    for step in old.chunks(STEP) {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        deleted += delete(&transaction, step)?;
        transaction.commit()?;
    }
    conn.query_row(&format!("PRAGMA secure_delete = {before}"), [], |_| Ok(()))?;
    truncate_log(conn)?;
    Ok(deleted)
}

/// Number of faces whose records are from an instant on.
pub(super) fn kept_since(conn: &Connection, since_us: i64) -> rusqlite::Result<u32> {
    let statement = "SELECT count(*) FROM face JOIN record ON record.id = face.record WHERE wall_us >= ?1";
    conn.query_row(statement, [since_us], |row| row.get(0))
}

fn delete(conn: &Connection, records: &[i64]) -> Result<u64, Failure> {
    let mut statement = conn.prepare_cached("DELETE FROM face WHERE record = ?1")?;
    let mut deleted = 0;
    for record in records {
        deleted += statement.execute([record])? as u64;
    }
    Ok(deleted)
}

/// Writes the event to the newest session. It has the monotonic time of the event before: what the writer still holds in
/// memory is later than that, and may be earlier than now.
fn say(conn: &Connection, faces: u64) -> Result<(), Failure> {
    let (kind, detail) = Event::FacesDeleted { faces, by: "command".into() }.to_parts();
    let newest: i64 = conn.query_row(NEWEST, [], |row| row.get(0))?;
    conn.execute(
        "INSERT INTO event (id, session, wall_us, monotonic_us, kind, detail)
         SELECT ?1, session.id, ?2, coalesce((SELECT monotonic_us FROM event WHERE event.session = session.id
         ORDER BY event.id DESC LIMIT 1), started_monotonic_us), ?3, ?4 FROM session ORDER BY session.id DESC LIMIT 1",
        params![newest + 1, clock::now().wall_us, kind, detail],
    )?;
    Ok(())
}

/// Old pages may lie in the log until it begins anew. A reader in the midst of a read prevents that; the next commit does it.
/// Returns whether it was done.
fn truncate_log(conn: &Connection) -> Result<bool, Failure> {
    Ok(conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok(row.get::<_, i64>(0)? == 0))?)
}
