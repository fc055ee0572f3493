//! The paper's comparison on one set of splits (section IV): the expression net from scratch, the face net fine-tuned, and
//! FaceNet2ExpNet; over seeds and over numbers of training samples.

pub mod adaptation;
mod grid;
pub mod look;
mod table;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use crate::config::Config;
use crate::dataset::{self, DataSet, Source};
use crate::error::Error;
use crate::evaluate::Metrics;
use crate::net::FaceNet;
use crate::run::{self, Run};
use crate::train::face_net_tuning::FaceClassifier;
use crate::train::faces::Faces;
use crate::train::{method, stage_two};

pub use grid::Grid;
pub use table::Study;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The expression net by stage two alone, which gets the passes of stage one besides its own.
    Scratch,
    /// The face net tuned on the expression set: the one that supervises FaceNet2ExpNet.
    FineTuned,
    /// Face net tuned, stage one, stage two.
    #[serde(rename = "fn2en")]
    Fn2en,
}

impl Method {
    /// In the order that the paper finds.
    pub const ALL: [Method; 3] = [Method::Scratch, Method::FineTuned, Method::Fn2en];

    /// Its name, for people and folders.
    pub fn name(self) -> &'static str {
        match self {
            Method::Scratch => "scratch",
            Method::FineTuned => "fine-tuned",
            Method::Fn2en => "fn2en",
        }
    }
}

/// What one method gave with one number of training samples and one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The method.
    pub method: Method,
    /// Training samples; the calibration samples are beside them.
    pub samples: usize,
    /// Decides which samples they are, and the fresh weights.
    pub seed: u64,
    /// The float net on the test samples.
    pub test: Metrics,
}

/// A study to be run.
pub struct Plan<'a> {
    /// The cells, and how they are run.
    pub grid: Grid<'a>,
    /// The preset; its tuning of the face net is the fine-tuned baseline.
    pub config: &'a Config,
    /// `--data`.
    pub data: &'a Source,
}

impl Plan<'_> {
    /// Runs every cell. All methods with one seed see the same samples.
    ///
    /// # Errors
    /// Returns an error if the preset does not tune the face net, the input is bad, or the run is interrupted.
    pub fn run(&self) -> crate::Result<Study> {
        if self.config.face_net_tuning.epochs == 0 {
            let advice = "give --preset ferplus, or set face_net_tuning.epochs in yours: the tuned face net is the second method";
            return Err(Error::BadInput(format!("the face net is not tuned; {advice}")));
        }
        let mut cells = Vec::new();
        for (size, seed) in self.grid.draws() {
            // No more than a fifth of what is asked for is held out: with more, fewer than `size` would be trained on.
            let calibration = self.config.quantize.calibration_samples.min(size / 4);
            let limit = Some(size + calibration);
            let request = dataset::Request { rendered: size + calibration, limit, calibration, seed };
            let data = dataset::load(self.data, request)?;
            let (train, all) = (data.train.len(), data.train.len() + data.calibration.len());
            // More may be held out than was asked for, if whole people are; and a few pictures may not be readable.
            if train < size && all + data.skipped.len() < size + calibration {
                return Err(too_few(&data.name, size, train));
            }
            cells.extend(self.cells(size, seed, &data)?);
        }
        Ok(Study { data: self.data.to_string(), cells })
    }

    /// The folder of one method with `size` samples and one seed. The tuned face net lies in FaceNet2ExpNet's.
    pub fn place(folder: &Path, size: usize, seed: u64, method: Method) -> PathBuf {
        let name = if method == Method::Scratch { method } else { Method::Fn2en }.name();
        grid::place(folder, (size, seed), name)
    }

    fn cells(&self, size: usize, seed: u64, data: &DataSet) -> crate::Result<Vec<Cell>> {
        let device = self.grid.device;
        let test = Faces::new(&data.test, self.config.face_input(), device)?;
        let cell = |method, answers: &Tensor| -> crate::Result<Cell> {
            let classes: Vec<i64> = answers.argmax(-1, false).to_device(Device::Cpu).try_into()?;
            let classes: Vec<usize> = classes.into_iter().map(|class| class as usize).collect();
            Ok(Cell { method, samples: size, seed, test: Metrics::new(&data.test, &classes) })
        };
        let mut cells = Vec::new();
        for method in [Method::Scratch, Method::Fn2en] {
            let config = configuration(self.config, method);
            let run = self.grid.open(method.name(), (size, seed), self.data.to_string(), &config, data)?;
            if let Some(found) = grid::result::<Vec<Cell>>(&run)? {
                cells.extend(found);
                continue;
            }
            let (train, calibration) = (data.train.len(), data.calibration.len());
            run.say(&format!("{train} training, {calibration} calibration samples, seed {seed}: {}", method.name()));
            let trained = method::train(&run, &config, data, FaceNet::open(&config.face_net, device)?, None)?;
            let logits = stage_two::logits(&trained.net, &test.aligned, config.net.size as i64);
            let mut found = vec![cell(method, &logits)?];
            if method == Method::Fn2en {
                found.insert(0, cell(Method::FineTuned, &self.fine_tuned(&run, data)?)?);
            }
            for Cell { method, test, .. } in &found {
                run.say(&format!("{}: accuracy {:.2} %", method.name(), 100.0 * test.accuracy));
            }
            grid::finish(&run, &found)?;
            cells.extend(found);
        }
        Ok(cells)
    }

    /// What the tuned face net of a finished FaceNet2ExpNet run answers to the test samples: logits `[n, 8]`.
    fn fine_tuned(&self, run: &Run, data: &DataSet) -> crate::Result<Tensor> {
        let mut face_net = FaceNet::open(&self.config.face_net, self.grid.device)?;
        let classifier = FaceClassifier::new(&mut face_net, self.config, &data.train)?;
        classifier.restore(&run.path(run::TUNED_FACE_NET))?;
        classifier.logits(&data.test, classifier.centre())
    }
}

/// The error that a set has fewer samples than a row of the table would say.
fn too_few(set: &str, size: usize, there: usize) -> Error {
    Error::BadInput(format!(
        "{set}: --samples {size} asks for more than the {there} that there are; give a lower number"
    ))
}

/// The configuration of a method.
fn configuration(config: &Config, method: Method) -> Config {
    let mut config = config.clone();
    if method == Method::Scratch {
        config.stage_two.epochs += config.stage_one.epochs;
        (config.stage_one.epochs, config.face_net_tuning.epochs) = (0, 0);
        (config.stage_two.teacher, config.stage_two.teacher_views) = (0.0, 0);
    }
    config
}
