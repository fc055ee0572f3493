//! How well a trained net is adapted to few pictures of one room: before, trained from scratch, plainly fine-tuned, adapted; on
//! held-out pictures of the room and on the old test, over seeds and over numbers of labelled pictures.

use std::collections::BTreeSet;
use std::path::Path;

use expression_engine::files;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use crate::config::{Adapt, Config};
use crate::crossval::Spread;
use crate::dataset::{self, DataSet, Part, Source};
use crate::error::{Context, Error};
use crate::evaluate::Metrics;
use crate::net::FaceNet;
use crate::run::{self, Run};
use crate::train::faces::Faces;
use crate::train::start::Start;
use crate::train::{method, stage_two};

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The net as it was.
    Before,
    /// A net of the same shape that starts from nothing, by `--scratch`.
    Scratch,
    /// The old net refined on the pictures alone: the preset with every part of `[adapt]` off.
    Plain,
    /// The preset without the distance to the face net.
    WithoutFaceNet,
    /// The preset.
    Adapted,
}

impl Method {
    /// In the order of the table.
    pub const ALL: [Method; 5] =
        [Method::Before, Method::Scratch, Method::Plain, Method::WithoutFaceNet, Method::Adapted];

    /// Its name, for people and folders.
    pub fn name(self) -> &'static str {
        match self {
            Method::Before => "before",
            Method::Scratch => "from-nothing",
            Method::Plain => "fine-tuned",
            Method::WithoutFaceNet => "without-face-net",
            Method::Adapted => "adapted",
        }
    }
}

/// What one method gave with one number of labelled pictures and one seed. Figures are of the float net.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The method.
    pub method: Method,
    /// Labelled pictures; a fifth of them is held out from training, to stop early.
    pub samples: usize,
    /// Decides which pictures they are.
    pub seed: u64,
    /// On the test part of the data: the look.
    pub own: Metrics,
    /// On the old test.
    pub old: Metrics,
    /// Of training.
    pub seconds: f64,
}

/// A study to be run.
pub struct Plan<'a> {
    /// RUNS/NAME.
    pub folder: &'a Path,
    /// The preset, which starts from a bundle and has a section `[adapt]`.
    pub config: &'a Config,
    /// How a net is trained from nothing.
    pub scratch: &'a Config,
    /// `--data`: the look.
    pub data: &'a Source,
    /// What must not get worse.
    pub old: &'a Part,
    /// Numbers of labelled pictures.
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

/// Name of a cell's figures in its folder; written last.
const RESULT: &str = "result.json";

