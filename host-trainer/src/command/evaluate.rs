//! `host-trainer evaluate`

use std::path::PathBuf;

use expression_engine::EngineOptions;

use crate::dataset::{self, ClassNames, Request, Source, Split};
use crate::evaluate::Evaluation;

/// Measures a bundle on a part of a data set, by the board's own code: accuracy, recall, confusion.
///
/// The pictures are aligned, classified and counted as `edge-runtime` does it: one centre crop a picture. The bundle's hashes
/// and its self-test are checked first. The float net is measured too where the bundle holds it.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of the bundle.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Data set: rendered[:N], folder:DIR, ferplus:DIR, fer2013:FILE.csv, raf-db:DIR, affectnet:DIR, ck-plus:DIR, oulu-casia:DIR,
    /// tfd:FILE-or-DIR, sfew:DIR, kdef:DIR or jaffe:DIR.
    #[arg(long, value_name = "SOURCE")]
    data: Source,
    /// What the names of class folders mean, for folder:DIR: NAME=LABEL,... (LABEL - leaves a class out), a file with such
    /// lines, or the numbering of fer2013, raf-db or affectnet. Common spellings are understood without it.
    #[arg(long, value_name = "NAMES")]
    classes: Option<ClassNames>,
    /// Which part: of FER+, valid is its PublicTest and test its PrivateTest.
    #[arg(long, value_enum, default_value_t = Split::Test)]
    split: Split,
    /// One JSON object instead of the table.
    #[arg(long)]
    json: bool,
    /// Decides what is drawn and which samples are held out; as in the run that made the bundle.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Where the bundle is refused or the data set is bad input.
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
const DRAWN: usize = 6000;
