//! `cargo xtask run-all`

use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use xtask::{cargo, setup};

/// Set up, then train, quantize, export and prove parity (`host-trainer run-all`)
#[derive(Args)]
pub struct Cmd {
    /// Arguments of `host-trainer run-all`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        setup::install()?;
        // Builds the whole workspace, like `cargo xtask test`: fewer packages would mean other features of shared dependencies,
        // and tract and tch would be built a second time.
        cargo::run(&["build", "--workspace"])?;
        let mut trainer = Command::new(cargo::sibling("host-trainer")?);
        trainer.arg("run-all").args(self.args);
        // As `cargo run` would set it.
        trainer.env("CARGO_MANIFEST_DIR", cargo::workspace_root().join("host-trainer"));
        super::replace_process(&mut trainer).context("host-trainer could not be started")
    }
}