impl Plan<'_> {
    /// Runs every cell. All methods with one seed see the same pictures.
    ///
    /// # Errors
    /// Returns an error if the preset does not adapt a bundle, the input is bad, or the run is interrupted.
    pub fn run(&self) -> crate::Result<Adaptation> {
        let (Some(start), Some(adapt)) = (&self.config.start, &self.config.adapt) else {
            return Err(Error::BadInput("an adaptation starts from a bundle and has [adapt]; give --from".into()));
        };
        let mut cells = Vec::new();
        for &size in self.sizes {
            for seed in 1..=self.seeds {
                let calibration = self.config.quantize.calibration_samples;
                let request = dataset::Request { rendered: RENDERED, limit: Some(size), calibration, seed };
                let data = dataset::load(self.data, request)?;
                let before = Start::open(start)?.net(&self.config.net, tch::Kind::Float, self.device)?;
                cells.push(self.cell(Method::Before, size, seed, &data, &before, 0.0)?);
                for method in &Method::ALL[1..] {
                    cells.push(self.trained(*method, size, seed, &data, adapt)?);
                }
            }
        }
        Ok(Adaptation { data: self.data.to_string(), old: self.old.name.clone(), start: start.bundle.clone(), cells })
    }

    fn configuration(&self, method: Method, adapt: &Adapt) -> Config {
        let adapted = |adapt: Adapt| Config { adapt: Some(adapt), ..self.config.clone() };
        match method {
            Method::Scratch => self.scratch.clone(),
            Method::Plain => adapted(adapt.plain()),
            Method::WithoutFaceNet => adapted(Adapt { face_net: 0.0, ..adapt.clone() }),
            Method::Before | Method::Adapted => self.config.clone(),
        }
    }

    fn trained(&self, method: Method, size: usize, seed: u64, data: &DataSet, adapt: &Adapt) -> crate::Result<Cell> {
        let config = self.configuration(method, adapt);
        let folder = self.folder.join(format!("{size}-samples")).join(format!("seed-{seed}")).join(method.name());
        let asked = run::Request {
            data: self.data.to_string(),
            preset: String::new(),
            limit: Some(size as u32),
            seed,
            resume: self.resume && run::Identity::read(&folder).is_some(),
            overwrite: self.overwrite,
            fold: None,
        };
        let mut run = Run::open(&folder, &config, asked)?;
        run.start(data)?;
        if let Ok(bytes) = std::fs::read(run.path(RESULT)) {
            let place = || format!("{}: damaged; delete it", run.path(RESULT).display());
            return serde_json::from_slice(&bytes).with_context(place);
        }
        run.say(&format!("{size} labelled pictures, seed {seed}: {}", method.name()));
        let trained = method::train(&run, &config, data, FaceNet::open(&config.face_net, self.device)?)?;
        let seconds = trained.seconds.iter().map(|(_, seconds)| seconds).sum();
        let cell = self.cell(method, size, seed, data, &trained.net, seconds)?;
        let [own, old] = [&cell.own, &cell.old].map(|metrics| 100.0 * metrics.accuracy);
        run.say(&format!("{}: {own:.2} % right on held-out pictures, {old:.2} % on the old test", method.name()));
        files::write_bytes(&run.path(RESULT), &serde_json::to_vec_pretty(&cell)?)?;
        Ok(cell)
    }

    fn cell(
        &self,
        method: Method,
        samples: usize,
        seed: u64,
        data: &DataSet,
        net: &crate::net::ExpressionNet,
        seconds: f64,
    ) -> crate::Result<Cell> {
        let measured = |samples: &[dataset::Sample]| -> crate::Result<Metrics> {
            let faces = Faces::new(samples, self.config.face_input(), self.device)?;
            let logits: Tensor = stage_two::logits(net, &faces.aligned, self.config.net.size as i64);
            let classes: Vec<i64> = logits.argmax(-1, false).to_device(Device::Cpu).try_into()?;
            let classes: Vec<usize> = classes.into_iter().map(|class| class as usize).collect();
            Ok(Metrics::new(samples, &classes))
        };
        Ok(Cell { method, samples, seed, own: measured(&data.test)?, old: measured(&self.old.samples)?, seconds })
    }
}

/// Faces of `--data rendered`: a quarter as many people are tested on, however few are labelled.
const RENDERED: usize = 4000;

/// A finished study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Adaptation {
    /// `--data`.
    pub data: String,
    /// Name of the old test.
    pub old: String,
    /// The bundle that was adapted.
    pub start: String,
    /// Every method with every number of pictures and every seed.
    pub cells: Vec<Cell>,
}

impl Adaptation {
    /// Returns mean and sample deviation over seeds of a figure of one method with `size` labelled pictures.
    pub fn over_seeds(&self, size: usize, method: Method, figure: impl Fn(&Cell) -> f64) -> Spread {
        let cells = self.cells.iter().filter(|cell| (cell.samples, cell.method) == (size, method));
        Spread::of(&cells.map(figure).collect::<Vec<_>>())
    }

    /// Returns the table for people: one row for each number of labelled pictures and method.
    pub fn table(&self) -> String {
        let seeds = self.cells.iter().map(|cell| cell.seed).collect::<BTreeSet<_>>().len();
        let sizes: BTreeSet<usize> = self.cells.iter().map(|cell| cell.samples).collect();
        let tested = self.cells.first().map_or([0; 2], |cell| [cell.own.samples, cell.old.samples]);
        let share = |spread: Spread| {
            let deviation = spread.deviation.map_or(String::new(), |share| format!(" +- {:.2}", 100.0 * share));
            format!("{:.2}{deviation} %", 100.0 * spread.mean)
        };
        let Adaptation { data, old, start, .. } = self;
        let mut text = format!("{start} adapted to {data}: mean and sample deviation over {seeds} seeds\n");
        text += &format!("held-out pictures: {}; old test: {old}, {}\n", tested[0], tested[1]);
        let head = ["labelled", "method", "the look", "old test", "seconds"];
        text += &format!("  {:>8}  {:<17} {:>17} {:>17} {:>8}\n", head[0], head[1], head[2], head[3], head[4]);
        for size in sizes {
            for method in Method::ALL {
                let own = share(self.over_seeds(size, method, |cell| cell.own.accuracy));
                let old = share(self.over_seeds(size, method, |cell| cell.old.accuracy));
                let seconds = self.over_seeds(size, method, |cell| cell.seconds).mean;
                text += &format!("  {size:>8}  {:<17} {own:>17} {old:>17} {seconds:>8.0}\n", method.name());
            }
        }
        text
    }
}
