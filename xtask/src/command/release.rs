//! `cargo xtask release`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use clap::builder::PossibleValuesParser;

use xtask::signature::{self, Signing};
use xtask::{cargo, image, release};

/// Make a release: a tarball and a Debian package for x86-64 and AArch64, a list of all dependencies, their licences, and checksums
///
/// Each holds the program, man pages, completions, unit, board files, and the shipped bundle with its detector. The same sources
/// give the same bytes. Needs cargo-deb, cargo-cyclonedx and cargo-about; docs/release.md.
#[derive(Args)]
pub struct Cmd {
    /// Folder to write to; an earlier release in it is deleted first [default: dist, in the workspace]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Add a compressed SD-card image for this board; give it once for each board
    #[arg(long, value_name = "BOARD", value_parser = PossibleValuesParser::new(image::board_names()))]
    image: Vec<String>,
    /// Make it a second time from another folder and compare all bytes
    #[arg(long)]
    twice: bool,
    /// This machine's own programs are built already
    #[arg(long, hide = true, conflicts_with_all = ["twice", "sign"])]
    prepared: bool,
    #[command(flatten)]
    signing: Signing,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        let output = self.output.unwrap_or_else(|| cargo::workspace_root().join("dist"));
        let key = self.signing.open()?;
        if self.twice {
            release::require_committed()?;
        }
        if !self.prepared {
            release::prepare(!self.image.is_empty())?;
        }
        let again = self.twice.then(release::Again::new).transpose()?;
        release::make(&output, &self.image)?;
        if let Some(again) = again {
            again.make(&output, &self.image)?;
        }
        // The checksums stand for all other files.
        signature::sign(key.as_ref(), &output.join(release::CHECKSUMS))?;
        println!("{}", output.display());
        Ok(())
    }
}
