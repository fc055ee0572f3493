//! The paper's steps in order.

use std::time::Instant;

use expression_core::Label;
use expression_engine::bundle::Confidence;
use tch::{Device, Kind, Tensor};

use super::adapting::{self, Memory};
use super::checkpoint::CheckpointPlace;
use super::curve::Curve;
use super::face_net_tuning::FaceClassifier;
use super::faces::Faces;
use super::start::Start;
use super::target_maps::TargetMaps;
use super::teacher::Teacher;
use super::{stage_one, stage_two, teachers};
use crate::config::{self, Adapt, Config};
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
/// configuration starts from a bundle, its net is refined or adapted instead of a fresh one; `rehearsal` is what
/// [`Rehearsal::read`] gave.
///
/// # Errors
/// Returns an error if the run is interrupted, its input is bad, or a file cannot be read or written.
pub fn train(
    run: &Run,
    config: &Config,
    data: &DataSet,
    face_net: FaceNet,
    rehearsal: Option<Rehearsal>,
) -> crate::Result<Trained> {
    let device = face_net.store().device();
    let mut training = Training::new(run, config, data, device)?;
    let channels = face_net.channels(&config.face_net.layer)?;

    // Fresh weights are drawn from torch's generator: those of the tuning head here, those of the net below.
    tch::manual_seed(run.seed() as i64);
    if let Some(deadline) = run.deadline() {
        interrupt::end_by(Some(deadline));
    }
    let (face_net, teacher) = training.tune(face_net)?;

    tch::manual_seed(run.seed() as i64);
    let kind = config.run.precision.kind();
    let start = config.start.as_ref().map(|start| Start::open(start, &config.net)).transpose()?;
    let mut net = match &start {
        Some(start) => start.net(&config.net, kind, device)?,
        None => ExpressionNet::new(&config.net, channels, Label::COUNT as i64, kind, device),
    };
    let labels = kept_labels(&data.train, start.as_ref())?;
    let ranges = if let (Some(start), Some(adapt)) = (&start, &config.adapt) {
        Some(training.adapt(&net, start, adapt, face_net, rehearsal)?)
    } else {
        if config.stage_one.epochs > 0 {
            training.stage_one(&net, &face_net)?;
        }
        drop(face_net);
        training.stage_two(&net, teacher.as_ref())?;
        None
    };
    net.set_kind(Kind::Float);
    let confidence = start.and_then(|start| start.confidence);
    let Training { curves, seconds, .. } = training;
    Ok(Trained { net, labels, ranges, confidence, curves, seconds })
}

/// The steps of a run's training, and what they have given so far.
struct Training<'a> {
    run: &'a Run,
    config: &'a Config,
    data: &'a DataSet,
    /// What checkpoints belong to.
    owner: String,
    device: Device,
    /// The training samples.
    faces: Faces,
    /// The calibration samples.
    held_out: Faces,
    curves: Vec<(String, Curve)>,
    seconds: Vec<(String, f64)>,
    /// When the current step began.
    started: Instant,
}

