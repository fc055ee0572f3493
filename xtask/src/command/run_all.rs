//! `cargo xtask run-all`

use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use super::setup;
use crate::cargo;

/// Set up, then train, quantize, export and prove parity: `host-trainer run-all`.
#[derive(Args)]
pub struct Cmd {
    /// Arguments of `host-trainer run-all`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        setup::Cmd::default().run()?;
        // The whole workspace, as `cargo xtask test` builds it: a smaller selection has other features of shared
        // dependencies, and tract and tch would be built a second time.
        cargo::run(&["build", "--workspace"])?;
        let mut trainer = Command::new(cargo::sibling("host-trainer")?);
        trainer.arg("run-all").args(self.args);
        // As `cargo run` would set it.
        trainer.env("CARGO_MANIFEST_DIR", cargo::workspace_root().join("host-trainer"));
        become_it(trainer).context("host-trainer could not be started")
    }
}

/// Puts `command` in this process's place: Ctrl-C, other signals and the exit code are its own.
#[cfg(unix)]
fn become_it(mut command: Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    Err(command.exec().into())
}

/// Runs `command` and exits with its code.
#[cfg(not(unix))]
fn become_it(mut command: Command) -> Result<()> {
    std::process::exit(command.status()?.code().unwrap_or(1))
}
