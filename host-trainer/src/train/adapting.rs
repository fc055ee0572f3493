//! Adapting a trained net to few pictures of one's own: stage two, with what keeps the net from forgetting.
//!
//! The loss of a step is
//! `CE(own labels and the old net's answers) + face_net * ||B g(I) - G(I)||_p^p / ||m - G(I)||_p^p + rehearsal * CE(old net's
//! answers to other faces) + anchor / 2 * ||w - w_0||^2`; each part has its key in `[adapt]`. The second is the paper's stage one
//! at work during stage two: the face net, which has seen far more people than one's own pictures show, says which of a face's
//! features are worth responding to.
//!
//! What was learnt is then mixed with the old weights, so that `keep` of the old net's answers to held-out rehearsal faces stay.

use expression_engine::line::tell;
use tch::{Kind, Tensor};

use super::checkpoint::CheckpointPlace;
use super::curve::Curve;
use super::faces::Faces;
use super::loss::{cross_entropy, target};
use super::mixing::{self, Mixture};
use super::optimizer::Rule;
use super::stage::Stage;
use super::stage_one::distance;
use super::stage_two::{self, class_weights, measure, shift};
use super::target_maps::TargetMaps;
use super::views::{self, View, Views};
use crate::config::{Adapt, Config};
use crate::net::ExpressionNet;
use crate::run;
use rand::{Rng, RngExt};

/// Share of the mean of the diagonal that steadies the fit of the face net's maps.
const RIDGE: f64 = 0.1;

/// What keeps an adapted net from forgetting.
pub struct Memory<'a> {
    /// The net as it was.
    pub old: &'a ExpressionNet,
    /// The face net's target maps of one's own pictures.
    pub targets: Option<&'a TargetMaps>,
    /// Aligned faces for rehearsal, and those that are held out from it, u8 `[n, channels, aligned, aligned]` each.
    pub rehearsal: Option<(&'a Tensor, &'a Tensor)>,
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

/// Rehearsal faces, and what the old net answers to them. Both nets see them as the board does, without augmentation, because
/// it is those answers that are to stay.
struct Rehearsal {
    /// u8 `[n, channels, side, side]`.
    faces: Tensor,
    /// To the faces and to their mirror images, f32 `[n, 8]` each.
    answers: [Tensor; 2],
}

impl Rehearsal {
    fn new(old: &ExpressionNet, aligned: &Tensor, side: i64) -> Rehearsal {
        let faces = views::centre(aligned, side).contiguous();
        let answers = |faces: &Tensor| stage_two::logits(old, faces, side).softmax(-1, Kind::Float);
        let answers = [answers(&faces), answers(&faces.flip([3]))];
        Rehearsal { faces, answers }
    }

    /// Draws `count` faces, half of them mirrored, and the answers to them.
    fn draw(&self, count: usize, rng: &mut impl Rng) -> (Tensor, Tensor) {
        let rows: Vec<i64> = (0..count).map(|_| rng.random_range(0..self.faces.size()[0])).collect();
        let (plain, mirrored) = rows.split_at(count / 2);
        let [plain, mirrored] = [plain, mirrored].map(|rows| views::indices(rows, self.faces.device()));
        let faces = [self.faces.index_select(0, &plain), self.faces.index_select(0, &mirrored).flip([3])];
        let answers = [self.answers[0].index_select(0, &plain), self.answers[1].index_select(0, &mirrored)];
        (Tensor::cat(&faces, 0), Tensor::cat(&answers, 0))
    }
}

/// The loss of a step, and what it is computed from.
struct Loss<'a> {
    net: &'a ExpressionNet,
    memory: &'a Memory<'a>,
    faces: &'a Faces,
    config: &'a Config,
    adapt: &'a Adapt,
    ranges: Views<'a>,
    /// Of the classes, f32 `[8]`.
    weights: Tensor,
    bridge: Option<Bridge>,
    /// The net's variables, each with the values that it had at the start.
    anchors: Vec<(Tensor, Tensor)>,
    rehearsal: Option<Rehearsal>,
}

