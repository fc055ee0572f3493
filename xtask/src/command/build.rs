//! `cargo xtask build`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use xtask::board_file::BoardFile;
use xtask::program;
use xtask::signature::{self, Signing};

/// Build `edge-runtime` for a board: stripped, for Debian 11 or later
///
/// One program runs on all processors of the board's architecture. It is written to `target/boards/TARGET/`; its path is printed.
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
        let program = program::build(&BoardFile::read(&self.board)?.target)?;
        signature::sign(key.as_ref(), &program)?;
        println!("{}", program.display());
        Ok(())
    }
}
