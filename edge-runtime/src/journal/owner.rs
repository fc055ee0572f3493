//! Decides whether the file at a journal's path is ours. Reads only: SQLite may write to a file as soon as it opens it for writing.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::failure::{Failure, Kind};
use super::format::APPLICATION_ID;
use super::quarantine::beside;
use super::schema::{self, FileState, PAGE};

/// How each SQLite file begins, and the length of its header.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const HEADER: usize = 100;
/// Where `PRAGMA application_id` lies in the file, big-endian.
const APPLICATION_ID_AT: std::ops::Range<usize> = 68..72;
/// How a rollback journal begins, and where it says how many pages the file had before (SQLite's file format, section 3).
const ROLLBACK_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
const PAGES_BEFORE_AT: std::ops::Range<usize> = 16..20;
/// How much of a file is searched for traces of a journal, in bytes.
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

/// Refuses a file of another program, and one of a newer version of this one. No file is changed, those beside it included.
///
/// # Errors
/// Returns [`Kind::Foreign`] or [`Kind::Newer`] for these, [`Kind::Damaged`] for what was once a journal, and what the file
/// system says if the file cannot be read.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    check_type(path)?;
    let head = match beginning(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return check_log_alone(path),
        other => other?,
    };
    let application = head.get(APPLICATION_ID_AT).unwrap_or_default();
    if head.starts_with(MAGIC) && application == (APPLICATION_ID as u32).to_be_bytes() {
        return Ok(());
    }
    // SQLite keeps its other files beside the one that a link leads to.
    let target = path.canonicalize()?;
    let log = beginning(&beside(&target, "-wal")).unwrap_or_default();
    let is_ours = is_journal(&head) || is_journal(&log);
    if head.is_empty() {
        // SQLite would delete the log.
        let damaged = || Failure::new(Kind::Damaged, "it is empty, and its log is not");
        return if is_journal(&log) { Err(damaged()) } else { Ok(()) };
    }
    if !head.starts_with(MAGIC) {
        return Err(without_header(&head, is_ours));
    }
    let rollback = beginning(&beside(&target, "-journal")).unwrap_or_default();
    let in_transaction = rollback.first().is_some_and(|byte| *byte != 0);
    let was_being_made = in_transaction && had_no_table(&rollback) && head.len() as u64 <= PAGE && log.is_empty();
    if in_transaction && !was_being_made {
        return Err(match is_ours {
            true => Failure::new(Kind::Damaged, "it ended within a transaction, and its header is not a journal's"),
            false => Failure::new(Kind::Foreign, "a database of another program, which ended within a transaction"),
        });
    }
    match look(path, &head, log.is_empty()) {
        Err(failure) if was_being_made && failure.kind != Kind::Foreign => Ok(()),
        Err(failure) if failure.kind == Kind::Damaged && !is_ours => {
            Err(Failure::new(Kind::Foreign, format!("a database of another program ({failure})")))
        }
        // A journal that was never folded into its file has no application id there yet, and no table.
        other => other.map(drop),
    }
}

/// Refuses a path at which only the log of a file is left: SQLite would delete it, and it may hold what was recorded last.
fn check_log_alone(path: &Path) -> Result<(), Failure> {
    let is_left = !path.is_symlink() && beginning(&beside(path, "-wal")).is_ok_and(|log| !log.is_empty());
    let gone = || Failure::new(Kind::Damaged, "its file is gone, and its log is not");
    if is_left { Err(gone()) } else { Ok(()) }
}

/// Reads the state of a file that has a header with SQLite.
fn look(path: &Path, head: &[u8], is_alone: bool) -> Result<FileState, Failure> {
    if head.len() < HEADER {
        return Err(Failure::new(Kind::Damaged, "its header is cut off"));
    }
    // A log can only be read together with its file, which makes SQLite write an index of it.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = if is_alone { open_immutable(path)? } else { open_file(path, flags)? };
    schema::state(&conn)
}

/// Opens the file at a path, whatever it is called: SQLite takes `file:a.db` for an address, and `:memory:` for no file at all.
pub(super) fn open_file(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    // An absolute path stays as it is.
    Connection::open_with_flags(Path::new(".").join(path), flags)
}

/// Opens a file as if nothing could write to it. SQLite looks at no file beside it then, and makes none.
pub(super) fn open_immutable(path: &Path) -> rusqlite::Result<Connection> {
    // In an address, //name would be a host. Paths need not be UTF-8.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let coded = |byte: &u8| if is_plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02x}") };
    let address: String = path.as_os_str().as_bytes().iter().map(coded).collect();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(format!("file:{address}?immutable=1"), flags)
}

/// The first bytes of a file.
fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(SEARCHED).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether SQLite's rollback journal says that its file had at most one page before, which is too few for a table. If that file
/// has one page now, the program that made it was killed while it made that page, or while it turned write-ahead logging on.
/// Nothing in the file can be lost; only who may write can roll it back.
fn had_no_table(rollback: &[u8]) -> bool {
    let pages = rollback.get(PAGES_BEFORE_AT);
    rollback.starts_with(&ROLLBACK_MAGIC)
        && pages.is_some_and(|pages| [[0; 4], [0, 0, 0, 1]].iter().any(|few| pages == few))
}

/// Whether parts of a journal's schema are in these bytes.
fn is_journal(bytes: &[u8]) -> bool {
    let has = |trace: &[u8]| bytes.windows(trace.len()).any(|window| window == trace);
    TRACES.iter().any(|trace| has(trace))
}

/// A file that is not SQLite's, or not any more.
fn without_header(head: &[u8], is_ours: bool) -> Failure {
    // A power cut can leave a new file full of zeros.
    if head.iter().all(|byte| *byte == 0) || is_ours {
        return Failure::new(Kind::Damaged, "it has no SQLite header");
    }
    Failure::new(Kind::Foreign, "it is not a SQLite file")
}
