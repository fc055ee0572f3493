//! `cargo xtask boards`

use anyhow::Result;
use clap::Args;

use super::setup;
use crate::boards::{self, Fault};

/// Set up, build, and run suites on emulated boards: a Raspberry Pi 3B, and machines with Cortex-A53, A72 and A76.
///
/// Ends with a table. What the boards said lies in `.assets/emulator/boards`.
#[derive(Args)]
pub struct Cmd {
    /// Suites; all by default.
    #[arg(value_name = "SUITE", value_parser = clap::builder::PossibleValuesParser::new(boards::names()))]
    only: Vec<String>,
    /// Put a fault in, to see its suite fail.
    #[arg(long, value_enum)]
    fault: Option<Fault>,
    /// Take the programs that were built before.
    #[arg(long)]
    no_build: bool,
    /// Power cuts.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    cuts: u32,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        setup::Cmd::default().run()?;
        boards::run(&self.only, self.fault, self.cuts, !self.no_build)
    }
}
