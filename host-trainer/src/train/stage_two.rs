//! Stage two, refining: fully-connected layers are appended and everything is trained jointly with cross-entropy
//! (paper, section III-C). The face net is gone.

use std::time::Instant;

use expression_engine::line::tell;
use tch::{Kind, Tensor};

use super::checkpoint::CheckpointPlace;
use super::curve::Curve;
use super::degrade::degraded;
use super::faces::Faces;
use super::loss::{cross_entropy, share_right, shares_right, target};
use super::mix::mixed;
use super::optimizer::Rule;
use super::stage::{HeldOut, Stage};
use super::teacher::Teacher;
use super::views::{self, Views};
use crate::config::Config;
use crate::net::ExpressionNet;

/// Samples measured at once.
const BATCH: i64 = 256;

/// Trains all of `net` on `faces`; the curve is of `held_out`. `teacher`: of `faces`, for the share of the targets that the
/// configuration gives it. `deadline`: when training ends at the latest; its schedule is then done sooner.
///
/// # Errors
/// Returns the errors of [`Stage::train`].
pub fn train(
    net: &ExpressionNet,
    (faces, teacher): (&Faces, Option<&Teacher>),
    held_out: &Faces,
    config: &Config,
    (seed, deadline): (u64, Option<Instant>),
    checkpoint: &CheckpointPlace,
) -> crate::Result<Curve> {
    let stage = &config.stage_two;
    let side = config.net.size as i64;
    let ranges = Views::new(&config.augment, &config.net);
    let weights = class_weights(&faces.distribution, stage.balance);
    let curve = Stage {
        name: "stage two",
        epochs: stage.epochs,
        batch: stage.batch,
        schedule: stage.schedule,
        rate: stage.rate,
        rule: Rule::Momentum(stage.momentum),
        weight_decay: stage.weight_decay,
        average: stage.average,
        patience: None,
        deadline,
        seed,
        checkpoint,
    }
    .train(
        net.store(),
        |_| 1.0,
        faces.len(),
        |batch, rng| {
            let (drawn, answers) = match teacher {
                Some(teacher) => {
                    let (drawn, answers) = teacher.draw(batch, &ranges, config.stage_two.view_jitter, rng);
                    (drawn, Some(answers))
                }
                None => (batch.iter().map(|_| ranges.random(rng)).collect(), None),
            };
            let rows = views::indices(batch, faces.aligned.device());
            let mut seen = views::sample(&faces.aligned.index_select(0, &rows), &drawn, side);
            if let Some(degrade) = &config.augment.degrade {
                seen = degraded(&seen, degrade, rng);
            }
            let mut input = ranges.erase(&ranges.light(&net.input(&seen), rng), rng);
            let mut target = target(faces, &rows, stage.targets);
            if let Some(answers) = answers {
                target = target * (1.0 - stage.teacher) + answers * stage.teacher;
            }
            if let Some(mix) = &config.augment.mix {
                (input, target) = mixed(&input, &target, mix, rng);
            }
            let logits = net.logits(&input, true);
            Ok(cross_entropy(&logits, &(target * &weights)))
        },
        || measure(net, held_out, side),
    )?;
    if stage.balance > 0.0 {
        let logits = logits(net, &held_out.aligned, side);
        for prior in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let (right, recall) = shares_right(&(&logits + shift(&weights, prior)), &held_out.label);
            let figures = format!("accuracy {:.1} %, macro recall {:.1} %", 100.0 * right, 100.0 * recall);
            let chosen = if prior == stage.prior { ", chosen" } else { "" };
            tell(format_args!("stage two: held out with prior {prior}: {figures}{chosen}"));
        }
    }
    if stage.prior > 0.0
        && let Some(bias) = &net.classifier().bs
    {
        // Of the weights in memory: the checkpoint keeps what was trained.
        tch::no_grad(|| drop(bias.shallow_clone().g_add_(&shift(&weights, stage.prior))));
    }
    Ok(curve)
}

/// What takes a share of the class weights back from the logits, f32 `[8]`: to weigh a class's cross-entropy by w adds log w
/// to its logit (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, arXiv 2007.07314).
pub(super) fn shift(weights: &Tensor, prior: f64) -> Tensor {
    // A class without votes has no weight, and no logit worth a shift.
    let present = weights.gt(0.0).to_kind(Kind::Float);
    weights.clamp_min(1e-6).log() * present * -prior
}

/// A weight for each class, f32 `[8]`: its share of the votes in `distribution`, f32 `[n, 8]`, to the power `-balance`, such
/// that an average vote weighs 1. A class without votes weighs nothing.
pub(super) fn class_weights(distribution: &Tensor, balance: f64) -> Tensor {
    let share = distribution.mean_dim([0i64].as_slice(), false, Kind::Float);
    let rarity = share.clamp_min(1e-6).pow_tensor_scalar(-balance) * share.gt(0.0);
    let average = (&rarity * &share).sum(Kind::Float);
    rarity / average
}

/// Cross-entropy and accuracy on the centre crops of `faces`.
pub(super) fn measure(net: &ExpressionNet, faces: &Faces, side: i64) -> crate::Result<HeldOut> {
    let logits = logits(net, &faces.aligned, side);
    let loss = cross_entropy(&logits, &faces.distribution).double_value(&[]);
    Ok((loss, Some(share_right(&logits, &faces.label))))
}

/// Logits `[n, classes]` of the centre crops of aligned faces, u8 `[n, channels, aligned, aligned]`.
pub fn logits(net: &ExpressionNet, aligned: &Tensor, side: i64) -> Tensor {
    let count = aligned.size()[0];
    let parts: Vec<Tensor> = (0..count)
        .step_by(BATCH as usize)
        .map(|first| {
            let part = aligned.narrow(0, first, BATCH.min(count - first));
            tch::no_grad(|| net.logits(&net.input(&views::centre(&part, side)), false))
        })
        .collect();
    Tensor::cat(&parts, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prior_of_one_takes_the_weights_back() {
        let weights = Tensor::from_slice(&[0.5f32, 2.0, 1.0, 0.0]);
        let back: Vec<f32> = (weights.shallow_clone() * shift(&weights, 1.0).exp()).try_into().unwrap();
        assert!(back.iter().zip([1.0, 1.0, 1.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-5), "{back:?}");
        assert_eq!(shift(&weights, 0.0).abs().sum(Kind::Float).double_value(&[]), 0.0);
    }

    #[test]
    fn rare_classes_weigh_more_by_the_power_of_their_rarity() {
        let mut shares = [0f32; 8];
        shares[..3].copy_from_slice(&[0.75, 0.24, 0.01]);
        let distribution = Tensor::from_slice(&shares).view([1, 8]);
        let weights = |balance| Vec::<f32>::try_from(class_weights(&distribution, balance)).unwrap();
        assert_eq!(weights(0.0)[..4], [1.0, 1.0, 1.0, 0.0]);
        let half = weights(0.5);
        assert!((half[2] / half[0] - 75f32.sqrt()).abs() < 1e-3, "{half:?}");
        let votes: f32 = weights(1.0).iter().zip(shares).map(|(weight, share)| weight * share).sum();
        assert!((votes - 1.0).abs() < 1e-5 && (weights(1.0)[2] - 100.0 / 3.0).abs() < 1e-2);
    }
}
