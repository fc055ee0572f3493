//! Adapting a trained net to few pictures of one's own: stage two, with what keeps the net from forgetting.
//!
//! The loss of a step is
//! `CE(own labels and the old net's answers) + face_net * ||B g(I) - G(I)||_p^p / ||m - G(I)||_p^p + rehearsal * CE(old net's
//! answers to other faces) + anchor / 2 * ||w - w_0||^2`; each part has its key in `[adapt]`. The second is the paper's stage one
//! at work during stage two: the face net, which has seen far more people than one's own pictures show, says which of a face's
//! features are worth responding to.

use tch::{Kind, Tensor};

use super::checkpoint::CheckpointPlace;
use super::curve::Curve;
use super::faces::Faces;
use super::loss::{cross_entropy, target};
use super::optimizer::Rule;
use super::stage::Stage;
use super::stage_one::distance;
use super::stage_two::{class_weights, measure, shift};
use super::target_maps::TargetMaps;
use super::views::{self, Views};
use crate::config::{Adapt, Config};
use crate::net::ExpressionNet;
use rand::RngExt;

/// Share of the mean of the diagonal that steadies the fit of the face net's maps.
const RIDGE: f64 = 0.1;

/// What keeps an adapted net from forgetting.
pub struct Memory<'a> {
    /// The net as it was.
    pub old: &'a ExpressionNet,
    /// The face net's target maps of one's own pictures.
    pub targets: Option<&'a TargetMaps>,
    /// Aligned faces for rehearsal, u8 `[n, channels, aligned, aligned]`.
    pub rehearsal: Option<&'a Tensor>,
}

/// A linear map from the expression net's maps to the face net's, fitted to the old net and then kept. After stage two they are no
/// longer the same maps, but what the one tells of the other is there.
struct Bridge {
    /// `[to, from, 1, 1]`.
    weight: Tensor,
    bias: Tensor,
}

impl Bridge {
    /// Ridge regression over all places of all views that have target maps.
    fn fit(net: &ExpressionNet, faces: &Faces, targets: &TargetMaps, side: i64) -> crate::Result<Bridge> {
        tch::no_grad(|| {
            let (mut gram, mut cross) = (None::<Tensor>, None::<Tensor>);
            for sample in 0..faces.len() as i64 {
                let drawn = (0..targets.per_sample()).map(|view| targets.view(sample, view));
                let (of_views, rows): (Vec<_>, Vec<_>) = drawn.unzip();
                let aligned = faces.aligned.narrow(0, sample, 1).repeat([of_views.len() as i64, 1, 1, 1]);
                let maps = net.maps(&net.input(&views::sample(&aligned, &of_views, side)), false);
                let places = |maps: &Tensor| maps.permute([1, 0, 2, 3]).flatten(1, -1).to_kind(Kind::Double);
                let (from, to) = (places(&maps), places(&targets.rows(&rows)));
                let from = Tensor::cat(&[&from, &from.narrow(0, 0, 1).ones_like()], 0);
                let add = |sum: Option<Tensor>, part: Tensor| Some(sum.map_or(part.shallow_clone(), |sum| sum + part));
                gram = add(gram, from.matmul(&from.tr()));
                cross = add(cross, from.matmul(&to.tr()));
            }
            let empty = || crate::Error::BadInput("no training samples".into());
            let (gram, cross) = (gram.ok_or_else(empty)?, cross.ok_or_else(empty)?);
            let size = gram.size()[0];
            let ridge = gram.diagonal(0, 0, 1).mean(Kind::Double) * RIDGE;
            let gram = gram + Tensor::eye(size, (Kind::Double, cross.device())) * ridge;
            let solved = Tensor::f_linalg_solve(&gram, &cross, true)?.tr().to_kind(Kind::Float);
            let weight = solved.narrow(1, 0, size - 1).contiguous().unsqueeze(-1).unsqueeze(-1);
            Ok(Bridge { weight, bias: solved.select(1, size - 1).contiguous() })
        })
    }

    fn cross(&self, maps: &Tensor) -> Tensor {
        maps.conv2d(&self.weight, Some(&self.bias), [1, 1], [0, 0], [1, 1], 1)
    }
}

