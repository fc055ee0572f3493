//! `host-trainer upgrade`

use std::path::PathBuf;

use crate::export;

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
        let done = if export::upgrade(&self.bundle)? { "upgraded" } else { "is up to date" };
        crate::error::print(&format!("{} {done}", self.bundle.display()))
    }
}
