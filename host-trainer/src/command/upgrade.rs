//! `host-trainer upgrade`

use std::path::PathBuf;

use expression_engine::bundle::LowLightGain;

use crate::export::{self, Upgrade};

/// Upgrade a bundle of an earlier version, whose self-test vectors carry no labels, or set its low-light gain.
///
/// The vectors keep their faces and scores, and get the labels and settings of the manifest as it is now: check that those are
/// right first. The bundle is replaced only if its self-test passes on this machine.
///
/// --low-light changes what the net sees of dark faces, so the figures in the manifest and the model card are no longer those of
/// the bundle: measure it again with `evaluate` and `robustness`. The model card says so. The evidence of an adapted bundle,
/// which `deploy` reads, is removed.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of the bundle.
    #[arg(value_name = "DIR")]
    bundle: PathBuf,
    /// Brighten faces whose mean is below BELOW to the mean TO before the net, both 1 to 255, such as 70:100.
    #[arg(long, value_name = "BELOW:TO", value_parser = export::gain::parse)]
    low_light: Option<LowLightGain>,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if the bundle is refused or cannot be written.
    pub fn run(&self) -> crate::Result<()> {
        let upgraded = export::upgrade(&self.bundle)?;
        let mut was_signed = upgraded == Upgrade::Done { was_signed: true };
        let mut done = if upgraded == Upgrade::UpToDate { "is up to date" } else { "upgraded" }.to_owned();
        if let Some(gain) = self.low_light
            && let Upgrade::Done { was_signed: now } = export::gain::set(&self.bundle, gain)?
        {
            // The first step has removed a signature that this one would remove.
            was_signed |= now;
            done = "upgraded; measure it again: its figures are those without this gain".into();
        }
        if was_signed {
            done += "; its signature no longer matches and was removed: sign it again with `host-trainer sign`";
        }
        crate::error::print(&format!("{} {done}", self.bundle.display()))
    }
}