/// Trains `net`, which has the old net's weights, on `faces`; the epoch with the lowest loss on `held_out` is the result.
///
/// # Errors
/// Returns the errors of [`Stage::train`].
pub fn train(
    net: &ExpressionNet,
    memory: &Memory,
    faces: &Faces,
    held_out: &Faces,
    (config, adapt): (&Config, &Adapt),
    seed: u64,
    checkpoint: &CheckpointPlace,
) -> crate::Result<Curve> {
    let stage = &config.stage_two;
    let side = config.net.size as i64;
    let ranges = Views::new(&config.augment, &config.net);
    let weights = class_weights(&faces.distribution, stage.balance);
    let bridge = memory.targets.map(|targets| Bridge::fit(memory.old, faces, targets, side)).transpose()?;
    let anchors: Vec<(Tensor, Tensor)> = net
        .store()
        .trainable_variables()
        .into_iter()
        .map(|weight| (weight.shallow_clone(), weight.detach().copy()))
        .collect();
    let layers = config.net.convolutions.len();
    let answers = |input: &Tensor| tch::no_grad(|| memory.old.logits(input, false).softmax(-1, Kind::Float));
    let curve = Stage {
        name: "adapting",
        epochs: stage.epochs,
        batch: stage.batch,
        schedule: stage.schedule,
        rate: stage.rate,
        rule: Rule::Momentum(stage.momentum),
        weight_decay: stage.weight_decay,
        average: stage.average,
        patience: Some(adapt.patience),
        deadline: None,
        seed,
        checkpoint,
    }
    .train(
        net.store(),
        |name| adapt.layer_decay.powi(distance_to_classifier(name, layers)),
        faces.len(),
        |batch, rng| {
            let device = faces.aligned.device();
            let drawn: Vec<_> = match memory.targets {
                Some(targets) => batch
                    .iter()
                    .map(|sample| targets.view(*sample, rng.random_range(0..targets.per_sample())))
                    .collect(),
                None => batch.iter().map(|_| (ranges.random(rng), 0)).collect(),
            };
            let (of_batch, map_rows): (Vec<_>, Vec<_>) = drawn.into_iter().unzip();
            let rows = views::indices(batch, device);
            let seen = net.input(&views::sample(&faces.aligned.index_select(0, &rows), &of_batch, side));
            let seen = ranges.light(&seen, rng);
            let input = ranges.erase(&seen, rng);
            let maps = net.maps(&input, true);
            let mut of_labels = target(faces, &rows, stage.targets) * &weights * (1.0 - adapt.old);
            if adapt.old > 0.0 {
                of_labels += answers(&seen) * adapt.old;
            }
            let mut loss = cross_entropy(&net.logits_of_maps(&maps, true), &of_labels);
            if let (Some(bridge), Some(targets)) = (&bridge, memory.targets) {
                let apart = distance(&bridge.cross(&maps), &targets.rows(&map_rows), config.stage_one.power);
                loss += apart / targets.spread() * adapt.face_net;
            }
            if let Some(rehearsal) = memory.rehearsal {
                let others: Vec<i64> = batch.iter().map(|_| rng.random_range(0..rehearsal.size()[0])).collect();
                let of_others: Vec<_> = others.iter().map(|_| ranges.random(rng)).collect();
                let others = rehearsal.index_select(0, &views::indices(&others, device));
                let input = ranges.light(&net.input(&views::sample(&others, &of_others, side)), rng);
                loss += cross_entropy(&net.logits(&input, true), &answers(&input)) * adapt.rehearsal;
            }
            if adapt.anchor > 0.0 {
                let apart = anchors.iter().map(|(weight, old)| (weight - old).square().sum(Kind::Float));
                loss = apart.fold(loss, |loss, apart| loss + apart * (adapt.anchor / 2.0));
            }
            Ok(loss)
        },
        || measure(net, held_out, side),
    )?;
    if stage.prior > 0.0
        && let Some(bias) = &net.classifier().bs
    {
        tch::no_grad(|| drop(bias.shallow_clone().g_add_(&shift(&weights, stage.prior))));
    }
    Ok(curve)
}

/// Layers between the classifier and the layer of a variable, by its name.
fn distance_to_classifier(name: &str, convolutions: usize) -> i32 {
    match name.split('.').next().unwrap_or_default() {
        "classifier" => 0,
        "hidden" => 1,
        "adapter" => 2,
        layer => {
            let number = layer.strip_prefix("conv").and_then(|number| number.parse::<usize>().ok()).unwrap_or(0);
            (convolutions + 3 - number.min(convolutions)) as i32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_layers_learn_fastest() {
        let names = ["classifier.weight", "hidden.bias", "adapter.weight", "conv5.weight", "conv1.weight"];
        assert_eq!(names.map(|name| distance_to_classifier(name, 5)), [0, 1, 2, 3, 7]);
    }
}
