//! Trains on a folder of pictures from Rust, as `host-trainer run-all --data folder:DIR` does.
//!
//!     cargo run -p host-trainer --example train_folder -- DIR runs/mine
//!
//! DIR holds one folder per class: DIR/happiness/*.png, DIR/anger/*.png, ... The bundle is RUN/bundle.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use host_trainer::config::Config;
use host_trainer::dataset::{self, Request, Source};
use host_trainer::net::FaceNet;
use host_trainer::pipeline::{self, Prerequisites};
use host_trainer::run::{self, Run};
use host_trainer::{device, export};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, run] = &arguments[..] else { return Err("usage: train_folder DIR RUN".into()) };
    // Every hyper-parameter is a field of the configuration: change what you like before the run starts.
    let config = Config::preset("edge")?;
    train(folder.as_ref(), run.as_ref(), config, "edge")
}

/// Trains on `folder` and writes everything to `run`.
fn train(folder: &Path, run: &Path, mut config: Config, preset: &str) -> Result<(), Box<dyn Error>> {
    const SEED: u64 = 1;
    let device = device::choose(device::Choice::Auto)?;
    config.run.precision = config.run.precision.on(device);

    let source: Source = format!("folder:{}", folder.display()).parse()?;
    let request = run::Request {
        data: source.to_string(),
        preset: preset.to_owned(),
        limit: None,
        seed: SEED,
        resume: false,
        overwrite: false,
        fold: None,
    };
    let mut run = Run::open(run, &config, request)?;

    // The face net that supervises the training, and the parts of the bundle that do not depend on it.
    let given = Prerequisites {
        old_test: None,
        start: None,
        rehearsal: None,
        flags: String::new(),
        face_net: FaceNet::open(&config.face_net, device)?,
        fixed: export::Fixed::new(config.face_input(), SEED)?,
        accept_rung_3: false,
        recipe: None,
    };

    let started = Instant::now();
    let calibration = config.quantize.calibration_samples;
    let data = dataset::load(&source, Request { rendered: 0, limit: None, calibration, seed: SEED })?;
    run.start(&data)?;
    // Trains, quantizes, checks parity, and writes the bundle if every rung of the parity ladder holds.
    pipeline::run(&run, &config, &data, started.elapsed().as_secs_f64(), given)?;
    println!("bundle {}", run.path("bundle").display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_classes_is_refused_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let error = train(folder.path(), &run, Config::preset("smoke").unwrap(), "smoke").unwrap_err();
        assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
        assert!(!run.exists());
    }
}
