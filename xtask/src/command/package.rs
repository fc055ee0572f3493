//! `cargo xtask package`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use xtask::board_file::BoardFile;
use xtask::signature::{self, Signing};
use xtask::{cargo, package, program, setup};

/// Build `edge-runtime` for a board and pack it as a Debian package, with the shipped bundle and its detector
///
/// Needs cargo-deb. The path of the package is printed.
#[derive(Args)]
pub struct Cmd {
    /// Board file; its key `target` says what to build for
    #[arg(long, value_name = "FILE")]
    board: PathBuf,
    #[command(flatten)]
    signing: Signing,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        let key = self.signing.open()?;
        let target = BoardFile::read(&self.board)?.target;
        package::require_cargo_deb()?;
        setup::install()?;
        cargo::run(&["build", "--workspace"])?;
        program::build(&target)?;
        let package = package::pack(&target)?;
        signature::sign(key.as_ref(), &package)?;
        println!("{}", package.display());
        Ok(())
    }
}
