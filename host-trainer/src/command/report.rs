//! `host-trainer report`

use std::path::PathBuf;

use crate::crossval::Joined;
use crate::error::ensure;

/// Joins the folds of a cross-validation: a table on stdout, crossval.json and crossval.html in its folder.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of the cross-validation: RUNS/NAME.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Joins what there is where folds are missing; else they are named, and nothing is written.
    #[arg(long)]
    partial: bool,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Bad input: no folds there, or folds that were made otherwise; or folds that are missing.
    pub fn run(&self) -> crate::Result<()> {
        let joined = Joined::of(&self.folder)?;
        let advice = "train them, or join the others by --partial";
        let missing = joined.missing_folds();
        ensure!(self.partial || joined.missing.is_empty(), "{}: {missing}; {advice}", self.folder.display());
        joined.publish(&self.folder)
    }
}
