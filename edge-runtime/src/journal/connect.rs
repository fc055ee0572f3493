//! Connections that only read.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::failure::{Failure, Kind};
use super::owner;
use super::quarantine::beside;
use super::schema::{self, FileState};

/// How long a read waits for another program to release the file.
pub(super) const BUSY: Duration = Duration::from_secs(2);

/// Opens a journal for reading; also where its folder may not be written.
pub(super) fn open(path: &Path) -> Result<Connection, Failure> {
    owner::check_type(path)?;
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let foreign = || owner::check(path).err().filter(|other| other.kind == Kind::Foreign);
    // Beside another program's database SQLite would leave files of its own.
    if !beside(&target, "-wal").exists()
        && let Some(failure) = foreign()
    {
        return Err(failure);
    }
    connect(path)
        .or_else(|failure| {
            // SQLite needs a file of its own beside the journal, unless it is told that nobody writes.
            let log = beside(&target, "-wal").metadata().map_or(0, |metadata| metadata.len());
            match failure.kind {
                // If that fails too, the first failure has the path as the user gave it.
                Kind::ReadOnly if log == 0 => owner::open_immutable(path).map_or(Err(failure), checked),
                _ => Err(failure),
            }
        })
        // SQLite calls a text damaged, and a file of a few bytes empty.
        .map_err(|failure| foreign().unwrap_or(failure))
}

fn connect(path: &Path) -> Result<Connection, Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    checked(owner::open_file(path, flags)?)
}

fn checked(conn: Connection) -> Result<Connection, Failure> {
    conn.busy_timeout(BUSY)?;
    // The file may come from anybody: nothing in it may call functions with effects, and pages are looked at before use.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    match schema::state(&conn)? {
        FileState::Journal => Ok(conn),
        FileState::Empty => Err(Failure::new(Kind::Other, "it has no tables yet")),
    }
}
