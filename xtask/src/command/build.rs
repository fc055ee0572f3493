//! `cargo xtask build`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use xtask::board_file::BoardFile;
use xtask::program;

/// Build `edge-runtime` for a board: stripped, for Debian 11 or later
///
/// One program runs on all processors of the board's architecture. It is written to `target/boards/TARGET/`; its path is printed.
#[derive(Args)]
pub struct Cmd {
    /// Board file; its key `target` says what to build for
    #[arg(long, value_name = "FILE")]
    board: PathBuf,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        let program = program::build(&BoardFile::read(&self.board)?.target)?;
        println!("{}", program.display());
        Ok(())
    }
}
