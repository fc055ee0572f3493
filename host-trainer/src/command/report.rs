//! `host-trainer report`

use std::path::{Path, PathBuf};

use expression_engine::files;

use crate::crossval::Joined;
use crate::error::ensure;
use crate::report;

/// Join the folds of a cross-validation: print a table, and write crossval.json and crossval.html.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of the cross-validation, RUNS/NAME.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Join the finished folds even if some are missing. Without this flag the missing ones are named and nothing is written.
    #[arg(long)]
    partial: bool,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if the folder holds no folds, the folds were made with different settings, or some are missing.
    pub fn run(&self) -> crate::Result<()> {
        let joined = Joined::open(&self.folder)?;
        let advice = "train them, or join the others by --partial";
        let missing = joined.missing_folds();
        ensure!(self.partial || joined.missing.is_empty(), "{}: {missing}; {advice}", self.folder.display());
        publish(&joined, &self.folder)
    }
}

/// Prints the table of a cross-validation, and writes `crossval.json` and `crossval.html` to its folder.
///
/// # Errors
/// Returns an error if a file or stdout cannot be written.
pub(super) fn publish(joined: &Joined, folder: &Path) -> crate::Result<()> {
    let [json, html] = ["crossval.json", "crossval.html"].map(|name| folder.join(name));
    files::write_bytes(&json, &serde_json::to_vec_pretty(joined)?)?;
    files::write_bytes(&html, report::crossval::page(joined).as_bytes())?;
    let places = format!("table   {}\nreport  {}", json.display(), html.display());
    crate::error::print(&format!("{}{places}", report::crossval::table(joined)))
}
