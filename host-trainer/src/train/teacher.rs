//! A teacher in stage two, the tuned face net or several nets ([`super::teachers`]): its answers to views of the training samples, computed once and cached
//! (Hinton et al., "Distilling the Knowledge in a Neural Network", arXiv 1503.02531).

use std::path::Path;

use expression_core::Label;
use rand::{Rng, RngExt};
use tch::{Device, Kind, Tensor};

use super::face_net_tuning::FaceClassifier;
use super::views::{self, View, Views};
use super::{cache, faces};
use crate::dataset::Sample;
use crate::progress::Counter;
use crate::random::rng;

/// Samples that go through the face net at once.
const BATCH: usize = 32;

/// What a teacher answers to the training samples.
pub struct Teacher {
    /// Probabilities, f32 `[views, 8]`: of the tuned face net, the mean of the answers to each view and to its mirror image.
    answers: Tensor,
    /// Of sample `i`, view `v` at `i * per_sample + v`.
    views: Vec<View>,
    per_sample: usize,
    /// Whether stage two sees those views alone; else the answers to a sample's centre are taken for any view of it.
    consistent: bool,
}

impl Teacher {
    /// Reads the answers of `classifier` to `samples` cached at `path`, or computes and caches them: to
    /// `stage_two.teacher_views` views of each, the first of them the centre, or to the centre alone where that is 0.
    ///
    /// # Errors
    /// Returns an error if the run is interrupted, a file cannot be read or written, or a picture is empty.
    pub fn load_or_compute(
        classifier: &FaceClassifier,
        samples: &[Sample],
        seed: u64,
        path: &Path,
    ) -> crate::Result<Teacher> {
        let config = classifier.config();
        let consistent = config.stage_two.teacher_views > 0;
        let per_sample = config.stage_two.teacher_views.max(1);
        let ranges = Views::new(&config.augment, &config.net);
        let views = ranges.of_samples(samples.len(), per_sample, &[ranges.centre()], &mut rng(seed, "teacher", 0));
        let key = cache::key(samples, classifier.net(), config, &views)?;
        let shape = [views.len() as i64, Label::COUNT as i64];
        let answer = || answer(classifier, samples, &views);
        let answers = cache::or_computed(path, &key, (&shape, Kind::Float), answer)?.to_device(classifier.device());
        Ok(Teacher { answers, views, per_sample, consistent })
    }

    /// A teacher of given answers to `per_sample` views of each sample: probabilities, f32 `[views, 8]`. Of sample `i`, view `v` is at
    /// `i * per_sample + v`.
    pub fn of_answers(answers: Tensor, views: Vec<View>, per_sample: usize) -> Teacher {
        Teacher { answers, views, per_sample, consistent: true }
    }

    /// A random view of each sample in `batch`, and the answers to them, f32 `[batch, 8]`. `jitter` is `stage_two.view_jitter`.
    pub fn draw(&self, batch: &[i64], ranges: &Views, jitter: f64, rng: &mut impl Rng) -> (Vec<View>, Tensor) {
        let of = |sample: &i64| {
            let first = sample * self.per_sample as i64;
            if !self.consistent {
                return (ranges.random(rng), first);
            }
            let row = first + rng.random_range(0..self.per_sample as i64);
            let view = ranges.mirrored_at_random(self.views[row as usize], rng);
            (ranges.jittered(view, jitter, rng), row)
        };
        let (drawn, rows): (Vec<View>, Vec<i64>) = batch.iter().map(of).unzip();
        (drawn, self.answers.index_select(0, &views::indices(&rows, self.answers.device())))
    }
}

fn answer(classifier: &FaceClassifier, samples: &[Sample], views: &[View]) -> crate::Result<Tensor> {
    let per_sample = views.len() / samples.len().max(1);
    let side = classifier.config().face_net.size;
    let mut counter = Counter::new(samples.len(), "the teacher's answers");
    let mut answers = Vec::new();
    for (chunk, of_chunk) in samples.chunks(BATCH).zip(views.chunks(BATCH * per_sample)) {
        crate::interrupt::check()?;
        let pictures: Vec<_> = chunk.iter().map(|sample| &sample.picture).collect();
        let input = faces::face_net_input(&pictures, side, classifier.device())?;
        let of_views = (0..per_sample).map(|view| {
            let seen: Vec<View> = of_chunk.iter().skip(view).step_by(per_sample).copied().collect();
            let mirrored: Vec<View> = seen.iter().copied().map(views::mirrored).collect();
            let [a, b] = [seen, mirrored].map(|seen| classifier.forward(&views::sample(&input, &seen, side), false));
            Ok((a?.softmax(-1, Kind::Float) + b?.softmax(-1, Kind::Float)) / 2.0)
        });
        let of_views = of_views.collect::<crate::Result<Vec<Tensor>>>()?;
        answers.push(Tensor::stack(&of_views, 1).flatten(0, 1).to_device(Device::Cpu));
        counter.add(chunk.len());
    }
    Ok(Tensor::cat(&answers, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// A teacher that answers 1 for class `row % 8` of the views' rows; each view shifts by its row.
    fn teacher(samples: usize, per_sample: usize, consistent: bool) -> Teacher {
        let rows = (samples * per_sample) as i64;
        let answers = Tensor::arange(rows, (Kind::Int64, Device::Cpu)).remainder(8).one_hot(8).to_kind(Kind::Float);
        let views = (0..rows).map(|row| [1.0, 0.0, row as f32, 0.0, 1.0, 0.0]).collect();
        Teacher { answers, views, per_sample, consistent }
    }

    fn classes(answers: &Tensor) -> Vec<i64> {
        answers.argmax(-1, false).try_into().unwrap()
    }

    #[test]
    fn a_consistent_teacher_answers_the_very_view_that_is_drawn() {
        let mut config = Config::preset("smoke").unwrap();
        config.augment.mirror = true;
        let ranges = Views::new(&config.augment, &config.net);
        let batch: Vec<i64> = [0, 1, 1, 0, 1].repeat(40);
        let (drawn, answers) = teacher(2, 3, true).draw(&batch, &ranges, 0.0, &mut rng(1, "draw", 0));
        let mut seen = std::collections::BTreeSet::new();
        for ((sample, view), class) in batch.iter().zip(&drawn).zip(classes(&answers)) {
            assert_eq!(view[2], class as f32, "the answer is of another view");
            assert!((sample * 3..sample * 3 + 3).contains(&class), "the answer is of another sample");
            seen.insert((class, view[0] < 0.0));
        }
        assert_eq!(seen.len(), 12, "each view and its mirror image: {seen:?}");
    }

    #[test]
    fn mirror_images_are_drawn_only_where_augmentation_has_them() {
        let mut config = Config::preset("smoke").unwrap();
        config.augment.mirror = false;
        let ranges = Views::new(&config.augment, &config.net);
        let (drawn, _) = teacher(2, 3, true).draw(&[0, 1].repeat(50), &ranges, 0.0, &mut rng(1, "draw", 0));
        assert!(drawn.iter().all(|view| view[0] > 0.0));
    }

    #[test]
    fn another_teacher_gives_one_answer_to_any_view_of_a_sample() {
        let config = Config::preset("smoke").unwrap();
        let ranges = Views::new(&config.augment, &config.net);
        let (drawn, answers) = teacher(4, 1, false).draw(&[2, 0, 2, 3], &ranges, 0.0, &mut rng(1, "draw", 0));
        assert_eq!(classes(&answers), [2, 0, 2, 3]);
        assert_ne!(drawn[0], drawn[2], "views are drawn at random");
    }
}
