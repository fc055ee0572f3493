//! `cargo xtask check`

use anyhow::Result;
use clap::Args;

use super::setup;
use crate::cargo;

/// Check the formatting and the lints.
#[derive(Args)]
pub struct Cmd {}

impl Cmd {
    pub fn run(self) -> Result<()> {
        cargo::run(&["fmt", "--all", "--check"])?;
        // torch-sys's build script wants libtorch even where nothing is linked.
        setup::Cmd::default().run()?;
        cargo::run(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
    }
}
