//! `host-trainer robustness`

use std::path::PathBuf;

use expression_engine::EngineOptions;

use crate::coverage;
use crate::dataset::{self, ClassNames, Request, Source, Split};
use crate::evaluate::robustness::Robustness;

/// Measure how well a bundle copes with blur, darkness, noise, compression and other disturbances, with the board's own code.
///
/// Prints a table in Markdown: for each disturbance the accuracy, the share of confident faces that get another label, and the
/// share that get none any more. Lengths are in pixels of the aligned face. With --photographs, whole pictures are disturbed and
/// the largest face of each is found again; there are no labels then, and no accuracy. The same seed gives the same table.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of the bundle.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// The data set, as [`dataset::SOURCES`] lists them.
    #[arg(long, value_name = "SOURCE", required_unless_present = "photographs", help = format!("Data set: {}", dataset::SOURCES))]
    data: Option<Source>,
    /// What the names of class folders mean, as for `evaluate`.
    #[arg(long, value_name = "NAMES", requires = "data")]
    classes: Option<ClassNames>,
    /// Part of the data set.
    #[arg(long, value_enum, default_value_t = Split::Test)]
    split: Split,
    /// A folder of photographs with one main face each, instead of a data set. The folders below it count too.
    #[arg(long, value_name = "DIR", conflicts_with = "data")]
    photographs: Option<PathBuf>,
    /// Take at most N samples of the data set, evenly spaced.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Seed of the noise, and of the samples that are drawn and held out.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if the bundle is refused or the data is bad input.
    pub fn run(&self) -> crate::Result<()> {
        let (bundle, engine) = expression_engine::selftest::open(&self.bundle, EngineOptions::default())?;
        let least = bundle.manifest().confidence.map_or(0.0, |confidence| confidence.least);
        let table = match (&self.photographs, &self.data) {
            (Some(folder), _) => Robustness::of_photographs(&bundle, &engine, least, folder, self.seed)?,
            (None, Some(data)) => {
                let calibration = bundle.manifest().quantization.calibration_samples;
                let request = Request { rendered: super::evaluate::DRAWN, limit: None, calibration, seed: self.seed };
                let part = dataset::part(&data.clone().with_classes(self.classes.clone())?, self.split, request)?;
                if let Some(warning) = coverage::lacking(engine.labels(), &part.samples) {
                    tracing::warn!("bundle {}: {warning}", bundle.manifest().name);
                }
                let limit = self.limit.map_or(usize::MAX, |limit| limit as usize);
                Robustness::of_samples(&engine, least, &part.name, &part.samples, limit, self.seed)?
            }
            (None, None) => return Err(crate::Error::BadInput("give --data or --photographs".into())),
        };
        let text = if self.json { serde_json::to_string(&table)? } else { table.table() };
        crate::error::print(text.trim_end())
    }
}
