//! Teachers of several lineages: nets that are tuned on the expression set, each by its own settings, and whose answers, mixed, are
//! targets in stage two.
//!
//! On a CPU each teacher is tuned in a thread of its own with one thread of arithmetic, as many at once as there are processors:
//! two of them get far more done so than one with two threads. What a teacher learned lies in a folder beside the runs, under a key
//! of everything that it depends on: a run with another student finds its teachers there.

mod answers;
mod classifier;
mod mixture;
mod tuning;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;

use expression_engine::files;
use expression_engine::line::tell;
use serde::Serialize;
use tch::{Device, Tensor};

use super::checkpoint::CheckpointPlace;
use super::curve::Curve;
use super::faces;
use super::loss::{cross_entropy, share_right};
use super::teacher::Teacher;
use super::views::{View, Views};
use crate::config::{Config, TeacherNet, TeacherSource};
use crate::dataset::DataSet;
use crate::error::{Context, Error};
use crate::net::FaceNet;
use crate::random::rng;
use crate::run::{self, Run};

use classifier::Classifier;
pub use classifier::{DENSENET_SHA256, densenet_file, provenance};
pub use mixture::Mixture;

/// What teaching took and gave.
pub struct Taught {
    /// The mixture's answers to the training samples.
    pub teacher: Teacher,
    /// The face net: tuned if it is one of the teachers.
    pub face_net: FaceNet,
    /// The learning curve of each teacher that was tuned here, with its name.
    pub curves: Vec<(String, Curve)>,
}

/// A teacher at work: its settings, its net, and its folder.
struct Job<'a> {
    number: usize,
    settings: &'a TeacherNet,
    net: Classifier,
    checkpoint: CheckpointPlace,
}

/// What a teacher gave.
struct Done {
    number: usize,
    curve: Curve,
    /// Logits f32 of the training samples' views and of the held-out ones', `[n * views, 8]`.
    train: Tensor,
    held_out: Tensor,
    face_net: Option<FaceNet>,
}

/// Checks that the files of all teachers are there.
///
/// # Errors
/// Returns [`Error::BadInput`] if one is missing or another one than that which is pinned.
pub fn check(config: &Config) -> crate::Result<()> {
    let is_densenet = |teacher: &TeacherNet| teacher.source == TeacherSource::DenseNet121;
    if config.teachers.iter().any(is_densenet) { classifier::densenet().map(drop) } else { Ok(()) }
}

/// Tunes all teachers of `config`, or takes those that are finished, and mixes their answers.
///
/// # Errors
/// Returns an error if the run is interrupted, a file cannot be read or written, or training fails.
pub fn teach(run: &Run, config: &Config, data: &DataSet, face_net: FaceNet) -> crate::Result<Taught> {
    let device = face_net.store().device();
    let seed = run.seed();
    let views = ViewsOf { train: views_of(config, data.train.len(), seed), held_out: held_out_views(config, data) };
    let mut face_net = Some(face_net);
    let mut jobs = VecDeque::new();
    for (number, settings) in config.teachers.iter().enumerate() {
        // Fresh weights are drawn from torch's generator.
        tch::manual_seed((seed ^ settings.seed.rotate_left(32)) as i64);
        let net = Classifier::open(settings, &mut face_net, &data.train, device)?;
        let owner = key(run, config, settings);
        let folder = shared_folder(run).join(format!("{}-{}", settings.name, &owner[..12]));
        jobs.push_back(Job {
            number,
            settings,
            net,
            checkpoint: CheckpointPlace { path: folder.join(CHECKPOINT), owner },
        });
    }
    let mut done = work(jobs, device, |job| tune_and_answer(job, config, data, &views, seed))?;
    done.sort_by_key(|done| done.number);

    let tuned = done.iter_mut().find_map(|done| done.face_net.take());
    let face_net = tuned.or(face_net).context("the face net is a teacher or not")?;
    let (votes, label) = faces::votes(&data.calibration, Device::Cpu);
    let per_held_out = views.held_out.len() as i64;
    let votes = votes.repeat_interleave_self_int(per_held_out, 0, None);
    let label = label.repeat_interleave_self_int(per_held_out, 0, None);
    let held_out: Vec<Tensor> = done.iter().map(|done| done.held_out.shallow_clone()).collect();
    let mixture = Mixture::fit(&held_out, &votes);
    report(run, config, &mixture, &held_out, (&votes, &label))?;

    let train: Vec<Tensor> = done.iter().map(|done| done.train.shallow_clone()).collect();
    let per_sample = views.train.len();
    let of_samples = (0..data.train.len()).flat_map(|sample| views.train.iter().map(move |view| view[sample]));
    let teacher =
        Teacher::of_answers(mixture.probabilities(&train).to_device(device), of_samples.collect(), per_sample);
    let names = config.teachers.iter().map(|teacher| format!("teacher {}", teacher.name));
    let curves = names.zip(done.into_iter().map(|done| done.curve)).filter(|(_, curve)| !curve.is_empty()).collect();
    Ok(Taught { teacher, face_net, curves })
}

