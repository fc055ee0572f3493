//! `cargo xtask boards`

use anyhow::{Context, Result};
use clap::Args;

use xtask::cargo;

/// Run the test suites on emulated boards; `cargo xtask boards --help` lists them
#[derive(Args)]
#[command(disable_help_flag = true)]
pub struct Cmd {
    /// Arguments of the package board-tests
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        let mut suites = cargo::command(&["run", "--quiet", "--package", "board-tests", "--"]);
        super::replace_process(suites.args(self.args)).context("cargo could not be started")
    }
}
