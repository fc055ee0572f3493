//! `cargo xtask bench`

use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::setup;
use crate::{cargo, emulated};

/// Set up, then measure our engine beside onnxruntime and stock tract; writes docs/benchmarks.md.
#[derive(Args)]
pub struct Cmd {
    /// Count instructions on emulated ARM boards instead, and write that section.
    #[arg(long)]
    emulated: bool,
    /// Take the programs that were built before.
    #[arg(long)]
    no_build: bool,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        setup::Cmd::default().run()?;
        if !self.no_build {
            cargo::run(&["build", "--workspace"])?;
        }
        if self.emulated {
            return emulated::bench(!self.no_build);
        }
        let mut bench = Command::new(cargo::sibling("bench-engines")?);
        let status = bench.env("CARGO_MANIFEST_DIR", cargo::workspace_root().join("tests")).status();
        let status = status.context("bench-engines could not be started")?;
        ensure!(status.success(), "bench-engines: {status}");
        Ok(())
    }
}