/// The file of a teacher's weights, in its folder.
const CHECKPOINT: &str = "net.safetensors";

/// The parts of the data that have answers, in names of files.
const TRAINING: &str = "training";
const HELD_OUT: &str = "held-out";

/// The views that teachers answer, by their number, then by sample.
struct ViewsOf {
    train: Vec<Vec<View>>,
    held_out: Vec<Vec<View>>,
}

/// `stage_two.teacher_views` views of each of `samples`: the centre, then random ones. A view depends on its number and on the
/// sample alone, so that answers stay good if there are to be more.
fn views_of(config: &Config, samples: usize, seed: u64) -> Vec<Vec<View>> {
    let ranges = Views::new(&config.augment, &config.net);
    let of_number = |number: usize| match number {
        0 => vec![ranges.centre(); samples],
        _ => ranges.of_samples(samples, 1, &[], &mut rng(seed, "teacher view", number as u64)),
    };
    (0..config.stage_two.teacher_views).map(of_number).collect()
}

/// The centre of each held-out sample, and its mirror image.
fn held_out_views(config: &Config, data: &DataSet) -> Vec<Vec<View>> {
    let ranges = Views::new(&config.augment, &config.net);
    [ranges.centre(), ranges.mirror()].map(|view| vec![view; data.calibration.len()]).into()
}

/// The folder of all teachers of the runs beside this one.
fn shared_folder(run: &Run) -> PathBuf {
    run.folder().with_file_name(run::SHARED_TEACHERS)
}

/// Of everything that a teacher's weights depend on: its settings, the data, and how faces are augmented. The arithmetic is left
/// out, so that a teacher that was tuned on a GPU serves a processor without bf16.
fn key(run: &Run, config: &Config, settings: &TeacherNet) -> String {
    let Config { augment, net, stage_two, face_net, .. } = config;
    let crate::config::Augment { rotation, scale, shift, mirror, brightness, contrast, erase, .. } = augment;
    let seen = (rotation, scale, shift, mirror, brightness, contrast, erase, net.size, net.aligned);
    let face_net = (settings.source == TeacherSource::FaceNet).then_some((face_net.model, &face_net.weights));
    let text = format!(
        "{} {} {settings:?} {seen:?} {:?} {face_net:?} {DENSENET_SHA256}",
        run.data_sha256(),
        run.seed(),
        stage_two.targets
    );
    files::sha256(text.as_bytes())
}

/// Tunes a teacher and lets it answer.
fn tune_and_answer(job: Job, config: &Config, data: &DataSet, views: &ViewsOf, seed: u64) -> crate::Result<Done> {
    let Job { number, settings, net, checkpoint } = job;
    let folder = checkpoint.path.parent().context("a checkpoint lies in a folder")?;
    let _lock = run::lock(folder)?;
    let (kind, owner) = (config.run.precision.kind(), checkpoint.owner.as_str());
    let answers = answers::Answers { net: &net, settings, kind, folder, owner };
    // Of a teacher that was tuned elsewhere, the answers may be all that was brought here.
    let brought = !checkpoint.path.exists()
        && settings.source != TeacherSource::FaceNet
        && answers.are_cached(&views.held_out, HELD_OUT)?
        && answers.are_cached(&views.train, TRAINING)?;
    let curve = match brought {
        true => Curve::new(),
        false => tuning::tune(&net, settings, config, (&data.train, &data.calibration), seed, &checkpoint)?,
    };
    let held_out = answers.logits(&data.calibration, &views.held_out, HELD_OUT)?;
    let train = answers.logits(&data.train, &views.train, TRAINING)?;
    Ok(Done { number, curve, train, held_out, face_net: net.into_face_net() })
}

