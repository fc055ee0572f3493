//! `cargo xtask test`

use anyhow::Result;
use clap::Args;

use super::setup;
use crate::{arm, boards, cargo, kernels};

/// Set up, then run every test of the workspace, and those of the kernels on emulated boards too.
#[derive(Args)]
pub struct Cmd {
    /// Further arguments of `cargo test`, for instance a part of a test's name.
    #[arg(allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
    /// Arguments of the test programs, for instance `--nocapture`.
    #[arg(last = true, value_name = "TEST_ARGS")]
    test_args: Vec<String>,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        setup::Cmd::default().run()?;
        let mut args = vec!["test", "--workspace", "--no-fail-fast"];
        args.extend(self.args.iter().map(String::as_str));
        // A `--` that follows ARGS is among them already: clap takes hyphens as they come there.
        if !self.test_args.is_empty() {
            args.push("--");
        }
        args.extend(self.test_args.iter().map(String::as_str));
        let native = cargo::run(&args);
        // Whoever asks for some tests gets those.
        let all = self.args.is_empty() && self.test_args.is_empty();
        let emulated = if all { kernels::test() } else { Ok(()) };
        if all {
            match boards::missing() {
                missing if missing.is_empty() => {
                    eprintln!("suites on whole emulated boards run apart, a quarter of an hour: `cargo xtask boards`");
                }
                missing => eprintln!("skipped: suites on whole emulated boards: {}", arm::advice(&missing)),
            }
        }
        native.and(emulated)
    }
}
