//! Stage one, pre-training: maximum likelihood under p(g(I)) = C_p exp(-||g(I) - G(I)||_p^p) (paper, section III-B).
//!
//! No labels are used. The face net's response is the target of the expression net's last convolution.

use rand::RngExt;
use tch::{Kind, Tensor};

use super::checkpoint::CheckpointPlace;
use super::curve::Curve;
use super::faces::Faces;
use super::optimizer::Rule;
use super::stage::Stage;
use super::target_maps::TargetMaps;
use super::views::{self, Views};
use crate::config::Config;
use crate::net::ExpressionNet;

/// Samples measured at once between epochs.
const BATCH: usize = 256;

/// Trains g of `net` on `faces` against `targets`; of `held_out` samples the centre view is measured.
///
/// The loss that is reported is relative, `||g(I) - G(I)||_p^p / ||m - G(I)||_p^p`, where m is each channel's mean: a net that
/// always answers the mean has 1. It is the paper's loss times a constant of the data, so that one learning rate serves every
/// face net and layer. Of the power of MobileNetV1's maps nine tenths are their mean (docs/results.md): so that the epochs are
/// spent on the rest, g starts with each channel's mean and deviation ([`ExpressionNet::respond_like`]).
///
/// # Errors
/// Returns the errors of [`Stage::train`].
pub fn train(
    net: &ExpressionNet,
    (faces, targets): (&Faces, &TargetMaps),
    (held_out, held_out_targets): (&Faces, &TargetMaps),
    config: &Config,
    seed: u64,
    checkpoint: &CheckpointPlace,
) -> crate::Result<Curve> {
    let stage = &config.stage_one;
    let side = config.net.size as i64;
    let ranges = Views::new(&config.augment, &config.net);
    let (mean, deviation) = targets.channels();
    net.respond_like(mean, deviation);
    Stage {
        name: "stage one",
        epochs: stage.epochs,
        batch: stage.batch,
        schedule: stage.schedule,
        rate: stage.rate,
        rule: Rule::Momentum(stage.momentum),
        weight_decay: stage.weight_decay,
        average: 0.0,
        patience: None,
        deadline: None,
        seed,
        checkpoint,
    }
    .train(
        net.store(),
        |name| f64::from(u8::from(ExpressionNet::is_convolutional(name))),
        faces.len(),
        |batch, rng| {
            let drawn: Vec<_> =
                batch.iter().map(|sample| targets.view(*sample, rng.random_range(0..targets.per_sample()))).collect();
            let (of_batch, rows): (Vec<_>, Vec<_>) = drawn.into_iter().unzip();
            let aligned = faces.aligned.index_select(0, &views::indices(batch, faces.aligned.device()));
            let input = net.input(&views::sample(&aligned, &of_batch, side));
            let input = ranges.light(&input, rng);
            Ok(distance(&net.maps(&input, true), &targets.rows(&rows), stage.power) / targets.spread())
        },
        || {
            let count = held_out.len() as i64;
            let mut sum = 0.0;
            for first in (0..count).step_by(BATCH) {
                let length = (BATCH as i64).min(count - first);
                let input = net.input(&views::centre(&held_out.aligned.narrow(0, first, length), side));
                let rows: Vec<i64> = (first..first + length).map(|sample| held_out_targets.view(sample, 0).1).collect();
                let loss = distance(&net.maps(&input, false), &held_out_targets.rows(&rows), stage.power);
                sum += loss.double_value(&[]) * length as f64;
            }
            Ok((sum / count as f64 / held_out_targets.spread(), None))
        },
    )
}

/// Mean over all values of `|g - G|^p`.
pub(super) fn distance(maps: &Tensor, targets: &Tensor, p: f64) -> Tensor {
    (maps - targets).abs().pow_tensor_scalar(p).mean(Kind::Float)
}
