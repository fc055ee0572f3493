//! What an emulated or real AArch64 machine boots: kernel, initial file system and root file system, made without root.

mod archive;
pub mod pinned;
pub mod root;
mod system;

pub use archive::Archive;
pub use system::{EMULATOR, System};

use std::fs::{self, File};

use anyhow::Result;

use crate::cargo;
use crate::error::bad_input;

/// The first process of card images and emulated boards, a shell script.
pub const INIT: &[u8] = include_bytes!("init.sh");

/// Takes the lock of `.assets/emulator`, where only one task at a time may write. It is released when the file is dropped.
///
/// # Errors
/// Returns an error if another task holds the lock.
pub fn lock() -> Result<File> {
    let folder = cargo::workspace_root().join(".assets/emulator");
    fs::create_dir_all(&folder)?;
    let lock = File::create(folder.join(".lock"))?;
    if lock.try_lock().is_err() {
        return Err(bad_input(
            "another `cargo xtask boards` or `cargo xtask image` is running; wait until it has ended",
        ));
    }
    Ok(lock)
}
