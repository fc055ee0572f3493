//! Copies folders.

use std::fs;
use std::path::Path;

use anyhow::Result;

/// Copies the files of a folder; it has no subfolders.
///
/// # Errors
/// Returns an error if a file cannot be read or written.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        fs::copy(&path, to.join(path.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

/// Makes an empty folder, in place of an older one.
///
/// # Errors
/// Returns an error if the folder cannot be made.
pub fn empty_folder(path: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(path);
    Ok(fs::create_dir_all(path)?)
}
