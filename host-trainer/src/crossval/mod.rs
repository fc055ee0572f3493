//! Cross-validation: the method on every fold of a data set (paper, section IV), each fold a run in a folder of its own.

mod join;

use std::path::Path;

use tch::Device;

use crate::config::Config;
use crate::coverage;
use crate::dataset::{self, Collection};
use crate::error::Error;
use crate::measurement::Measurement;
use crate::net::FaceNet;
use crate::run::{self, FoldOf, Run};
use crate::train::method::{self, Rehearsal};

pub use join::{FoldFigures, Joined, Spread};

/// A cross-validation whose data is loaded.
pub struct CrossValidation<'a> {
    /// Where the folders of its folds lie: RUNS/NAME.
    pub folder: &'a Path,
    /// The preset, with what the command line changed.
    pub config: &'a Config,
    /// `--data`.
    pub data: String,
    /// `--protocol`.
    pub protocol: String,
    /// The whole set with its folds.
    pub collection: &'a Collection,
    /// [`dataset::sample::sha256`] of the whole set.
    pub sha256: String,
    /// What a fold's data set is asked for.
    pub request: dataset::Request,
    /// `--seed`.
    pub seed: u64,
    /// `--resume`: folds that were begun go on, finished ones stay.
    pub resume: bool,
    /// `--overwrite`: folds that were begun are trained again.
    pub overwrite: bool,
    /// Where training runs.
    pub device: Device,
}

/// The folder of fold `number` (from 1) in a cross-validation's.
pub fn folder_of(number: usize) -> String {
    format!("fold-{number:02}")
}

impl CrossValidation<'_> {
    /// Trains, quantizes and measures on fold `number` (from 1). Writes to the folder of that fold and nowhere else, so that
    /// folds may run at the same time. A bundle is not exported: no fold's net is the one to ship.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if there is no such fold or its folder holds something else;
    /// [`crate::interrupt::Interrupted`]; of the file system.
    pub fn fold(&self, number: usize) -> crate::Result<()> {
        let (count, name) = (self.collection.folds.len(), &self.collection.name);
        let place =
            number.checked_sub(1).ok_or_else(|| Error::BadInput(format!("folds are counted from 1 to {count}")))?;
        let data = self.collection.fold(place, self.request)?;
        let folder = self.folder.join(folder_of(number));
        let asked = run::Request {
            data: self.data.clone(),
            preset: String::new(),
            limit: None,
            seed: self.seed,
            resume: self.resume && run::Identity::read(&folder).is_some(),
            overwrite: self.overwrite,
            fold: Some(FoldOf {
                number,
                count,
                protocol: self.protocol.clone(),
                collection: name.clone(),
                collection_sha256: self.sha256.clone(),
            }),
        };
        let mut run = Run::open(&folder, self.config, asked)?;
        // Opened before anything of an older run goes.
        let face_net = FaceNet::open(&self.config.face_net, self.device)?;
        let rehearsal = Rehearsal::read(self.config, self.seed)?;
        run.start(&data)?;
        if run.is_finished() {
            run.say(&format!("fold {number} of {count}: was finished before"));
            return Ok(());
        }
        let [train, calibration, test] = [&data.train, &data.calibration, &data.test].map(Vec::len);
        run.say(&format!("fold {number} of {count}: {train} training, {calibration} calibration, {test} test samples"));
        coverage::warnings(&data, &coverage::known(self.config)?)
            .iter()
            .for_each(|warning| run.say(&format!("warning: {warning}")));
        let trained = method::train(&run, self.config, &data, face_net, rehearsal)?;
        let measured = Measurement::new(&run, self.config, &data, 0.0, trained, false)?;
        // A net that was measured after a stop was asked for is thrown away: its checkpoint is not.
        crate::interrupt::check()?;
        measured.write(&run, &data.test)?;
        let [int8, float] = [&measured.summary.int8, &measured.summary.float].map(|of| 100.0 * of.accuracy);
        run.say(&format!("fold {number} of {count}: accuracy {int8:.2} % (int8), {float:.2} % (float)"));
        Ok(())
    }
}
