//! Errors of the journal, each with what to do.

use std::path::PathBuf;

use expression_engine::error::{Classify, ErrorKind};

use super::format::VERSION;

/// Why a journal cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// There is no such file.
    #[error("no journal at {}; give the path that was given to `run --journal`", .0.display())]
    Missing(PathBuf),
    /// The path is a folder.
    #[error("the journal {} is a folder; give the path of a file", .0.display())]
    Folder(PathBuf),
    /// The file belongs to another program. It was not touched.
    #[error("{} is not a journal but a file of another program; it was left as it is: give another path", .0.display())]
    Foreign(PathBuf),
    /// It was written by a newer program.
    #[error(
        "{} has schema version {found}, this program reads up to {VERSION}; use the version that wrote it, or a newer one",
        .path.display()
    )]
    Newer {
        /// The journal.
        path: PathBuf,
        /// Its schema version.
        found: i64,
    },
    /// The file does not hold what SQLite or the schema demands.
    #[error("{} is damaged ({reason}); `log verify` says where, and {}", .path.display(), match .in_row {
        true => "--since and --until of `log` leave out the time of the damage",
        false => "`run --journal` moves it out of the way and begins a new one",
    })]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// SQLite's words.
        reason: String,
        /// Whether it is a value within a row, which stops neither a run nor a look at the other rows.
        in_row: bool,
    },
    /// Another program holds it.
    #[error("{} is locked by another program; try again when it has finished", .0.display())]
    Locked(PathBuf),
    /// It cannot be opened or read.
    #[error(
        "cannot read the journal {}: {reason}; check that this user may read it, and copy it with its -wal file into a folder that may \
         be written",
        .path.display()
    )]
    Unreadable {
        /// The journal.
        path: PathBuf,
        /// SQLite's words.
        reason: String,
    },
    /// It cannot be written.
    #[error("cannot write the journal {}: {reason}", .path.display())]
    Unwritable {
        /// The journal.
        path: PathBuf,
        /// What stands in the way.
        reason: String,
    },
    /// The writer was closed while it could not write.
    #[error("the journal could not be written at the end: {reason}")]
    Unsaved {
        /// What stood in the way, and how much was lost.
        reason: String,
    },
    /// The configuration makes no sense.
    #[error("journal configuration: {0}")]
    Config(String),
}

impl Classify for JournalError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::BadInput
    }
}