impl<'a> Training<'a> {
    fn new(run: &'a Run, config: &'a Config, data: &'a DataSet, device: Device) -> crate::Result<Training<'a>> {
        let started = Instant::now();
        let owner = run.key()?;
        let faces = Faces::new(&data.train, config.face_input(), device)?;
        let held_out = Faces::new(&data.calibration, config.face_input(), device)?;
        let (curves, seconds) = (Vec::new(), Vec::new());
        Ok(Training { run, config, data, owner, device, faces, held_out, curves, seconds, started })
    }

    /// Ends the current step.
    fn clock(&mut self, step: &str) {
        self.seconds.push((step.to_owned(), self.started.elapsed().as_secs_f64()));
        self.started = Instant::now();
    }

    /// Ends the current step, which had a learning curve.
    fn clock_with_curve(&mut self, step: &str, curve: Curve) {
        self.curves.push((step.to_owned(), curve));
        self.clock(step);
    }

    fn checkpoint(&self, name: &str) -> CheckpointPlace {
        CheckpointPlace { path: self.run.path(name), owner: self.owner.clone() }
    }

    fn target_maps(&self, samples: &[Sample], face_net: &FaceNet, file: &str) -> crate::Result<TargetMaps> {
        let (seed, path) = (self.run.seed(), self.run.path(file));
        TargetMaps::load_or_compute(samples, face_net, self.config, seed, &path, self.device)
    }

    /// Tunes the teachers, or else the face net if the configuration says so. Returns the face net, and the teacher of stage two
    /// if it has one.
    fn tune(&mut self, mut face_net: FaceNet) -> crate::Result<(FaceNet, Option<Teacher>)> {
        let Training { run, config, data, .. } = *self;
        if !config.teachers.is_empty() {
            let taught = teachers::teach(run, config, data, face_net)?;
            self.curves.extend(taught.curves);
            self.clock("the teachers");
            return Ok((taught.face_net, Some(taught.teacher)));
        }
        if config.face_net_tuning.epochs == 0 {
            return Ok((face_net, None));
        }
        let classifier = FaceClassifier::new(&mut face_net, config, &data.train)?;
        let (train, held_out) = ((&data.train[..], &self.faces), (&data.calibration[..], &self.held_out));
        let curve = classifier.train(train, held_out, run.seed(), &self.checkpoint(run::TUNED_FACE_NET))?;
        self.clock_with_curve("tuning the face net", curve);
        let mut teacher = None;
        if config.stage_two.teacher > 0.0 {
            let path = run.path(run::TEACHER_ANSWERS);
            teacher = Some(Teacher::load_or_compute(&classifier, &data.train, run.seed(), &path)?);
            self.clock("the teacher's answers");
        }
        Ok((face_net, teacher))
    }

    /// Adapts `net`, which has the weights of `start`. Returns aligned faces on which activation ranges are to be measured.
    fn adapt(
        &mut self,
        net: &ExpressionNet,
        start: &Start,
        adapt: &Adapt,
        face_net: FaceNet,
        rehearsal: Option<Rehearsal>,
    ) -> crate::Result<Tensor> {
        let Training { run, config, data, device, .. } = *self;
        let old = start.net(&config.net, config.run.precision.kind(), device)?;
        let targets = (adapt.face_net > 0.0)
            .then(|| self.target_maps(&data.train, &face_net, run::TRAIN_TARGET_MAPS))
            .transpose()?;
        drop(face_net);
        self.clock("target maps");
        let faces = rehearsal.map_or_else(|| rendered_rehearsal(config, adapt, run.seed()), |named| Ok(named.faces))?;
        let aligned = Faces::new(&faces, config.face_input(), device)?.aligned;
        drop(faces);
        let [rehearsal, held_back] = held_back(&aligned);
        self.clock("rehearsal faces");
        let rehearse = (adapt.rehearsal > 0.0).then_some((&rehearsal, &held_back));
        let memory = Memory { old: &old, targets: targets.as_ref(), rehearsal: rehearse };
        let (faces, held_out) = (&self.faces, &self.held_out);
        let checkpoint = self.checkpoint(run::STAGE_TWO);
        let curve = adapting::train(net, &memory, faces, held_out, (config, adapt), run.seed(), &checkpoint)?;
        self.clock_with_curve("adapting", curve);
        let some = rehearsal.narrow(0, 0, rehearsal.size()[0].min(RANGE_FACES));
        Ok(Tensor::cat(&[&some, &self.faces.aligned], 0))
    }

    fn stage_one(&mut self, net: &ExpressionNet, face_net: &FaceNet) -> crate::Result<()> {
        let Training { run, config, data, .. } = *self;
        let targets = self.target_maps(&data.train, face_net, run::TRAIN_TARGET_MAPS)?;
        let held_out_targets = self.target_maps(&data.calibration, face_net, run::CALIBRATION_TARGET_MAPS)?;
        self.clock("target maps");
        let checkpoint = self.checkpoint(run::STAGE_ONE);
        let (train, held_out) = ((&self.faces, &targets), (&self.held_out, &held_out_targets));
        let curve = stage_one::train(net, train, held_out, config, run.seed(), &checkpoint)?;
        self.clock_with_curve("stage one", curve);
        Ok(())
    }

    fn stage_two(&mut self, net: &ExpressionNet, teacher: Option<&Teacher>) -> crate::Result<()> {
        let Training { run, config, .. } = *self;
        let checkpoint = self.checkpoint(run::STAGE_TWO);
        // Stage two ends in good order by itself.
        interrupt::end_by(None);
        let ending = (run.seed(), run.deadline());
        let curve = stage_two::train(net, (&self.faces, teacher), &self.held_out, config, ending, &checkpoint)?;
        self.clock_with_curve("stage two", curve);
        Ok(())
    }
}

/// Returns the labels of the net's outputs that are kept, in order: those of the training samples and of the net it starts from.
fn kept_labels(samples: &[Sample], start: Option<&Start>) -> crate::Result<Vec<Label>> {
    let mut labels = coverage::labels(samples)?;
    labels.extend(start.into_iter().flat_map(|start| &start.labels));
    labels.sort_unstable_by_key(|label| *label as usize);
    labels.dedup();
    Ok(labels)
}

/// The faces that `--rehearse` names, on which the old net's answers are kept and activation ranges are measured.
pub struct Rehearsal {
    /// Where they come from and under which terms.
    pub source: String,
    faces: Vec<Sample>,
}

impl Rehearsal {
    /// Reads them, so that a bad set is reported before anything is written: training samples of a data set, whose labels are not
    /// used, or the pictures of a folder without class folders. `None` if the net is not adapted, or if they are rendered, which
    /// [`train`] does.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if the set is bad input or has too few faces.
    pub fn read(config: &Config, seed: u64) -> crate::Result<Option<Rehearsal>> {
        let (Some(start), Some(adapt)) = (&config.start, &config.adapt) else { return Ok(None) };
        let source = rehearsed(start)?;
        if matches!(source, Source::Rendered(_)) {
            return Ok(None);
        }
        let (count, seed) = (adapt.rehearsal_faces, seed ^ REHEARSAL_SEED);
        let unlabelled = match &source {
            Source::Folder(folder, _) => dataset::folder::unlabelled(folder, count, seed)?,
            _ => None,
        };
        let rehearsal = match unlabelled {
            Some(part) => Rehearsal { source: part.source, faces: part.samples },
            None => {
                let request = dataset::Request { rendered: count, limit: Some(count), calibration: 2, seed };
                let DataSet { source, train, calibration, .. } = dataset::load(&source, request)?;
                Rehearsal { source, faces: train.into_iter().chain(calibration).collect() }
            }
        };
        match rehearsal.faces.len() {
            count @ ..MIN_REHEARSAL => Err(Error::BadInput(format!(
                "{count} faces to rehearse; give --rehearse a set of at least {MIN_REHEARSAL}"
            ))),
            _ => Ok(Some(rehearsal)),
        }
    }
}

/// The data set that `--rehearse` names; rendered people if it was not given.
fn rehearsed(start: &config::Start) -> crate::Result<Source> {
    start.rehearse.as_deref().unwrap_or("rendered").parse().map_err(Error::BadInput)
}

/// Rendered people of a seed of their own: none of them is among the samples of `--data rendered`.
fn rendered_rehearsal(config: &Config, adapt: &Adapt, seed: u64) -> crate::Result<Vec<Sample>> {
    let number = match config.start.as_ref().map(rehearsed).transpose()? {
        Some(Source::Rendered(Some(number))) => number.min(adapt.rehearsal_faces),
        _ => adapt.rehearsal_faces,
    };
    let people = number.div_ceil(dataset::rendered::FACES_PER_IDENTITY) as u64;
    let faces = dataset::rendered::draw(&dataset::rendered::open()?, seed ^ REHEARSAL_SEED, 0..people);
    // After Ctrl-C there are fewer.
    interrupt::check_signal()?;
    Ok(faces)
}

/// Returns the faces to rehearse, and a fifth that is held back from them, u8 `[n, channels, aligned, aligned]` each.
fn held_back(faces: &Tensor) -> [Tensor; 2] {
    let count = faces.size()[0];
    let held_back = count / 5;
    [faces.narrow(0, held_back, count - held_back), faces.narrow(0, 0, held_back)]
}

/// Rehearsal faces on which activation ranges are measured.
const RANGE_FACES: i64 = 256;
/// The fewest rehearsal faces: a fifth of them tells what is kept.
const MIN_REHEARSAL: usize = 10;
/// Keeps the rehearsal's rendered people apart from those of any data set.
const REHEARSAL_SEED: u64 = 0x0E4E_A25A << 32;
