//! `host-trainer study`

use expression_engine::files;
use expression_engine::line::tell;

use super::training::{Numbering, Training};
use crate::config::{Config, Net};
use crate::dataset::{self, Part, Source, Split};
use crate::device;
use crate::error::Error;
use crate::report;
use crate::study::adaptation::{self, Method};
use crate::study::look::Look;
use crate::study::{Grid, Plan};

/// Repeat the paper's comparison of three methods: from scratch, fine-tuned face net, FaceNet2ExpNet.
///
/// For each number of samples and each seed, all methods train on the same samples; --seed has no effect. The results are one
/// table and one plot, study.json and study.html in RUNS/NAME. The preset must tune the face net, which is the second method:
/// ferplus does, the default does not.
///
/// With --from, other methods are compared, on few labelled pictures: the bundle as it is, a net from scratch, plain fine-tuning,
/// the preset without the face net, and the preset. The table shows held-out pictures of --data and the old test, which must not
/// get worse. It is adaptation.json in RUNS/NAME.
#[derive(clap::Args)]
pub struct Cmd {
    #[command(flatten)]
    training: Training,
    /// Numbers of training samples, separated by commas. Calibration samples come on top.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1308",
          value_parser = clap::value_parser!(u32).range(16..))]
    samples: Vec<u32>,
    /// Use the seeds 1 to N. Each draws other samples and other initial weights.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    seeds: u32,
    /// With --from: data set of the old test, whose test part (of FER+ the validation part) must not get worse.
    #[arg(long, value_name = "SOURCE", default_value = "rendered", requires = "from")]
    old_test: Source,
    /// With --from: simulate a room by the photographs of this look in the test part of --data (of FER+ the validation part). The
    /// labelled pictures are drawn from them, the rest of them is the test, and the photographs of other looks are the old test.
    #[arg(long, value_enum, requires = "from", conflicts_with = "old_test")]
    look: Option<Look>,
    /// With --from: methods to compare with the bundle as it is, separated by commas.
    #[arg(long, value_enum, value_name = "METHOD,...", value_delimiter = ',', requires = "from",
          default_values = ["from-nothing", "fine-tuned", "without-face-net", "adapted"])]
    methods: Vec<Method>,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error for bad input or after an interruption.
    pub fn run(&self) -> crate::Result<()> {
        let (config, device) = self.training.configuration()?;
        let data = self.training.source()?;
        let folder = self.training.folder("-study", Numbering::Next);
        self.training.spare_inputs(&folder, None)?;
        let earlier =
            ["study.json", "adaptation.json"].map(|name| folder.join(name)).into_iter().find(|path| path.exists());
        if let Some(earlier) = earlier.filter(|_| !self.training.resume && !self.training.overwrite) {
            let advice = "give another --name, --resume to continue it, or --overwrite to replace it";
            return Err(Error::BadInput(format!("{} already exists; {advice}", earlier.display())));
        }
        tell(format_args!("study {} on {}", folder.display(), device::name(device)));
        let sizes: Vec<usize> = self.samples.iter().map(|count| *count as usize).collect();
        let (seeds, resume, overwrite) = (self.seeds.into(), self.training.resume, self.training.overwrite);
        let grid = Grid { folder: &folder, sizes: &sizes, seeds, resume, overwrite, device };
        if self.training.from.is_some() && config.adapt.is_some() {
            return self.adapt(&config, &data, grid);
        }
        let study = Plan { grid, config: &config, data: &data }.run()?;
        let [json, html] = ["study.json", "study.html"].map(|name| folder.join(name));
        files::write_bytes(&json, &serde_json::to_vec_pretty(&study)?)?;
        files::write_bytes(&html, report::study::page(&study).as_bytes())?;
        let places = format!("table   {}\nreport  {}", json.display(), html.display());
        crate::error::print(&format!("{}{places}", study.table()))
    }

    fn adapt(&self, config: &Config, data: &Source, grid: Grid) -> crate::Result<()> {
        // From nothing, batch norm helps; the shape is the bundle's.
        let edge = Config::preset("edge")?;
        let net = Net { batch_norm: true, ..config.net.clone() };
        let run = config.run.clone();
        let scratch = Config { net, run, quantize: config.quantize.clone(), ..edge };
        let calibration = config.quantize.calibration_samples;
        let room = self.look.map(|look| look.split(test_part(data)?, config.face_input())).transpose()?;
        let of_room = |size, seed| match &room {
            Some((room, _)) => room.data(size, calibration, seed),
            None => dataset::load(data, dataset::Request { rendered: RENDERED, limit: Some(size), calibration, seed }),
        };
        let old = match &room {
            Some((_, old)) => old.clone(),
            None => old_test(&self.old_test)?,
        };
        let plan = adaptation::Plan {
            grid,
            config,
            scratch: &scratch,
            name: self.look.map_or(data.to_string(), |look| format!("{data}, {look}")),
            data: &of_room,
            old: &old,
            methods: &self.methods,
        };
        let adaptation = plan.run()?;
        let json = plan.grid.folder.join("adaptation.json");
        files::write_bytes(&json, &serde_json::to_vec_pretty(&adaptation)?)?;
        crate::error::print(&format!("{}table   {}", adaptation.table(), json.display()))
    }
}

/// The part of a data set that an adapted net must not be worse on: of FER+ the validation part, whose test part is kept for
/// the last word.
///
/// # Errors
/// Returns an error if the data set is bad input.
pub(super) fn old_test(source: &Source) -> crate::Result<Part> {
    let mut part = test_part(source)?;
    if matches!(source, Source::Rendered(_)) {
        // The name would tell of the training faces, which are not looked at.
        part.name = "rendered test".into();
    }
    Ok(part)
}

/// The test part of a data set; of FER+ the validation part.
fn test_part(source: &Source) -> crate::Result<Part> {
    let split = if matches!(source, Source::FerPlus(_)) { Split::Valid } else { Split::Test };
    // Of a rendered set the test part alone is drawn in full. Of other sets more is read: sixteen faces could be of one track.
    let limit = Some(if matches!(source, Source::Rendered(_)) { 16 } else { 1000 });
    let request = dataset::Request { rendered: OLD_TEST, limit, calibration: 2, seed: OLD_TEST_SEED };
    dataset::part(source, split, request)
}

/// Faces of `--data rendered`: a quarter as many people are tested on, however few are labelled.
const RENDERED: usize = 4000;
/// Faces of a rendered old test, times four.
const OLD_TEST: usize = 4000;
/// Keeps its rendered people apart from those of any data set.
const OLD_TEST_SEED: u64 = 0x01D_7E57 << 32;
