//! `host-trainer run-all`

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::config::Config;
use crate::dataset::{self, Request, Source};
use crate::device;
use crate::export;
use crate::net::FaceNet;
use crate::pipeline::{self, Given};
use crate::run::{self, Run};

/// Trains, quantizes, exports and proves parity: data set to bundle and report, in one run.
#[derive(clap::Args)]
pub struct Cmd {
    /// rendered[:N], ferplus:DIR, folder:DIR, ck-plus:DIR, oulu-casia:DIR, tfd:FILE-or-DIR or sfew:DIR.
    #[arg(long, value_name = "SOURCE", default_value = "rendered")]
    data: Source,
    /// edge, paper, smoke, or the path of a TOML file.
    #[arg(long, default_value = "edge")]
    preset: String,
    /// At most so many samples for training and calibration together.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(16..))]
    limit: Option<u32>,
    /// The same seed gives the same result on one machine.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where training runs.
    #[arg(long, value_enum, default_value_t = device::Choice::Auto)]
    device: device::Choice,
    /// Name of the run: its files lie in RUNS/NAME, in the place of an older run's. By default made of data and preset.
    #[arg(long)]
    name: Option<String>,
    /// Folder of runs.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
    /// Goes on with a run that was interrupted.
    #[arg(long)]
    resume: bool,
    /// Weights of VGG-16 for presets with that face net: a safetensors file of VGG-Face (Parkhi et al. 2015; input BGR
    /// in 0..255 less its mean) under torchvision's names. torchvision's own ImageNet weights do not fit.
    #[arg(long, value_name = "FILE")]
    face_net_weights: Option<String>,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Bad input, an interruption, or a parity rung that does not hold.
    pub fn run(&self) -> anyhow::Result<()> {
        let mut config = Config::preset(&self.preset)?;
        if let Some(weights) = &self.face_net_weights {
            config.face_net.weights.clone_from(weights);
        }
        let device = device::choose(self.device)?;
        config.run.precision = config.run.precision.on(device);
        let asked = run::Request {
            data: self.data.to_string(),
            preset: self.preset.clone(),
            limit: self.limit,
            seed: self.seed,
            resume: self.resume,
        };
        let run = Run::open(&self.folder(), &config, asked)?;
        let request = Request {
            rendered: config.run.rendered,
            limit: self.limit.map(|limit| limit as usize),
            calibration: config.quantize.calibration_samples,
            seed: self.seed,
        };
        run.say(&format!("run {} on {}", run.folder().display(), device::name(device)));
        // Whatever is wrong with the input is said before anything of an older run goes.
        let given = Given {
            face_net: FaceNet::open(&config.face_net, device)?,
            fixed: export::Fixed::new(config.face_input(), self.seed)?,
        };
        let started = Instant::now();
        let data = dataset::load(&self.data, request)?;
        let loading = started.elapsed().as_secs_f64();
        run.start(&data)?;
        pipeline::run(&run, &config, &data, loading, given)
    }

    fn folder(&self) -> PathBuf {
        let stem = Path::new(&self.preset).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let kind = self.data.to_string();
        let kind = kind.split(':').next().unwrap_or_default();
        self.runs.join(self.name.clone().unwrap_or_else(|| format!("{kind}-{stem}")))
    }
}
