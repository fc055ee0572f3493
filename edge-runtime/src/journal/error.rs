//! What the journal refuses, and what to do about it.

use std::path::PathBuf;

use expression_engine::error::{Classify, ErrorKind};

use super::schema::VERSION;

/// Why a journal cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// There is no such file.
    #[error("there is no journal at {}; give the path that `run --journal` was given", .0.display())]
    Missing(PathBuf),
    /// It is a SQLite file of another program.
    #[error("{} is no journal but a database of another program; give another path", .0.display())]
    Foreign(PathBuf),
    /// It was written by a newer program.
    #[error(
        "{} has schema version {found}, this program knows up to {VERSION}; use the program that wrote it, or a newer one",
        .path.display()
    )]
    Newer {
        /// The journal.
        path: PathBuf,
        /// Its schema version.
        found: i64,
    },
    /// The file does not hold what SQLite or the schema demands.
    #[error("{} is damaged ({reason}); `log verify` says where, a writer moves it aside and begins a new one", .path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// SQLite's words.
        reason: String,
    },
    /// Another program holds it.
    #[error("{} is locked by another program; try again when that has finished", .0.display())]
    Locked(PathBuf),
    /// It cannot be opened or read.
    #[error("cannot read the journal {}: {reason}; check that the file and its folder may be read", .path.display())]
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
    /// A writer was closed while it could not write.
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
