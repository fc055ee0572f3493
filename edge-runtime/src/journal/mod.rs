//! The journal: what was seen of each face and what happened to the runtime, in a SQLite file that outlives power cuts.
//!
//! A [`Writer`] takes observations and events and never holds up who calls it: a thread of its own commits them in
//! batches. A [`Reader`] reads the same file at the same time, in pieces, so that neither waits long for the other.
//! `docs/journal.md` states the schema, what is guaranteed, and the flash wear.

mod clock;
mod columns;
mod config;
mod connect;
mod erase;
mod error;
mod failure;
mod format;
mod histogram;
mod keep;
mod owner;
mod quarantine;
mod queue;
mod range;
mod rate_limit;
mod reader;
mod row;
mod schema;
mod session;
mod shared;
pub mod stats;
mod store;
pub mod verify;
pub mod visit;
mod visit_view;
mod which;
mod worker;
mod writer;

pub use config::Config;
pub use erase::{Erased, erase_faces};
pub use error::JournalError;
pub use format::{APPLICATION_ID, VERSION};
pub use histogram::Histogram;
pub use range::Range;
pub use reader::Reader;
pub use row::{Entry, EventRow, Face, Minute, Row, SessionRow};
pub use session::{Session, Signature};
pub(crate) use store::lost_target;
pub use which::Which;
pub use writer::{Health, Writer};
