//! `cargo xtask build`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::program;

/// Build `edge-runtime` for a board: stripped, for any processor of its kind, for Debian 11 and later.
///
/// The program is put into `target/boards/TARGET/`, and its path printed.
#[derive(Args)]
pub struct Cmd {
    /// Board file; its `target` decides.
    #[arg(long, value_name = "FILE")]
    board: PathBuf,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        let program = program::build(&program::target_of(&self.board)?)?;
        println!("{}", program.display());
        Ok(())
    }
}
