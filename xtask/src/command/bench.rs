//! `cargo xtask bench`

use anyhow::Result;
use clap::Args;

use xtask::{cargo, setup};

use crate::bench;

/// Set up, then compare our engine with others on the same nets, and write docs/benchmarks.md
#[derive(Args)]
pub struct Cmd {
    /// Count instructions on emulated AArch64 boards instead, of engines and of the whole pipeline
    #[arg(long)]
    emulated: bool,
    /// Count instructions of the whole pipeline alone
    #[arg(long, conflicts_with = "emulated")]
    emulated_pipeline: bool,
    /// Use the programs that are already built
    #[arg(long)]
    no_build: bool,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        setup::install()?;
        let build = !self.no_build;
        if build {
            cargo::run(&["build", "--workspace"])?;
        }
        if self.emulated {
            bench::count(build)?;
        } else if self.emulated_pipeline {
            bench::count_pipeline(build)?;
        } else {
            bench::measure()?;
        }
        eprintln!("{} was written", bench::PAGE);
        Ok(())
    }
}
