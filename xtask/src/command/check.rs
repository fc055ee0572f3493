//! `cargo xtask check`

use anyhow::Result;
use clap::Args;

use xtask::{cargo, setup};

/// Check formatting, lints and documentation, with set-up in between
#[derive(Args)]
pub struct Cmd {}

impl Cmd {
    pub fn run(self) -> Result<()> {
        cargo::run(&["fmt", "--all", "--check"])?;
        // torch-sys's build script needs libtorch even if nothing is linked.
        setup::install()?;
        cargo::run(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
        cargo::run(&["doc", "--workspace", "--no-deps"])
    }
}
