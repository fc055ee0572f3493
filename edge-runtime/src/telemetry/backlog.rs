//! What waits for the broker.

use expression_engine::error::Result;

/// An entry of a [`Backlog`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BacklogEntry {
    /// Number of the entry, above that of every earlier one.
    pub id: i64,
    /// The JSON object that is published.
    pub payload: String,
}

/// Entries that wait for the broker, and how many of them it has acknowledged. The journal is one. A backlog survives a power cut,
/// so an outage loses nothing.
pub trait Backlog: Send {
    /// Returns at most `limit` entries with an id above `position`, in ascending order.
    ///
    /// # Errors
    /// Returns an error if the entries cannot be read; the caller tries again later.
    fn after(&mut self, position: i64, limit: usize) -> Result<Vec<BacklogEntry>>;

    /// Returns the id of the last entry that the broker has acknowledged; below every id if there is none.
    ///
    /// # Errors
    /// Returns an error if the position cannot be read; the caller tries again later.
    fn position(&mut self) -> Result<i64>;

    /// Remembers that the broker has acknowledged all entries up to `position`. Called at most once per batch.
    ///
    /// # Errors
    /// Returns an error if the position cannot be written; the entries are then published again.
    fn set_position(&mut self, position: i64) -> Result<()>;
}
