//! `host-trainer report`

use std::path::{Path, PathBuf};

use expression_engine::files;

use crate::crossval::Joined;
use crate::error::ensure;
use crate::report;

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
