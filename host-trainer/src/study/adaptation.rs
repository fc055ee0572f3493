//! How well a trained net is adapted to few pictures of one room: before, trained from scratch, plainly fine-tuned, adapted; on
//! held-out pictures of the room and on the old test, over seeds and over numbers of labelled pictures.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::grid::{self, Grid};
use crate::config::{Adapt, Config};
use crate::crossval::Spread;
use crate::dataset::{DataSet, Part, Sample};
use crate::error::Error;
use crate::evaluate::interval::{self, wilson};
use crate::evaluate::{Comparison, Metrics};
use crate::net::{ExpressionNet, FaceNet};
use crate::train::faces::Faces;
use crate::train::method::{self, Rehearsal};
use crate::train::stage_two;
use crate::train::start::Start;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The net as it was.
    Before,
    /// A net of the same shape that starts from nothing, with the preset `edge`.
    #[value(name = "from-nothing")]
    Scratch,
    /// The old net refined on the pictures alone: the preset with every part of `[adapt]` off.
    #[value(name = "fine-tuned")]
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
    /// The net before and this one on the look.
    pub own_change: Comparison,
    /// The net before and this one on the old test.
    pub old_change: Comparison,
    /// Of training.
    pub seconds: f64,
}

/// A study to be run.
pub struct Plan<'a> {
    /// The cells, and how they are run. Their sizes are numbers of labelled pictures.
    pub grid: Grid<'a>,
    /// The preset, which starts from a bundle and has a section `[adapt]`.
    pub config: &'a Config,
    /// How a net is trained from nothing.
    pub scratch: &'a Config,
    /// `--data`, and of which look: for reports.
    pub name: String,
    /// The look, with a number of labelled pictures and a seed.
    pub data: &'a dyn Fn(usize, u64) -> crate::Result<DataSet>,
    /// What must not get worse.
    pub old: &'a Part,
    /// What is compared with the net as it was.
    pub methods: &'a [Method],
}

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
        for (size, seed) in self.grid.draws() {
            let data = (self.data)(size, seed)?;
            let labelled = data.train.len() + data.calibration.len();
            // A few pictures may not be readable.
            if labelled + data.skipped.len() < size {
                return Err(super::too_few(&data.name, size, labelled));
            }
            let start = Start::open(start, &self.config.net)?;
            let net = start.net(&self.config.net, tch::Kind::Float, self.grid.device)?;
            let before = self.answers(&net, &data)?;
            cells.push(self.cell(Method::Before, (size, seed), &data, [&before, &before], 0.0));
            for method in Method::ALL.into_iter().filter(|method| self.methods.contains(method)) {
                if method != Method::Before {
                    cells.push(self.trained(method, (size, seed), &data, &before, adapt)?);
                }
            }
        }
        Ok(Adaptation { data: self.name.clone(), old: self.old.name.clone(), start: start.bundle.clone(), cells })
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

    fn trained(
        &self,
        method: Method,
        (size, seed): (usize, u64),
        data: &DataSet,
        before: &Answers,
        adapt: &Adapt,
    ) -> crate::Result<Cell> {
        let config = self.configuration(method, adapt);
        let run = self.grid.open(method.name(), (size, seed), self.name.clone(), &config, data)?;
        if let Some(cell) = grid::result(&run)? {
            return Ok(cell);
        }
        run.say(&format!("{size} labelled pictures, seed {seed}: {}", method.name()));
        let (face_net, rehearsal) =
            (FaceNet::open(&config.face_net, self.grid.device)?, Rehearsal::read(&config, run.seed())?);
        let trained = method::train(&run, &config, data, face_net, rehearsal)?;
        let seconds = trained.seconds.iter().map(|(_, seconds)| seconds).sum();
        let answers = self.answers(&trained.net, data)?;
        let cell = self.cell(method, (size, seed), data, [before, &answers], seconds);
        let [own, old] = [&cell.own, &cell.old].map(|metrics| 100.0 * metrics.accuracy);
        run.say(&format!("{}: {own:.2} % right on held-out pictures, {old:.2} % on the old test", method.name()));
        grid::finish(&run, &cell)?;
        Ok(cell)
    }

    /// The classes that a net gives to the look's test and to the old test.
    fn answers(&self, net: &ExpressionNet, data: &DataSet) -> crate::Result<Answers> {
        let classes = |samples: &[Sample]| -> crate::Result<Vec<usize>> {
            let faces = Faces::new(samples, self.config.face_input(), self.grid.device)?;
            let logits: Tensor = stage_two::logits(net, &faces.aligned, self.config.net.size as i64);
            let classes: Vec<i64> = logits.argmax(-1, false).to_device(Device::Cpu).try_into()?;
            Ok(classes.into_iter().map(|class| class as usize).collect())
        };
        Ok([classes(&data.test)?, classes(&self.old.samples)?])
    }

    fn cell(
        &self,
        method: Method,
        (samples, seed): (usize, u64),
        data: &DataSet,
        [before, now]: [&Answers; 2],
        seconds: f64,
    ) -> Cell {
        let tests = [&data.test[..], &self.old.samples];
        let change = |test: usize| {
            let right = |answers: &Answers, place: usize| answers[test][place] == tests[test][place].label as usize;
            Comparison::new((0..tests[test].len()).map(|place| (right(before, place), right(now, place))))
        };
        let [own, old] = [0, 1].map(|test| Metrics::new(tests[test], &now[test]));
        let (own_change, old_change) = (change(0), change(1));
        Cell { method, samples, seed, own, old, own_change, old_change, seconds }
    }
}

