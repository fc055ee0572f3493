//! Whose file lies at a journal's path. Only looks: SQLite may write to a file as soon as it opens it for writing.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::failure::{Failure, Kind};
use super::format::APPLICATION_ID;
use super::quarantine::beside;
use super::schema;

/// How each SQLite file begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Where `PRAGMA application_id` lies in the file, big-endian.
const APPLICATION_ID_AT: std::ops::Range<usize> = 68..72;
/// How a rollback journal begins, and where it says how many pages the file had before (SQLite's file format, section 3).
const ROLLBACK_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
const PAGES_BEFORE_AT: std::ops::Range<usize> = 16..20;
const ROLLBACK_HEAD: usize = 20;
/// How much of a file without a header is searched for traces of a journal, in bytes.
const SEARCHED: u64 = 1 << 20;
/// Parts of the schema's text. One may be cut in two by the end of a page, several are not.
const TRACES: [&[u8]; 4] =
    [b"started_monotonic_us INTEGER", b"model_sha256 TEXT", b"left_px INTEGER NOT NULL", b"millicelsius INTEGER"];

/// Refuses a named pipe, which would never open, and a device, to which SQLite would write.
///
/// # Errors
/// Returns [`Kind::Foreign`] for these.
pub(super) fn check_type(path: &Path) -> Result<(), Failure> {
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => {
            Err(Failure::new(Kind::Foreign, "it is a pipe or a device"))
        }
        // What else is wrong with it is told by opening it.
        _ => Ok(()),
    }
}

/// Refuses a file of another program, and one of a newer version of this one.
///
/// # Errors
/// Returns [`Kind::Foreign`] or [`Kind::Newer`] for these, [`Kind::Damaged`] for what was once a journal, and what the file
/// system says if the file cannot be read.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    check_type(path)?;
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let mut head = Vec::new();
    file.take(SEARCHED).read_to_end(&mut head)?;
    if head.is_empty() {
        return Ok(());
    }
    if !head.starts_with(MAGIC) {
        return Err(without_header(&head));
    }
    let application = head.get(APPLICATION_ID_AT).unwrap_or_default();
    if application == (APPLICATION_ID as u32).to_be_bytes() {
        return Ok(());
    }
    if was_being_made(path) {
        return Ok(());
    }
    // A journal that was never folded into its file has no application id there yet, and no table.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    schema::state(&Connection::open_with_flags(path, flags)?).map(drop)
}

/// Whether the program that made this file was killed before the first tables were in it. SQLite's rollback journal says that
/// the file had no page then, so nothing in it can be lost; only who may write can roll it back.
fn was_being_made(path: &Path) -> bool {
    let Ok(target) = path.canonicalize() else { return false };
    let mut head = [0; ROLLBACK_HEAD];
    let read = File::open(beside(&target, "-journal")).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head.starts_with(&ROLLBACK_MAGIC) && head[PAGES_BEFORE_AT].iter().all(|byte| *byte == 0)
}

/// A file that is not SQLite's, or not any more.
fn without_header(head: &[u8]) -> Failure {
    let has = |trace: &[u8]| head.windows(trace.len()).any(|window| window == trace);
    // A power cut can leave a new file full of zeros.
    if head.iter().all(|byte| *byte == 0) || TRACES.iter().any(|trace| has(trace)) {
        return Failure::new(Kind::Damaged, "it has no SQLite header");
    }
    Failure::new(Kind::Foreign, "it is not a SQLite file")
}
