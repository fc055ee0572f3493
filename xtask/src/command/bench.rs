//! `cargo xtask bench`

use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

use xtask::{cargo, setup};

use crate::emulated_bench;

/// Set up, then compare our engine with onnxruntime and stock tract, and write docs/benchmarks.md
#[derive(Args)]
pub struct Cmd {
    /// Count instructions on emulated AArch64 boards instead, and write only that section
    #[arg(long)]
    emulated: bool,
    /// Use the programs that are already built
    #[arg(long)]
    no_build: bool,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        setup::install()?;
        if !self.no_build {
            cargo::run(&["build", "--workspace"])?;
        }
        if self.emulated {
            return emulated_bench::run(!self.no_build);
        }
        let mut bench = Command::new(cargo::sibling("bench-engines")?);
        let status = bench.env("CARGO_MANIFEST_DIR", cargo::workspace_root().join("tests")).status();
        let status = status.context("bench-engines could not be started")?;
        ensure!(status.success(), "bench-engines: {status}");
        Ok(())
    }
}
