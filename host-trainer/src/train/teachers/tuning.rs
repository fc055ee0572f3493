//! Tuning of one teacher on the expression set.

use tch::{Kind, Tensor};

use super::classifier::Classifier;
use crate::config::{Config, Schedule, TeacherNet, TeacherOptimizer, TeacherSource};
use crate::dataset::Sample;
use crate::net::expression_net::{INPUT_UNIT, INPUT_ZERO, normalised};
use crate::train::checkpoint::CheckpointPlace;
use crate::train::curve::Curve;
use crate::train::optimizer::Rule;
use crate::train::stage::Stage;
use crate::train::views::{self, View, Views};
use crate::train::{faces, loss};

/// Samples measured at once.
const BATCH: usize = 64;
/// The momentum of stochastic gradient descent.
const MOMENTUM: f64 = 0.9;

/// Trains a teacher; the curve is of the centres of the held-out samples.
///
/// # Errors
/// Returns the errors of [`Stage::train`].
pub fn tune(
    net: &Classifier,
    settings: &TeacherNet,
    config: &Config,
    (samples, held_out): (&[Sample], &[Sample]),
    seed: u64,
    checkpoint: &CheckpointPlace,
) -> crate::Result<Curve> {
    let device = net.store().device();
    let kind = config.run.precision.kind();
    let ranges = Views::new(&config.augment, &config.net);
    let (votes, label) = faces::votes(samples, device);
    let (held_out_votes, held_out_label) = faces::votes(held_out, device);
    let name = format!("teacher {}", settings.name);
    let input = |samples: Vec<&Sample>, seen: &[View]| -> crate::Result<Tensor> {
        let pictures: Vec<_> = samples.iter().map(|sample| &sample.picture).collect();
        let whole = faces::face_net_input(&pictures, settings.size, device)?;
        Ok(views::sample(&whole, seen, settings.size))
    };
    Stage {
        name: &name,
        epochs: settings.epochs,
        batch: settings.batch,
        schedule: Schedule::OneCycle,
        rate: settings.rate,
        rule: match settings.optimizer {
            TeacherOptimizer::AdamW => Rule::AdamW,
            TeacherOptimizer::Sgd => Rule::Momentum(MOMENTUM),
        },
        weight_decay: settings.weight_decay,
        average: settings.average,
        patience: None,
        deadline: None,
        seed: seed ^ settings.seed.rotate_left(32),
        checkpoint,
    }
    .train(
        net.store(),
        |variable| if net.is_of_head(variable) { settings.head_rate } else { 1.0 },
        samples.len(),
        |batch, rng| {
            let drawn: Vec<_> = batch.iter().map(|_| ranges.random(rng)).collect();
            let mut faces = input(batch.iter().map(|sample| &samples[*sample as usize]).collect(), &drawn)?;
            // The face net is tuned as it is where it teaches alone.
            if settings.source != TeacherSource::FaceNet {
                let disturbed = ranges.erase(&ranges.light(&normalised(&faces), rng), rng);
                faces = disturbed * INPUT_UNIT + INPUT_ZERO;
            }
            let rows = views::indices(batch, device);
            let target = loss::target_of((&votes, &label), &rows, config.stage_two.targets);
            Ok(loss::cross_entropy(&net.forward(&faces, kind, true)?, &target))
        },
        || {
            let parts = held_out.chunks(BATCH).map(|chunk| {
                crate::interrupt::check()?;
                net.forward(&input(chunk.iter().collect(), &vec![ranges.centre(); chunk.len()])?, kind, false)
            });
            let logits = Tensor::cat(&parts.collect::<crate::Result<Vec<_>>>()?, 0).to_kind(Kind::Float);
            let loss = loss::cross_entropy(&logits, &held_out_votes).double_value(&[]);
            Ok((loss, Some(loss::share_right(&logits, &held_out_label))))
        },
    )
}
