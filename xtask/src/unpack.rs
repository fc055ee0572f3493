//! Unpacks wheels and npm tarballs with python's standard library. A crate for it would change the features of
//! dependencies that tract shares, and python3 is there for pip.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::refusal::refusal;

/// Takes the members named out of `archive` into `folder`: (path in the archive, path in the folder); a path that ends
/// with `/` means all below it.
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
    Err(refusal(format!(
        "{} could not be unpacked: {}; nothing was left behind: mend that and run `cargo xtask setup` again",
        archive.file_name().unwrap_or_default().display(),
        said.trim().lines().last().unwrap_or("python3 was ended")
    )))
}
