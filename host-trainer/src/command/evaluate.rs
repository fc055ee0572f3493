//! `host-trainer evaluate`

use std::path::PathBuf;
use std::str::FromStr;

use expression_engine::{Bundle, Engine, EngineOptions, files, selftest};

use super::output;
use crate::coverage;
use crate::dataset::{self, ClassNames, Part, Request, Source, Split, contact_sheet};
use crate::error::Error;
use crate::evaluate::Evaluation;
use crate::report::{self, Answered};

/// Measure a bundle on a data set with the board's own code: accuracy, precision, recall, F1, calibration, confusion matrix.
///
/// Pictures are aligned and classified as edge-runtime does it, with one centre crop per picture. The bundle's hashes and its
/// self-test are checked first. If the bundle includes the float net, it is measured too. With --against, two bundles are
/// compared on the same pictures by McNemar's exact test.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of the bundle.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Folder of an older bundle to compare with.
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// The data set, as [`dataset::SOURCES`] lists them.
    #[arg(long, value_name = "SOURCE", help = format!("Data set: {}", dataset::SOURCES))]
    data: Source,
    /// What the names of class folders mean, for folder:DIR: NAME=LABEL,... (LABEL - leaves a class out), a file with such
    /// lines, or the numbering of fer2013, raf-db, affectnet, ferplus or ck-plus. Common spellings are understood without it.
    #[arg(long, value_name = "NAMES")]
    classes: Option<Classes>,
    /// Part to measure on. For FER+, valid is its PublicTest and test its PrivateTest.
    #[arg(long, value_enum, default_value_t = Parts::Test)]
    split: Parts,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
    /// List the N worst mistakes: those that the net is surest about.
    #[arg(long, value_name = "N", default_value_t = 0)]
    mistakes: usize,
    /// Write every answer to FILE: sample, label, answer, probability.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the mistakes to FILE, an HTML page with the pictures in it, worst first (at most 500).
    #[arg(long, value_name = "FILE")]
    gallery: Option<PathBuf>,
    /// Seed that decides which samples are drawn and held out. Give that of the run that made the bundle.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// `--classes`.
#[derive(Debug, Clone)]
struct Classes {
    names: ClassNames,
    /// The file that they are from, if they are from one.
    file: Option<PathBuf>,
}

impl FromStr for Classes {
    type Err = String;

    fn from_str(text: &str) -> Result<Classes, String> {
        let file = Some(PathBuf::from(text)).filter(|path| path.is_file());
        Ok(Classes { names: text.parse()?, file })
    }
}

/// `--split`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Parts {
    /// What models are trained on.
    Train,
    /// What models are chosen by.
    Valid,
    /// What is only ever reported on.
    Test,
    /// Every sample.
    All,
}

