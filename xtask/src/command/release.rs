//! `cargo xtask release`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use xtask::signature::{self, Signing};
use xtask::{cargo, release};

/// Make a release: a tarball and a Debian package for x86-64 and AArch64, a list of all dependencies, their licences, and checksums
///
/// Each holds the program, man pages, completions, unit, board files, and the shipped bundle with its detector. The same sources
/// give the same bytes. Needs cargo-deb, cargo-cyclonedx and cargo-about; docs/release.md.
#[derive(Args)]
pub struct Cmd {
    /// Folder to write to; an earlier release in it is deleted first [default: dist, in the workspace]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    #[command(flatten)]
    signing: Signing,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        let output = self.output.unwrap_or_else(|| cargo::workspace_root().join("dist"));
        let key = self.signing.open()?;
        release::make(&output)?;
        // The checksums stand for all other files.
        signature::sign(key.as_ref(), &output.join(release::CHECKSUMS))?;
        println!("{}", output.display());
        Ok(())
    }
}
