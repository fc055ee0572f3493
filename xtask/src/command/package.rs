//! `cargo xtask package`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::setup;
use crate::{cargo, package, program};

/// Build `edge-runtime` for a board and pack it, with the shipped bundle and its detector, as a Debian package.
///
/// Needs cargo-deb. The package's path is printed.
#[derive(Args)]
pub struct Cmd {
    /// Board file; its `target` decides.
    #[arg(long, value_name = "FILE")]
    board: PathBuf,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        let target = program::target_of(&self.board)?;
        package::require()?;
        setup::Cmd::default().run()?;
        cargo::run(&["build", "--workspace"])?;
        program::build(&target)?;
        println!("{}", package::pack(&target)?.display());
        Ok(())
    }
}
