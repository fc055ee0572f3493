//! The paper's steps in order.

use std::time::Instant;

use expression_core::Label;
use tch::Kind;

use super::checkpoint::CheckpointPlace;
use super::curve::Curve;
use super::face_net_tuning::FaceClassifier;
use super::faces::Faces;
use super::target_maps::TargetMaps;
use super::teacher::Teacher;
use super::{stage_one, stage_two};
use crate::config::Config;
use crate::dataset::DataSet;
use crate::net::{ExpressionNet, FaceNet};
use crate::run::{self, Run};

/// What training gave.
pub struct Trained {
    /// The net after stage two, in single precision.
    pub net: ExpressionNet,
    /// Learning curves by stage, in the order they ran.
    pub curves: Vec<(String, Curve)>,
    /// Seconds by step.
    pub seconds: Vec<(String, f64)>,
}

/// Trains an expression net by the method: tunes the face net, computes its target maps, then stage one and stage two.
///
/// # Errors
/// Returns an error if the run is interrupted, its input is bad, or a file cannot be read or written.
pub fn train(run: &Run, config: &Config, data: &DataSet, mut face_net: FaceNet) -> crate::Result<Trained> {
    let device = face_net.store().device();
    let (mut curves, mut seconds) = (Vec::new(), Vec::new());
    let mut started = Instant::now();
    let mut clock = |step: &str| {
        seconds.push((step.to_owned(), started.elapsed().as_secs_f64()));
        started = Instant::now();
    };
    let owner = run.key()?;
    let checkpoint = |name: &str| CheckpointPlace { path: run.path(name), owner: owner.clone() };
    let input = config.face_input();
    let faces = Faces::new(&data.train, input, device)?;
    let held_out = Faces::new(&data.calibration, input, device)?;
    let channels = face_net.channels(&config.face_net.layer)?;

    // Fresh weights are drawn from torch's generator: those of the tuning head here, those of the net below.
    tch::manual_seed(run.seed() as i64);
    let mut teacher = None;
    if config.face_net_tuning.epochs > 0 {
        let (train, calibration) = ((&data.train[..], &faces), (&data.calibration[..], &held_out));
        let classifier = FaceClassifier::new(&mut face_net, config, &data.train)?;
        let curve = classifier.train(train, calibration, run.seed(), &checkpoint(run::TUNED_FACE_NET))?;
        curves.push(("tuning the face net".to_owned(), curve));
        clock("tuning the face net");
        if config.stage_two.teacher > 0.0 {
            teacher =
                Some(Teacher::load_or_compute(&classifier, &data.train, run.seed(), &run.path(run::TEACHER_ANSWERS))?);
            clock("the teacher's answers");
        }
    }

    tch::manual_seed(run.seed() as i64);
    let mut net = ExpressionNet::new(&config.net, channels, Label::COUNT as i64, config.run.precision.kind(), device);
    if config.stage_one.epochs > 0 {
        let maps = |samples, file: &str| {
            TargetMaps::load_or_compute(samples, &face_net, config, run.seed(), &run.path(file), device)
        };
        let targets = maps(&data.train, run::TRAIN_TARGET_MAPS)?;
        let held_out_targets = maps(&data.calibration, run::CALIBRATION_TARGET_MAPS)?;
        clock("target maps");
        let checkpoint = checkpoint(run::STAGE_ONE);
        let (of_train, of_held_out) = ((&faces, &targets), (&held_out, &held_out_targets));
        let curve = stage_one::train(&net, of_train, of_held_out, config, run.seed(), &checkpoint)?;
        curves.push(("stage one".to_owned(), curve));
        clock("stage one");
    }
    drop(face_net);

    let checkpoint = checkpoint(run::STAGE_TWO);
    let curve = stage_two::train(&net, (&faces, teacher.as_ref()), &held_out, config, run.seed(), &checkpoint)?;
    curves.push(("stage two".to_owned(), curve));
    clock("stage two");
    net.set_kind(Kind::Float);
    Ok(Trained { net, curves, seconds })
}
