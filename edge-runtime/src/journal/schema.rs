//! The tables, and how a file says that it holds them.

use rusqlite::Connection;

use super::failure::{Failure, Kind};
use super::format::{APPLICATION_ID, VERSION};
use super::visit_view::VIEW;

/// Bytes of a page. Each commit writes every page that it touches once more: small pages wear less. Measured in
/// `docs/journal.md`.
pub(super) const PAGE: u64 = 1024;

/// The newest number of a record or an event; 0 in a new file.
pub(super) const NEWEST: &str =
    "SELECT max(coalesce((SELECT max(id) FROM record), 0), coalesce((SELECT max(id) FROM event), 0))";

const TABLES: &str = "
CREATE TABLE session (
    id INTEGER PRIMARY KEY,
    started_wall_us INTEGER NOT NULL,
    started_monotonic_us INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    clock_synchronised INTEGER NOT NULL CHECK (clock_synchronised IN (0, 1)),
    bundle TEXT NOT NULL,
    model_sha256 TEXT NOT NULL,
    program TEXT NOT NULL,
    board TEXT NOT NULL,
    kernels TEXT NOT NULL,
    configuration TEXT NOT NULL
) STRICT;
CREATE TABLE record (
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES session (id),
    wall_us INTEGER NOT NULL,
    monotonic_us INTEGER NOT NULL,
    synchronised INTEGER NOT NULL CHECK (synchronised IN (0, 1)),
    frame INTEGER NOT NULL,
    file TEXT,
    frame_width INTEGER NOT NULL,
    frame_height INTEGER NOT NULL,
    track INTEGER NOT NULL,
    left_px INTEGER NOT NULL,
    top_px INTEGER NOT NULL,
    width_px INTEGER NOT NULL,
    height_px INTEGER NOT NULL,
    quality INTEGER NOT NULL CHECK (quality BETWEEN 0 AND 4),
    scores BLOB CHECK (length(scores) = 8),
    label INTEGER CHECK (label BETWEEN 0 AND 7),
    confidence INTEGER NOT NULL CHECK (confidence BETWEEN 0 AND 255),
    latency_us INTEGER NOT NULL,
    millicelsius INTEGER
) STRICT;
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES session (id),
    wall_us INTEGER NOT NULL,
    monotonic_us INTEGER NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT
) STRICT;
CREATE TABLE minute (
    session INTEGER NOT NULL REFERENCES session (id),
    minute INTEGER NOT NULL,
    frames INTEGER NOT NULL,
    with_faces INTEGER NOT NULL,
    thinned INTEGER NOT NULL,
    first_id INTEGER NOT NULL,
    last_id INTEGER NOT NULL,
    PRIMARY KEY (session, minute)
) STRICT, WITHOUT ROWID;
CREATE TABLE face (
    record INTEGER PRIMARY KEY REFERENCES record (id),
    channels INTEGER NOT NULL,
    size INTEGER NOT NULL,
    pixels BLOB NOT NULL CHECK (length(pixels) = channels * size * size)
) STRICT;
CREATE TABLE cursor (
    name TEXT PRIMARY KEY,
    id INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What turns the scores of a session into probabilities. It came after version 1 and changes nothing of it: journals
/// without it are read as before, and a writer adds it.
const MODEL: &str = "CREATE TABLE model (
    session INTEGER PRIMARY KEY REFERENCES session (id),
    score_step REAL NOT NULL,
    labels TEXT NOT NULL
) STRICT";

/// Who signed the bundle of a session. It came after `model`, and the same holds.
const SIGNATURE: &str = "CREATE TABLE signature (
    session INTEGER PRIMARY KEY REFERENCES session (id),
    state TEXT NOT NULL CHECK (state IN ('valid', 'unsigned', 'unchecked')),
    signing_key TEXT,
    sequence INTEGER
) STRICT";

/// Tables that came after version 1, by name.
const ADDED: [(&str, &str); 2] = [("model", MODEL), ("signature", SIGNATURE)];

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileState {
    /// Without any table: new, or cut off while it was made.
    Empty,
    /// A journal that this program can read and write.
    Journal,
}

/// What the file is; anything but an empty file or a journal of this version is a failure.
pub(super) fn state(conn: &Connection) -> Result<FileState, Failure> {
    let pragma = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application = pragma("application_id")?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == 0 && tables == 0 {
        return Ok(FileState::Empty);
    }
    if application != APPLICATION_ID {
        return Err(Failure::new(Kind::Foreign, "a database of another program"));
    }
    match pragma("user_version")? {
        VERSION => tables_are_ours(conn),
        found if found > VERSION => Err(Failure::new(Kind::Newer(found), format!("schema version {found}"))),
        // No older version was ever released.
        found => Err(Failure::new(Kind::Damaged, format!("schema version {found}"))),
    }
}

/// Whether the tables are declared as here. A view or another table of that name could make one read endless.
fn tables_are_ours(conn: &Connection) -> Result<FileState, Failure> {
    let mut statement = conn.prepare("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND sql = ?1")?;
    for table in TABLES.split(';').map(str::trim).filter(|table| !table.is_empty()) {
        if statement.query_row([table], |row| row.get::<_, i64>(0))? != 1 {
            let name = table.trim_start_matches("CREATE TABLE ").split(' ').next().unwrap_or_default();
            return Err(Failure::new(Kind::Damaged, format!("the table {name} is not the journal's")));
        }
    }
    for (name, table) in ADDED {
        if has(conn, name)? && statement.query_row([table], |row| row.get::<_, i64>(0))? == 0 {
            return Err(Failure::new(Kind::Damaged, format!("the table {name} is not the journal's")));
        }
    }
    Ok(FileState::Journal)
}

/// Whether the file has a table of this name.
pub(super) fn has(conn: &Connection, table: &str) -> rusqlite::Result<bool> {
    let named = "SELECT count(*) FROM sqlite_schema WHERE name = ?1";
    Ok(conn.query_row(named, [table], |row| row.get::<_, i64>(0))? > 0)
}

/// Adds the tables that came after version 1, and the view `visit`, to a file that lacks them. Whatever else is named `visit` is
/// left alone: this program never reads it.
pub(super) fn add_missing(conn: &Connection) -> rusqlite::Result<()> {
    for (name, text) in ADDED.into_iter().chain([("visit", VIEW)]) {
        if !has(conn, name)? {
            conn.execute_batch(text)?;
        }
    }
    Ok(())
}

/// Makes the tables in an empty file, in one transaction: a file has all of them or none.
pub(super) fn create(conn: &Connection) -> Result<(), Failure> {
    conn.execute_batch(&format!(
        "BEGIN IMMEDIATE; {TABLES} {MODEL}; {SIGNATURE}; {VIEW}; PRAGMA application_id = {APPLICATION_ID};
         PRAGMA user_version = {VERSION}; COMMIT;"
    ))
    .inspect_err(|_| {
        // Nothing to do if there was no transaction to end.
        let _ = conn.execute_batch("ROLLBACK");
    })?;
    Ok(())
}
