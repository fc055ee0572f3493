//! What the cells of every study have in common: which there are, where they lie, and how they begin and end.

use std::path::{Path, PathBuf};

use expression_engine::files;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::Device;

use crate::config::Config;
use crate::dataset::DataSet;
use crate::error::Context;
use crate::run::{self, Run};

/// The cells of a study, each a run of its own, and how they are run.
pub struct Grid<'a> {
    /// RUNS/NAME.
    pub folder: &'a Path,
    /// Numbers of training samples.
    pub sizes: &'a [usize],
    /// How many seeds, from 1.
    pub seeds: u64,
    /// Finished cells stay, those that were begun go on.
    pub resume: bool,
    /// Cells that were begun are trained again.
    pub overwrite: bool,
    /// Where training runs.
    pub device: Device,
}

impl Grid<'_> {
    /// Returns each number of samples with each seed.
    pub(super) fn draws(&self) -> impl Iterator<Item = (usize, u64)> {
        self.sizes.iter().flat_map(move |&size| (1..=self.seeds).map(move |seed| (size, seed)))
    }

    /// Opens and starts the run of the cell of `method` with this number of samples and this seed. `name`: of the data set.
    pub(super) fn open(
        &self,
        method: &str,
        (size, seed): (usize, u64),
        name: String,
        config: &Config,
        data: &DataSet,
    ) -> crate::Result<Run> {
        let folder = place(self.folder, (size, seed), method);
        let asked = run::Request {
            data: name,
            preset: String::new(),
            limit: Some(size as u32),
            seed,
            resume: self.resume && run::Identity::read(&folder).is_some(),
            overwrite: self.overwrite,
            fold: None,
        };
        let mut run = Run::open(&folder, config, asked)?;
        run.start(data)?;
        Ok(run)
    }
}

/// The folder of a cell in that of its study.
pub fn place(folder: &Path, (size, seed): (usize, u64), method: &str) -> PathBuf {
    folder.join(format!("{size}-samples")).join(format!("seed-{seed}")).join(method)
}

/// Returns the figures of a cell; `None` if it is not finished.
pub fn result<T: DeserializeOwned>(run: &Run) -> crate::Result<Option<T>> {
    let path = run.path(run::RESULT);
    let Ok(bytes) = std::fs::read(&path) else { return Ok(None) };
    let figures: T =
        serde_json::from_slice(&bytes).with_context(|| format!("{}: damaged; delete it", path.display()))?;
    Ok(Some(figures))
}

/// Writes the figures of a cell: it is finished.
pub fn finish(run: &Run, figures: &impl Serialize) -> crate::Result<()> {
    Ok(files::write_bytes(&run.path(run::RESULT), &serde_json::to_vec_pretty(figures)?)?)
}
