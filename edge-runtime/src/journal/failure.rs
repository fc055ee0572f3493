//! Why an attempt to write failed; each kind calls for another response.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use expression_engine::files::{end_of_links, folder_of};
use rusqlite::ErrorCode;
use rustix::fs::{Access, access};

use super::JournalError;

/// A failed attempt to open or to write.
#[derive(Debug)]
pub(super) struct Failure {
    pub kind: Kind,
    pub message: String,
    /// Whether a value within a row is the cause.
    pub in_row: bool,
}

/// What stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// No room on the disk, or in a quota.
    Full,
    /// The disk, the folder or the file may not be written.
    ReadOnly,
    /// The permissions allow it and the sandbox of the run does not.
    Confined,
    /// Another program holds the file.
    Locked,
    /// The journal is damaged.
    Damaged,
    /// The file belongs to another program.
    Foreign,
    /// The schema is newer than this program; with its version.
    Newer(i64),
    /// The file was moved or removed.
    Gone,
    /// Anything else, such as an input or output error of a dying card.
    Other,
}

impl Kind {
    /// The name in events.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Full => "disk_full",
            Kind::ReadOnly | Kind::Confined => "read_only",
            Kind::Locked => "locked",
            Kind::Damaged => "damaged",
            Kind::Foreign => "foreign",
            Kind::Newer(_) => "newer",
            Kind::Gone => "gone",
            Kind::Other => "other",
        }
    }
}

impl Kind {
    /// What the user can do.
    pub fn advice(self) -> &'static str {
        match self {
            Kind::Full => "make room on the disk, or give a smaller --journal-size (journal.max_bytes)",
            Kind::ReadOnly => {
                "give a --journal in a folder that this user may write, on a disk that is mounted read-write"
            }
            Kind::Confined => "restart the run, and mount the disk before it starts",
            Kind::Locked => "end the program that holds it",
            Kind::Gone => "leave the file in its place while it is written",
            Kind::Foreign | Kind::Newer(_) => "give another --journal",
            Kind::Damaged | Kind::Other => "look at the disk (`dmesg`), or give another --journal",
        }
    }
}

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), in_row: false }
    }

    /// Names the sandbox if it is what stands in the way of `path`: a run enters it once, and a disk that is mounted later is
    /// outside.
    pub fn or_confined(self, path: &Path) -> Failure {
        let Some(file) = end_of_links(path).filter(|_| self.kind == Kind::ReadOnly) else { return self };
        let folder = folder_of(&file);
        let is_allowed = access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
            && (!file.exists() || access(&file, Access::READ_OK | Access::WRITE_OK).is_ok());
        // If this makes the file, SQLite takes it for a new one.
        let open = || OpenOptions::new().append(true).create(true).mode(0o644).open(&file);
        if is_allowed && open().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
            let message = format!(
                "the sandbox of this run does not reach {}: a disk was mounted there after the start",
                folder.display()
            );
            return Failure::new(Kind::Confined, message);
        }
        self
    }

    /// The error of a path.
    pub fn at(self, path: &Path) -> JournalError {
        let path = path.to_owned();
        match self.kind {
            Kind::Foreign => JournalError::Foreign(path),
            Kind::Newer(found) => JournalError::Newer { path, found },
            Kind::Locked => JournalError::Locked(path),
            Kind::Damaged => JournalError::Damaged { path, reason: self.message, in_row: self.in_row },
            _ => JournalError::Unwritable { path, reason: self.message },
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        // A value of another type than the schema's, or text that is not UTF-8.
        let in_row = matches!(
            error,
            rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::Utf8Error(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::QueryReturnedNoRows
                | rusqlite::Error::FromSqlConversionFailure(..)
        );
        let kind = match &error {
            _ if in_row => Kind::Damaged,
            // A file that says it is a journal and lacks what the schema has.
            rusqlite::Error::SqliteFailure(_, Some(message)) | rusqlite::Error::SqlInputError { msg: message, .. }
                if message.starts_with("no such") =>
            {
                Kind::Damaged
            }
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DiskFull => Kind::Full,
                ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => Kind::ReadOnly,
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
                    Kind::Locked
                }
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Kind::Damaged,
                // SQLite calls only ENOSPC a full disk; a quota or a limit on file sizes comes as an error of input
                // and output whose cause the system has just said.
                ErrorCode::SystemIoFailure => kind_of_system_error(&io::Error::last_os_error()),
                _ => Kind::Other,
            },
            _ => Kind::Other,
        };
        Failure { in_row, ..Failure::new(kind, error.to_string()) }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::new(kind_of_system_error(&error), error.to_string())
    }
}

fn kind_of_system_error(error: &io::Error) -> Kind {
    use io::ErrorKind::*;
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => Kind::Full,
        PermissionDenied | ReadOnlyFilesystem | NotADirectory => Kind::ReadOnly,
        _ => Kind::Other,
    }
}
