//! Unpacks wheels and npm tarballs with Python's standard library. A crate for it would change the features of dependencies
//! that it shares with tract, and pip needs python3 anyway.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::error::bad_input;

/// Unpacks `members` of `archive` into `folder`: (path in the archive, path in the folder). A path that ends with `/` means a
/// whole folder.
pub fn unpack(archive: &Path, folder: &Path, members: &[(&str, &str)]) -> Result<()> {
    let done = Command::new("python3")
        .args(["-c", include_str!("unpack.py")])
        .args([archive, folder])
        .args(members.iter().flat_map(|(from, to)| [from, to]))
        .output()
        .context("python3 could not be started")?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(bad_input(format!(
        "{} could not be unpacked: {}; fix that and run `cargo xtask setup` again",
        archive.file_name().unwrap_or_default().display(),
        said.trim().lines().last().unwrap_or("python3 was killed")
    )))
}
