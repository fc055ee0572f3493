//! The checksums of a release.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The file with the checksums of all other files.
pub const CHECKSUMS: &str = "SHA256SUMS";

/// Writes the checksums of the files in a folder, as `sha256sum --check` reads them.
///
/// # Errors
/// Returns an error if a file cannot be read or the checksums cannot be written.
pub fn write(folder: &Path) -> Result<()> {
    let mut names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
    names.retain(|name| name != CHECKSUMS);
    names.sort();
    let mut lines = String::new();
    for name in names {
        let sum = Sha256::digest(fs::read(folder.join(&name))?);
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        lines += &format!("{sum}  {}\n", name.display());
    }
    fs::write(folder.join(CHECKSUMS), lines).context("the checksums could not be written")
}