/// Both evaluations and their comparison, for `--json`.
#[derive(serde::Serialize)]
struct Compared<'a> {
    #[serde(flatten)]
    new: &'a Evaluation,
    against: &'a Evaluation,
    comparison: crate::evaluate::Comparison,
    p: f64,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if a bundle is refused, the data set is bad input or a file cannot be written.
    pub fn run(&self) -> crate::Result<()> {
        self.check_outputs()?;
        let (bundle, engine) = selftest::open(&self.bundle, EngineOptions::default())?;
        let old = self.against.as_ref().map(|folder| selftest::open(folder, EngineOptions::default())).transpose()?;
        let part = self.part(bundle.manifest().quantization.calibration_samples)?;
        let warn = |bundle: &Bundle, engine: &Engine| {
            if let Some(warning) = coverage::lacking(engine.labels(), &part.samples) {
                tracing::warn!("bundle {}: {warning}", bundle.manifest().name);
            }
        };
        warn(&bundle, &engine);
        old.iter().for_each(|(bundle, engine)| warn(bundle, engine));
        let new = Evaluation::new(&bundle, &engine, &part)?;
        let old = old.map(|(bundle, engine)| Evaluation::new(&bundle, &engine, &part)).transpose()?;
        // If a file cannot be written, the figures are shown all the same: measuring may have taken an hour.
        let written = self.write_files(&new, &part);
        let comparison = old.as_ref().map(|old| (old, new.compared_with(old, &part.samples)));
        let text = match (self.json, comparison) {
            (true, None) => serde_json::to_string(&new)?,
            (true, Some((against, comparison))) => {
                let p = comparison.p();
                serde_json::to_string(&Compared { new: &new, against, comparison, p })?
            }
            (false, None) => new.table() + &self.list(&new, &part),
            (false, Some((old, comparison))) => {
                format!("{}\n{}{}\n{}", old.table(), new.table(), self.list(&new, &part), comparison.sentence())
            }
        };
        crate::error::print(text.trim_end())?;
        written
    }

    /// Refuses outputs that would destroy an input or each other.
    fn check_outputs(&self) -> crate::Result<()> {
        let classes = self.classes.as_ref().and_then(|classes| classes.file.as_deref());
        let inputs = [Some(self.bundle.as_path()), self.against.as_deref(), self.data.path(), classes];
        for output in [&self.csv, &self.gallery].into_iter().flatten() {
            output::refuse_overwriting(output, inputs.into_iter().flatten())?;
        }
        match (&self.csv, &self.gallery) {
            (Some(csv), Some(gallery)) if files::refuse_overwriting(gallery, [csv]).is_err() => {
                Err(Error::BadInput(format!("--csv and --gallery are both {}; name two files", csv.display())))
            }
            _ => Ok(()),
        }
    }

    fn part(&self, calibration: usize) -> crate::Result<Part> {
        let request = Request { rendered: DRAWN, limit: None, calibration, seed: self.seed };
        let source = self.data.clone().with_classes(self.classes.as_ref().map(|classes| classes.names.clone()))?;
        match self.split {
            Parts::Train => dataset::part(&source, Split::Train, request),
            Parts::Valid => dataset::part(&source, Split::Valid, request),
            Parts::Test => dataset::part(&source, Split::Test, request),
            Parts::All => dataset::whole(&source, request),
        }
    }

    /// The worst mistakes, one line each.
    fn list(&self, evaluation: &Evaluation, part: &Part) -> String {
        let mistakes = evaluation.mistakes(&part.samples);
        let lines = mistakes.iter().take(self.mistakes).map(|(sample, answer)| {
            let (label, answered) = (sample.label.name(), answer.label.name());
            format!("  {}: {label}, answered {answered} ({:.0} %)\n", sample.name, 100.0 * answer.probability)
        });
        let lines: String = lines.collect();
        if lines.is_empty() { lines } else { format!("  mistakes, worst first, {} in all\n{lines}", mistakes.len()) }
    }

    fn write_files(&self, evaluation: &Evaluation, part: &Part) -> crate::Result<()> {
        if let Some(path) = &self.csv {
            let mut table = Vec::new();
            evaluation.csv(&part.samples, &mut table)?;
            files::write_bytes(path, &table)?;
        }
        if let Some(path) = &self.gallery {
            let mistakes = evaluation.mistakes(&part.samples).into_iter().take(SHOWN);
            let shown = mistakes.map(|(sample, answer)| {
                Ok(Answered {
                    name: sample.name.clone(),
                    png: contact_sheet::png(&contact_sheet::thumbnail(&sample.picture, 64))?,
                    label: sample.label.name(),
                    answer: answer.label.name(),
                    probability: answer.probability,
                })
            });
            let page = report::mistakes::page(evaluation, &shown.collect::<crate::Result<Vec<_>>>()?);
            files::write_bytes(path, page.as_bytes())?;
        }
        Ok(())
    }
}

/// Training faces of `rendered` without a number: its test part is a quarter of them.
pub const DRAWN: usize = 6000;
/// Most pictures of the gallery.
const SHOWN: usize = 500;
