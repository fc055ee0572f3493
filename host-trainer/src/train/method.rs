//! The paper's steps in order.

use std::time::Instant;

use expression_core::Label;
use expression_engine::bundle::Confidence;
use tch::{Kind, Tensor};

use super::adapting::{self, Memory};
use super::checkpoint::CheckpointPlace;
use super::curve::Curve;
use super::face_net_tuning::FaceClassifier;
use super::faces::Faces;
use super::start::Start;
use super::target_maps::TargetMaps;
use super::teacher::Teacher;
use super::{stage_one, stage_two, teachers};
use crate::config::{Adapt, Config};
use crate::coverage;
use crate::dataset::{self, DataSet, Sample, Source};
use crate::error::Error;
use crate::interrupt;
use crate::net::{ExpressionNet, FaceNet};
use crate::run::{self, Run};

/// What training gave.
pub struct Trained {
    /// The net after stage two, in single precision.
    pub net: ExpressionNet,
    /// Labels of its outputs that are kept, in order: those of the training samples and of the net it started from.
    pub labels: Vec<Label>,
    /// Aligned faces on which activation ranges are measured besides the calibration samples, u8 `[n, channels, aligned,
    /// aligned]`: few pictures of one's own do not show all that the net may meet.
    pub ranges: Option<Tensor>,
    /// When the net that this one started from gave no label.
    pub confidence: Option<Confidence>,
    /// Learning curves by stage, in the order they ran.
    pub curves: Vec<(String, Curve)>,
    /// Seconds by step.
    pub seconds: Vec<(String, f64)>,
}

/// Trains an expression net by the method: tunes the face net, computes its target maps, then stage one and stage two. If the
/// configuration starts from a bundle, its net is refined or adapted instead of a fresh one.
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
    if let Some(deadline) = run.deadline() {
        interrupt::end_by(Some(deadline));
    }
    if !config.teachers.is_empty() {
        let taught = teachers::teach(run, config, data, face_net)?;
        face_net = taught.face_net;
        teacher = Some(taught.teacher);
        curves.extend(taught.curves);
        clock("the teachers");
    } else if config.face_net_tuning.epochs > 0 {
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
    let kind = config.run.precision.kind();
    let start = config.start.as_ref().map(|start| Start::open(start, &config.net)).transpose()?;
    let mut net = match &start {
        Some(start) => start.net(&config.net, kind, device)?,
        None => ExpressionNet::new(&config.net, channels, Label::COUNT as i64, kind, device),
    };
    let mut labels = coverage::labels(&data.train)?;
    labels.extend(start.iter().flat_map(|start| &start.labels));
    labels.sort_unstable_by_key(|label| *label as usize);
    labels.dedup();
    let confidence = start.as_ref().and_then(|start| start.confidence);
    if let (Some(start), Some(adapt)) = (&start, &config.adapt) {
        let old = start.net(&config.net, kind, device)?;
        let targets = (adapt.face_net > 0.0)
            .then(|| {
                let path = run.path(run::TRAIN_TARGET_MAPS);
                TargetMaps::load_or_compute(&data.train, &face_net, config, run.seed(), &path, device)
            })
            .transpose()?;
        drop(face_net);
        clock("target maps");
        let others = Faces::new(&rehearsal(config, adapt, run.seed())?, input, device)?.aligned;
        let count = others.size()[0];
        if adapt.rehearsal > 0.0 && count < MIN_REHEARSAL {
            return Err(Error::BadInput(format!(
                "{count} faces to rehearse; give --rehearse a set of at least {MIN_REHEARSAL}"
            )));
        }
        let rehearsal = others.narrow(0, count / 5, count - count / 5);
        clock("rehearsal faces");
        let held_back = others.narrow(0, 0, count / 5);
        let rehearse = (adapt.rehearsal > 0.0).then_some((&rehearsal, &held_back));
        let memory = Memory { old: &old, targets: targets.as_ref(), rehearsal: rehearse };
        let checkpoint = checkpoint(run::STAGE_TWO);
        let curve = adapting::train(&net, &memory, &faces, &held_out, (config, adapt), run.seed(), &checkpoint)?;
        curves.push(("adapting".to_owned(), curve));
        clock("adapting");
        net.set_kind(Kind::Float);
        let some = rehearsal.narrow(0, 0, rehearsal.size()[0].min(RANGE_FACES));
        let ranges = Some(Tensor::cat(&[&some, &faces.aligned], 0));
        return Ok(Trained { net, labels, ranges, confidence, curves, seconds });
    }
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
    // Stage two ends in good order by itself.
    interrupt::end_by(None);
    let ending = (run.seed(), run.deadline());
    let curve = stage_two::train(&net, (&faces, teacher.as_ref()), &held_out, config, ending, &checkpoint)?;
    curves.push(("stage two".to_owned(), curve));
    clock("stage two");
    net.set_kind(Kind::Float);
    Ok(Trained { net, labels, ranges: None, confidence, curves, seconds })
}

/// The faces on which the old net's answers are kept, and on which activation ranges are measured: training samples of the
/// data set that `--rehearse` names, or rendered ones. Their labels are not used.
fn rehearsal(config: &Config, adapt: &Adapt, seed: u64) -> crate::Result<Vec<Sample>> {
    let named = config.start.as_ref().and_then(|start| start.rehearse.as_deref()).unwrap_or("rendered");
    let source: Source = named.parse().map_err(Error::BadInput)?;
    let count = adapt.rehearsal_faces;
    // Rendered people of a seed of their own: none of them is among the samples of `--data rendered`.
    let seed = seed ^ REHEARSAL_SEED;
    if let Source::Rendered(number) = source {
        let faces = number.map_or(count, |number| number.min(count));
        let people = faces.div_ceil(dataset::rendered::FACES_PER_IDENTITY) as u64;
        return Ok(dataset::rendered::draw(&dataset::rendered::open()?, seed, 0..people));
    }
    let request = dataset::Request { rendered: count, limit: Some(count), calibration: 2, seed };
    let data = dataset::load(&source, request)?;
    Ok(data.train.into_iter().chain(data.calibration).collect())
}

/// Rehearsal faces on which activation ranges are measured.
const RANGE_FACES: i64 = 256;
/// The fewest rehearsal faces: a fifth of them tells what is kept.
const MIN_REHEARSAL: i64 = 10;
/// Keeps the rehearsal's rendered people apart from those of any data set.
const REHEARSAL_SEED: u64 = 0x0E4E_A25A << 32;
