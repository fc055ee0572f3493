//! `cargo xtask test`

use anyhow::Result;
use clap::Args;

use xtask::{arm, cargo, emulation, setup};

use crate::kernel_tests;

/// Set up, then run all tests of the workspace, and the kernels' tests on emulated AArch64 processors too
///
/// With arguments, only the workspace's tests run.
#[derive(Args)]
pub struct Cmd {
    /// Arguments of `cargo test`, such as a part of a test's name
    #[arg(allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
    /// Arguments of the test programs, such as `--nocapture`
    #[arg(last = true, value_name = "TEST_ARGS")]
    test_args: Vec<String>,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        setup::install()?;
        let mut args = vec!["test", "--workspace", "--no-fail-fast"];
        args.extend(self.args.iter().map(String::as_str));
        // If there are ARGS, clap has left the `--` behind them in place.
        if !self.test_args.is_empty() {
            args.push("--");
        }
        args.extend(self.test_args.iter().map(String::as_str));
        let native = cargo::run(&args);
        // With arguments only the tests that they select run.
        let all = self.args.is_empty() && self.test_args.is_empty();
        let emulated = if all { kernel_tests::run() } else { Ok(()) };
        if all {
            match emulation::missing_packages() {
                missing if missing.is_empty() => {
                    eprintln!(
                        "the suites on emulated boards run separately, for a quarter of an hour: `cargo xtask boards`"
                    );
                }
                missing => eprintln!("skipped: suites on emulated boards: {}", arm::install_command(&missing)),
            }
        }
        native.and(emulated)
    }
}
