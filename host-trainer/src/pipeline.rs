//! The main job, step by step: data set to bundle, parity and report.

use std::time::Instant;

use expression_core::Label;
use tch::{Device, Kind};

use crate::config::Config;
use crate::dataset::{DataSet, contact_sheet};
use crate::net::{ExpressionNet, FaceNet};
use crate::run::Run;
use crate::train::faces::Faces;
use crate::train::target_maps::TargetMaps;
use crate::train::{Curve, face_net_tuning, stage_one, stage_two};

/// What training gave.
pub struct Trained {
    /// The net after stage two.
    pub net: ExpressionNet,
    /// Of tuning the face net, where it was tuned.
    pub face_net_tuning: Curve,
    /// Of stage one.
    pub stage_one: Curve,
    /// Of stage two.
    pub stage_two: Curve,
}

/// Runs everything on a loaded data set.
///
/// # Errors
/// See the steps.
pub fn run(run: &Run, config: &Config, data: &DataSet, device: Device) -> anyhow::Result<()> {
    let started = Instant::now();
    let (train, calibration, test) = (data.train.len(), data.calibration.len(), data.test.len());
    run.say(&format!("{}: {train} training, {calibration} calibration, {test} test samples", data.name));
    contact_sheet::write(&data.train, &run.path("samples.png"))?;
    let trained = self::train(run, config, data, device)?;
    let _ = trained;
    run.say(&format!("trained in {:.0} s", started.elapsed().as_secs_f64()));
    Ok(())
}

/// The method: the face net's target maps, stage one, stage two.
///
/// # Errors
/// [`crate::interrupt::Interrupted`], bad input, or of the file system.
pub fn train(run: &Run, config: &Config, data: &DataSet, device: Device) -> anyhow::Result<Trained> {
    let input = config.face_input();
    let faces = Faces::new(&data.train, input, device)?;
    let held_out = Faces::new(&data.calibration, input, device)?;
    let face_net = FaceNet::open(&config.face_net, device)?;
    let channels = face_net.channels(&config.face_net.layer)?;

    let mut tuning = Curve::new();
    if config.face_net_tuning.epochs > 0 {
        let (train, calibration) = ((&data.train[..], &faces), (&data.calibration[..], &held_out));
        let checkpoint = run.path("face-net.safetensors");
        tuning = face_net_tuning::train(&face_net, train, calibration, config, run.seed(), &checkpoint)?;
    }

    tch::manual_seed(run.seed() as i64);
    let net = ExpressionNet::new(&config.net, channels, Label::COUNT as i64, config.run.precision.kind(), device);
    let mut curve = Curve::new();
    if config.stage_one.epochs > 0 {
        let maps = |samples, file: &str| {
            let key = format!("{:?} {}", config.face_net_tuning, run.seed());
            TargetMaps::of(samples, &face_net, &key, config, run.seed(), &run.path(file), device)
        };
        let targets = maps(&data.train, "target-maps-train.f16")?;
        let held_out_targets = maps(&data.calibration, "target-maps-calibration.f16")?;
        let checkpoint = run.path("stage-one.safetensors");
        let (of_train, of_held_out) = ((&faces, &targets), (&held_out, &held_out_targets));
        curve = stage_one::train(&net, of_train, of_held_out, config, run.seed(), &checkpoint)?;
    }
    drop(face_net);

    let refined = stage_two::train(&net, &faces, &held_out, config, run.seed(), &run.path("stage-two.safetensors"))?;
    let mut net = net;
    net.set_kind(Kind::Float);
    Ok(Trained { net, face_net_tuning: tuning, stage_one: curve, stage_two: refined })
}
