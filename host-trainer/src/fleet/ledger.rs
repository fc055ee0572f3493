//! What came of each board, kept beside `fleet.toml`. The boards know what they run; the ledger knows what failed, so that a
//! resumed roll-out tries it first.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use expression_engine::files;
use serde::{Deserialize, Serialize};

use super::outcome::{Kind, Outcome};
use crate::error::{Context, Error};

/// What came of each board. While it is open, no other roll-out of the same fleet can begin.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    entries: BTreeMap<String, Entry>,
    _lock: File,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    version: String,
    #[serde(flatten)]
    outcome: Outcome,
}

impl Ledger {
    /// Opens the ledger of a fleet, `NAME.state.json` beside its file, and locks the fleet by a file beside that.
    ///
    /// # Errors
    /// Returns an error if another roll-out is at work, or if the ledger cannot be read.
    pub fn open(fleet: &Path) -> crate::Result<Ledger> {
        // Not the fleet's file: an editor replaces it, and the lock with it.
        let place = fleet.with_extension("state.json.lock");
        let lock = OpenOptions::new().create(true).append(true).open(&place);
        let lock = lock.with_context(|| format!("cannot write {}", place.display()))?;
        lock.try_lock().map_err(|_| {
            let fleet = fleet.display();
            Error::Failed(format!("{fleet}: another roll-out of this fleet is running: wait until it is done"))
        })?;
        let path = fleet.with_extension("state.json");
        let entries = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Error::BadInput(format!("{}: {error}; delete it: the boards know what they run", path.display()))
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        Ok(Ledger { path, entries, _lock: lock })
    }

    /// Whether a version failed on a board when it was last tried there.
    pub fn has_failed(&self, board: &str, version: &str) -> bool {
        let is_bad = |entry: &Entry| entry.outcome.stops();
        self.entries.get(board).is_some_and(|entry| entry.version == version && is_bad(entry))
    }

    /// Notes what came of a board, on the disk, in one step. A board that was not tried keeps its last entry, and so does one on
    /// which this version failed before and that could not take it now.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn note(&mut self, board: &str, version: &str, outcome: &Outcome) -> crate::Result<()> {
        if outcome.kind == Kind::NotTried || (outcome.kind == Kind::Unfit && self.has_failed(board, version)) {
            return Ok(());
        }
        self.entries.insert(board.to_owned(), Entry { version: version.to_owned(), outcome: outcome.clone() });
        let mut text = serde_json::to_vec_pretty(&self.entries)?;
        text.push(b'\n');
        files::write_bytes(&self.path, &text).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_remembered_and_two_roll_outs_exclude_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let fleet = folder.path().join("fleet.toml");
        std::fs::write(&fleet, "").unwrap();
        let mut ledger = Ledger::open(&fleet).unwrap();
        // An editor puts another file in its place.
        std::fs::remove_file(&fleet).unwrap();
        std::fs::write(&fleet, "").unwrap();
        assert!(Ledger::open(&fleet).unwrap_err().to_string().contains("another roll-out"));
        let outcome = |kind| Outcome { kind, reason: "r".into() };
        ledger.note("a", "1", &outcome(Kind::RolledBack)).unwrap();
        ledger.note("b", "1", &outcome(Kind::Unfit)).unwrap();
        ledger.note("a", "2", &outcome(Kind::NotTried)).unwrap();
        ledger.note("a", "1", &outcome(Kind::Unfit)).unwrap();
        drop(ledger);
        let ledger = Ledger::open(&fleet).unwrap();
        assert!(ledger.has_failed("a", "1"));
        assert!(!ledger.has_failed("a", "2") && !ledger.has_failed("b", "1") && !ledger.has_failed("c", "1"));
        drop(ledger);
        std::fs::write(folder.path().join("fleet.state.json"), "{").unwrap();
        assert!(Ledger::open(&fleet).unwrap_err().to_string().contains("delete it"));
    }
}