/// Classes of the look's test and of the old test.
type Answers = [Vec<usize>; 2];

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
    pub fn over_seeds(&self, size: usize, method: Method, figure: &dyn Fn(&Cell) -> f64) -> Spread {
        let cells = self.cells.iter().filter(|cell| (cell.samples, cell.method) == (size, method));
        Spread::of(&cells.map(figure).collect::<Vec<_>>())
    }

    /// Returns the table for people: one row for each number of labelled pictures and method.
    pub fn table(&self) -> String {
        let seeds = self.cells.iter().map(|cell| cell.seed).collect::<BTreeSet<_>>().len();
        let sizes: BTreeSet<usize> = self.cells.iter().map(|cell| cell.samples).collect();
        let tested = self.cells.last().map_or([0; 2], |cell| [cell.own.samples, cell.old.samples]);
        let Adaptation { data, old, start, .. } = self;
        let mut text =
            format!("{start} adapted to {data}: means over {seeds} seeds, with 95 % intervals of one seed's test\n");
        text += &format!("held-out pictures: {}; old test: {old}, {}\n", tested[0], tested[1]);
        let head = ["labelled", "method", "held-out pictures", "errors gone", "old test", "change", "seconds"];
        let [labelled, method, look, gone, old, change, seconds] = head;
        text += &format!("  {labelled:>8}  {method:<17} {look:>22} {gone:>12} {old:>9} {change:>14} {seconds:>8}\n");
        for size in sizes {
            for method in Method::ALL {
                if self.cells.iter().any(|cell| (cell.samples, cell.method) == (size, method)) {
                    text += &self.row(size, method);
                }
            }
        }
        text
    }

    fn row(&self, size: usize, method: Method) -> String {
        let mean = |figure: &dyn Fn(&Cell) -> f64| self.over_seeds(size, method, figure).mean;
        let own = mean(&|cell| cell.own.accuracy);
        let tested = mean(&|cell| cell.own.samples as f64);
        let [low, high] = wilson((own * tested).round() as usize, tested as usize).map(|share| 100.0 * share);
        let look = format!("{:.1} % [{low:.1}, {high:.1}]", 100.0 * own);
        let wrong = |cell: &Cell| {
            let [before, now] = cell.own_change.accuracies();
            [1.0 - before, 1.0 - now]
        };
        let [before, now] = [0, 1].map(|when| mean(&|cell| wrong(cell)[when]));
        let gone = format!("{:.0} %", 100.0 * (1.0 - now / before.max(f64::EPSILON)));
        let old = format!("{:.2} %", 100.0 * mean(&|cell| cell.old.accuracy));
        let [gained, lost, all] = [
            mean(&|cell| cell.old_change.gained as f64),
            mean(&|cell| cell.old_change.lost as f64),
            mean(&|cell| cell.old_change.samples as f64),
        ];
        let (change, half) = interval::paired(gained, lost, all);
        let change = match method {
            Method::Before => String::new(),
            _ => format!("{:+.2} +- {:.2}", 100.0 * change, 100.0 * half),
        };
        let gone = if method == Method::Before { String::new() } else { gone };
        let (name, seconds) = (method.name(), mean(&|cell| cell.seconds));
        format!("  {size:>8}  {name:<17} {look:>22} {gone:>12} {old:>9} {change:>14} {seconds:>8.0}\n")
    }
}
