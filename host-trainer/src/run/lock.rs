//! The lock of a run's folder.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use crate::error::{Context, Error};

/// The lock of the program that works on the run.
pub const LOCK: &str = "run.lock";

/// Locks a folder against other programs, and makes it if it is not there; none on a file system without locks. The system unlocks it
/// when the program ends, however it ends.
///
/// # Errors
/// Returns [`Error::BadInput`] if another program holds the lock, or another error if the folder cannot be written.
pub fn lock(folder: &Path) -> crate::Result<Option<File>> {
    let path = folder.join(LOCK);
    let place = || format!("cannot write {}", path.display());
    fs::create_dir_all(folder).with_context(place)?;
    let file = File::options().create(true).append(true).open(&path).with_context(place)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => {
            let advice = "wait for it, or give another --name";
            Err(Error::BadInput(format!("{}: another program works on this run; {advice}", path.display())))
        }
        // Some network file systems have no locks.
        Err(TryLockError::Error(error)) => {
            tracing::warn!("{}: cannot be locked ({error})", path.display());
            Ok(None)
        }
    }
}

/// Whether another program works on the run in a folder.
pub fn is_locked(folder: &Path) -> bool {
    let is_held = |file: File| matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    File::open(folder.join(LOCK)).is_ok_and(is_held)
}
