//! How a SQLite file says that it is a journal.

/// Version of the schema, in `PRAGMA user_version`.
pub const VERSION: i64 = 1;

/// Marks a SQLite file as a journal, in `PRAGMA application_id`: the bytes `FNJ1`.
pub const APPLICATION_ID: i64 = 0x464e_4a31;
