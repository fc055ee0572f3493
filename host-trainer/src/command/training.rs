//! Flags of the commands that train, and what they come to.

use std::path::{Path, PathBuf};

use tch::Device;

use crate::config::Config;
use crate::dataset::{ClassNames, Request, Source};
use crate::device;

/// What the commands that train are asked alike.
#[derive(clap::Args)]
pub struct Training {
    /// Data set: rendered[:N], folder:DIR, ferplus:DIR, fer2013:FILE.csv, raf-db:DIR, affectnet:DIR, ck-plus:DIR, oulu-casia:DIR,
    /// tfd:FILE-or-DIR, sfew:DIR, kdef:DIR or jaffe:DIR.
    #[arg(long, value_name = "SOURCE", default_value = "rendered")]
    pub data: Source,
    /// What the names of class folders mean, for folder:DIR: NAME=LABEL,... (LABEL - leaves a class out), a file with such
    /// lines, or the numbering of fer2013, raf-db or affectnet. Common spellings are understood without it.
    #[arg(long, value_name = "NAMES")]
    pub classes: Option<ClassNames>,
    /// edge, ferplus, paper, smoke, or the path of a TOML file.
    #[arg(long, default_value = "edge")]
    pub preset: String,
    /// The same seed gives the same result on one machine.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where training runs.
    #[arg(long, value_enum, default_value_t = device::Choice::Auto)]
    pub device: device::Choice,
    /// Name of the run: its files lie in RUNS/NAME, in the place of an older run's. By default made of data and preset.
    #[arg(long)]
    pub name: Option<String>,
    /// Folder of runs.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub runs: PathBuf,
    /// Goes on with what was interrupted.
    #[arg(long)]
    pub resume: bool,
    /// Weights of VGG-16 for presets with that face net: a safetensors file of VGG-Face (Parkhi et al. 2015; input BGR
    /// in 0..255 less its mean) under torchvision's names. torchvision's own ImageNet weights do not fit.
    #[arg(long, value_name = "FILE")]
    pub face_net_weights: Option<String>,
}

impl Training {
    /// The data set, with the meaning of its class folders.
    ///
    /// # Errors
    /// Bad input: `--classes` for a data set that has no class folders.
    pub fn source(&self) -> crate::Result<Source> {
        self.data.clone().with_classes(self.classes.clone())
    }

    /// The preset with what the flags change, and the device.
    ///
    /// # Errors
    /// Bad input: a preset that does not parse, a device that is not there.
    pub fn configuration(&self) -> crate::Result<(Config, Device)> {
        let mut config = Config::preset(&self.preset)?;
        if let Some(weights) = &self.face_net_weights {
            config.face_net.weights.clone_from(weights);
        }
        let device = device::choose(self.device)?;
        config.run.precision = config.run.precision.on(device);
        Ok((config, device))
    }

    /// What the data set is asked for.
    pub fn request(&self, config: &Config, limit: Option<u32>) -> Request {
        Request {
            rendered: config.run.rendered,
            limit: limit.map(|limit| limit as usize),
            calibration: config.quantize.calibration_samples,
            seed: self.seed,
        }
    }

    /// RUNS/NAME; a name that was not given is made of data, preset and `suffix`.
    pub fn folder(&self, suffix: &str) -> PathBuf {
        let stem = Path::new(&self.preset).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let kind = self.data.kind();
        self.runs.join(self.name.clone().unwrap_or_else(|| format!("{kind}-{stem}{suffix}")))
    }
}
