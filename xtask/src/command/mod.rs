//! One file per subcommand.

pub mod bench;
pub mod boards;
pub mod build;
pub mod check;
pub mod fuzz;
pub mod image;
pub mod package;
pub mod promises;
pub mod release;
pub mod run_all;
pub mod setup;
pub mod test;

use std::process::Command;

use anyhow::Result;

/// Replaces this process by `command`, so that signals go to it and the exit code is its own. Returns only on failure.
#[cfg(unix)]
fn replace_process(command: &mut Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    Err(command.exec().into())
}

/// Runs `command` and exits with its exit code.
#[cfg(not(unix))]
fn replace_process(command: &mut Command) -> Result<()> {
    std::process::exit(command.status()?.code().unwrap_or(1))
}
