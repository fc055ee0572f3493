//! `host-trainer upgrade`

use std::path::PathBuf;

use crate::export::{self, Upgrade};

/// Upgrade a bundle of an earlier version, whose self-test vectors carry no labels.
///
/// The vectors keep their faces and scores, and get the labels and settings of the manifest as it is now: check that those are
/// right first. The bundle is replaced only if its self-test passes on this machine.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of the bundle.
    #[arg(value_name = "DIR")]
    bundle: PathBuf,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if the bundle is refused or cannot be written.
    pub fn run(&self) -> crate::Result<()> {
        let done = match export::upgrade(&self.bundle)? {
            Upgrade::UpToDate => "is up to date",
            Upgrade::Done { was_signed: false } => "upgraded",
            Upgrade::Done { was_signed: true } => {
                "upgraded; its signature no longer matches and was removed: sign it again with `host-trainer sign`"
            }
        };
        crate::error::print(&format!("{} {done}", self.bundle.display()))
    }
}
