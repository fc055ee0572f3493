//! `host-trainer run-all`

use std::time::Instant;

use super::training::Training;
use crate::dataset;
use crate::device;
use crate::export;
use crate::net::FaceNet;
use crate::pipeline::{self, Given};
use crate::run::{self, Run};

/// Trains, quantizes, exports and proves parity: data set to bundle and report, in one run.
#[derive(clap::Args)]
pub struct Cmd {
    #[command(flatten)]
    training: Training,
    /// At most so many samples for training and calibration together.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(16..))]
    limit: Option<u32>,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Bad input, an interruption, or a parity rung that does not hold.
    pub fn run(&self) -> crate::Result<()> {
        let Training { preset, seed, resume, .. } = &self.training;
        let data = &self.training.source()?;
        let (config, device) = self.training.configuration()?;
        let asked = run::Request {
            data: data.to_string(),
            preset: preset.clone(),
            limit: self.limit,
            seed: *seed,
            resume: *resume,
            fold: None,
        };
        let run = Run::open(&self.training.folder(""), &config, asked)?;
        run.say(&format!("run {} on {}", run.folder().display(), device::name(device)));
        // Whatever is wrong with the input is said before anything of an older run goes.
        let given = Given {
            face_net: FaceNet::open(&config.face_net, device)?,
            fixed: export::Fixed::new(config.face_input(), *seed)?,
        };
        let started = Instant::now();
        let data = dataset::load(data, self.training.request(&config, self.limit))?;
        let loading = started.elapsed().as_secs_f64();
        run.start(&data)?;
        pipeline::run(&run, &config, &data, loading, given)
    }
}