impl<'a> Loss<'a> {
    fn new(
        net: &'a ExpressionNet,
        memory: &'a Memory<'a>,
        faces: &'a Faces,
        config: &'a Config,
        adapt: &'a Adapt,
    ) -> crate::Result<Loss<'a>> {
        let side = config.net.size as i64;
        let ranges = Views::new(&config.augment, &config.net);
        let weights = class_weights(&faces.distribution, config.stage_two.balance);
        let bridge = memory.targets.map(|targets| Bridge::fit(memory.old, faces, targets, side)).transpose()?;
        let anchors: Vec<(Tensor, Tensor)> = net
            .store()
            .trainable_variables()
            .into_iter()
            .map(|weight| (weight.shallow_clone(), weight.detach().copy()))
            .collect();
        let rehearsal = memory.rehearsal.map(|(faces, _)| Rehearsal::new(memory.old, faces, side));
        Ok(Loss { net, memory, faces, config, adapt, ranges, weights, bridge, anchors, rehearsal })
    }

    /// Returns the loss of a batch. Each sample is drawn several times in an epoch: draw `i` is of sample `i % samples`.
    fn of_batch(&self, draws: &[i64], rng: &mut impl Rng) -> Tensor {
        let Loss { net, memory, faces, config, adapt, .. } = self;
        let batch: Vec<i64> = draws.iter().map(|draw| draw % faces.len() as i64).collect();
        let (of_batch, map_rows) = self.draw_views(&batch, rng);
        let rows = views::indices(&batch, faces.aligned.device());
        let side = config.net.size as i64;
        let seen = net.input(&views::sample(&faces.aligned.index_select(0, &rows), &of_batch, side));
        let seen = self.ranges.light(&seen, rng);
        let input = self.ranges.erase(&seen, rng);
        let maps = net.maps(&input, true);
        let of_labels = self.targets(&rows, &seen);
        let mut loss = cross_entropy(&net.logits_of_maps(&maps, true), &of_labels);
        if let (Some(bridge), Some(targets)) = (&self.bridge, memory.targets) {
            let apart = distance(&bridge.cross(&maps), &targets.rows(&map_rows), config.stage_one.power);
            loss += apart / targets.spread() * adapt.face_net;
        }
        if let Some(rehearsal) = &self.rehearsal {
            let (others, of_old) = rehearsal.draw(adapt.rehearsal_batch, rng);
            let of_new = net.logits(&net.input(&others.to_kind(Kind::Float)), false);
            loss += cross_entropy(&of_new, &of_old) * adapt.rehearsal;
        }
        if adapt.anchor > 0.0 {
            let apart = self.anchors.iter().map(|(weight, old)| (weight - old).square().sum(Kind::Float));
            loss = apart.fold(loss, |loss, apart| loss + apart * (adapt.anchor / 2.0));
        }
        loss
    }

    /// Draws a view of each sample of a batch. Returns the views, and the rows of their target maps if there are maps.
    fn draw_views(&self, batch: &[i64], rng: &mut impl Rng) -> (Vec<View>, Vec<i64>) {
        let drawn: Vec<(View, i64)> = match self.memory.targets {
            Some(targets) => {
                batch.iter().map(|sample| targets.view(*sample, rng.random_range(0..targets.per_sample()))).collect()
            }
            None => batch.iter().map(|_| (self.ranges.random(rng), 0)).collect(),
        };
        drawn.into_iter().unzip()
    }

    /// Returns what the net is to answer, weighted by class, f32 `[n, 8]`: the labels, mixed with the old net's answers to the
    /// same input.
    fn targets(&self, rows: &Tensor, seen: &Tensor) -> Tensor {
        let Loss { memory, faces, config, adapt, .. } = self;
        let mut targets = target(faces, rows, config.stage_two.targets) * &self.weights * (1.0 - adapt.old);
        if adapt.old > 0.0 {
            let answers = tch::no_grad(|| memory.old.logits(seen, false).softmax(-1, Kind::Float));
            targets += answers * adapt.old;
        }
        targets
    }
}

/// Trains `net`, which has the old net's weights, on `faces`. The epoch with the lowest loss on `held_out`, mixed with the old
/// weights, is the result. What each mixture keeps and gives is written beside the checkpoint.
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
    let loss = Loss::new(net, memory, faces, config, adapt)?;
    let layers = config.net.convolutions.len();
    let factor = |name: &str| match is_frozen(name, adapt.frozen) {
        true => 0.0,
        false => adapt.layer_decay.powi(distance_to_classifier(name, layers)),
    };
    // Nothing is computed backwards through layers that stay as they are.
    for (name, mut variable) in net.store().variables() {
        let _ = variable.requires_grad_(factor(&name) > 0.0);
    }
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
        factor,
        faces.len() * adapt.draws.div_ceil(faces.len()),
        |draws, rng| Ok(loss.of_batch(draws, rng)),
        || measure(net, held_out, side),
    )?;
    if stage.prior > 0.0
        && let Some(bias) = &net.classifier().bs
    {
        tch::no_grad(|| drop(bias.shallow_clone().g_add_(&shift(&loss.weights, stage.prior))));
    }
    if let Some((_, rehearsal)) = memory.rehearsal {
        let (mixtures, chosen) = mixing::mix(net, &loss.anchors, (held_out, rehearsal), adapt.keep, side)?;
        let Mixture { share, kept, .. } = mixtures[chosen];
        let kept = format!("which keeps {:.1} % of the old answers to held-out rehearsal faces", 100.0 * kept);
        tell(format_args!("adapting: {:.0} % of what was learnt is mixed with the old net, {kept}", 100.0 * share));
        mixing::write_csv(&checkpoint.path.with_file_name(run::MIXTURES), &mixtures)?;
    }
    Ok(curve)
}

/// Whether a variable belongs to the first `frozen` convolutions.
fn is_frozen(name: &str, frozen: usize) -> bool {
    let layer = name.split('.').next().and_then(|layer| layer.strip_prefix("conv"));
    layer.and_then(|number| number.parse::<usize>().ok()).is_some_and(|number| number <= frozen)
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
        assert_eq!(names.map(|name| is_frozen(name, 1)), [false, false, false, false, true]);
        assert_eq!(names.map(|name| is_frozen(name, 5)), [false, false, false, true, true]);
    }

    #[test]
    fn rehearsal_draws_faces_with_the_answers_to_them() {
        let config = Config::preset("smoke").unwrap().net;
        tch::manual_seed(1);
        let old = ExpressionNet::new(&config, 3, 8, Kind::Float, tch::Device::Cpu);
        let [aligned, side] = [config.aligned, config.size].map(|side| side as i64);
        let shape = [20, config.channels as i64, aligned, aligned];
        let faces = Tensor::randint(256, shape, (Kind::Uint8, tch::Device::Cpu));
        let rehearsal = Rehearsal::new(&old, &faces, side);
        let (drawn, answers) = rehearsal.draw(9, &mut crate::random::rng(1, "draw", 0));
        let again = stage_two::logits(&old, &drawn, side).softmax(-1, Kind::Float);
        assert_eq!(drawn.size()[0], 9);
        assert!((again - answers).abs().max().double_value(&[]) < 1e-5);
    }
}
