//! Machines emulated whole: boards with a kernel and an initial file system made on the spot, without root.

pub mod archive;
pub mod console;
pub mod root;
pub mod system;

pub use archive::Archive;
pub use console::Guest;
pub use system::{EMULATOR, System};

use std::fs::{self, File};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cargo;
use crate::refusal::refusal;

/// Held by one task at a time: their files lie in the same folder.
pub fn lock() -> Result<File> {
    let folder = cargo::workspace_root().join(".assets/emulator");
    fs::create_dir_all(&folder)?;
    let lock = File::create(folder.join(".lock"))?;
    if lock.try_lock().is_err() {
        return Err(refusal("another `cargo xtask boards` or `image` runs here: wait for its end"));
    }
    Ok(lock)
}

/// Runs a tool that says nothing where all is well.
pub fn run(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.get_program().to_owned();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("{} could not be started", name.display()))?;
    if !output.status.success() {
        bail!("{}: {}", name.display(), String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; "));
    }
    Ok(output.stdout)
}