/// Does all jobs: on a CPU several at once, each with one thread of arithmetic. If one fails, those that were begun are finished, and
/// no other is begun.
fn work(
    jobs: VecDeque<Job>,
    device: Device,
    one: impl Fn(Job) -> crate::Result<Done> + Sync,
) -> crate::Result<Vec<Done>> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let at_once = if device.is_cuda() { 1 } else { processors.min(jobs.len()) };
    let one = |job: Job| {
        let name = job.settings.name.clone();
        one(job).with_context(|| format!("teacher {name}"))
    };
    if at_once <= 1 {
        return jobs.into_iter().map(one).collect();
    }
    let before = tch::get_num_threads();
    let jobs = Mutex::new(jobs);
    let (done, failed) = (Mutex::new(Vec::new()), Mutex::new(None::<Error>));
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                // The setting is of the thread that makes it.
                tch::set_num_threads(1);
                loop {
                    if locked(&failed).is_some() {
                        return;
                    }
                    let Some(job) = locked(&jobs).pop_front() else { return };
                    match one(job) {
                        Ok(given) => locked(&done).push(given),
                        Err(error) => {
                            tell(&error);
                            locked(&failed).get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    tch::set_num_threads(before);
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line of `teachers.json`.
#[derive(Debug, Serialize)]
struct Figures<'a> {
    name: &'a str,
    weight: f64,
    temperature: f64,
    held_out_cross_entropy: f64,
    held_out_accuracy: f64,
}

/// Says how good each teacher and the mixture are on the held-out samples, and writes it down.
fn report(
    run: &Run,
    config: &Config,
    mixture: &Mixture,
    held_out: &[Tensor],
    (votes, label): (&Tensor, &Tensor),
) -> crate::Result<()> {
    let figures = |name, weight, temperature, logits: &Tensor| Figures {
        name,
        weight,
        temperature,
        held_out_cross_entropy: cross_entropy(logits, votes).double_value(&[]),
        held_out_accuracy: share_right(logits, label),
    };
    let parts = config.teachers.iter().zip(held_out).zip(mixture.weights.iter().zip(&mixture.temperatures));
    let mut rows: Vec<Figures> = parts
        .map(|((teacher, logits), (weight, temperature))| {
            figures(&teacher.name, *weight, *temperature, &(logits / *temperature))
        })
        .collect();
    rows.push(figures("mixture", 1.0, mixture.temperature, &mixture.probabilities(held_out).log()));
    for Figures { name, weight, temperature, held_out_cross_entropy, held_out_accuracy } in &rows {
        run.say(&format!(
            "teacher {name}: weight {weight:.3}, temperature {temperature:.2}; held out: cross-entropy \
             {held_out_cross_entropy:.4}, accuracy {:.1} %",
            100.0 * held_out_accuracy
        ));
    }
    Ok(files::write_bytes(&run.path(run::TEACHERS), &serde_json::to_vec_pretty(&rows)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_stays_when_there_are_to_be_more() {
        let mut config = Config::preset("smoke").unwrap();
        config.stage_two.teacher_views = 3;
        let few = views_of(&config, 5, 1);
        config.stage_two.teacher_views = 6;
        let many = views_of(&config, 5, 1);
        assert_eq!(few[..], many[..3]);
        assert_eq!(few[0], vec![Views::new(&config.augment, &config.net).centre(); 5]);
        assert!(few[1] != few[2] && few[1][0] != few[1][1] && views_of(&config, 5, 2)[1] != few[1]);
    }
}
