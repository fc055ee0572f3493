//! `host-trainer evaluate`

use std::path::PathBuf;

use expression_engine::EngineOptions;

use crate::dataset::{self, ClassNames, Request, Source, Split};
use crate::evaluate::Evaluation;

/// Measure a bundle on one part of a data set with the board's own code: accuracy, recall, confusion matrix.
///
/// Pictures are aligned and classified as edge-runtime does it, with one centre crop per picture. The bundle's hashes and its
/// self-test are checked first. If the bundle includes the float net, it is measured too.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of the bundle.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// The data set, as [`dataset::SOURCES`] lists them.
    #[arg(long, value_name = "SOURCE", help = format!("Data set: {}", dataset::SOURCES))]
    data: Source,
    /// What the names of class folders mean, for folder:DIR: NAME=LABEL,... (LABEL - leaves a class out), a file with such
    /// lines, or the numbering of fer2013, raf-db or affectnet. Common spellings are understood without it.
    #[arg(long, value_name = "NAMES")]
    classes: Option<ClassNames>,
    /// Part to measure on. For FER+, valid is its PublicTest and test its PrivateTest.
    #[arg(long, value_enum, default_value_t = Split::Test)]
    split: Split,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Seed that decides which samples are drawn and held out. Give that of the run that made the bundle.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if the bundle is refused or the data set is bad input.
    pub fn run(&self) -> crate::Result<()> {
        let (bundle, engine) = expression_engine::selftest::open(&self.bundle, EngineOptions::default())?;
        let calibration = bundle.manifest().quantization.calibration_samples;
        let request = Request { rendered: DRAWN, limit: None, calibration, seed: self.seed };
        let source = self.data.clone().with_classes(self.classes.clone())?;
        let part = dataset::part(&source, self.split, request)?;
        let evaluation = Evaluation::new(&bundle, &engine, &part)?;
        let text = if self.json { serde_json::to_string(&evaluation)? } else { evaluation.table() };
        crate::error::print(text.trim_end())
    }
}

/// Training faces of `rendered` without a number: its test part is a quarter of them.
pub const DRAWN: usize = 6000;
