//! Tuning of the face net on the expression set before it is frozen (paper, section III-A, as we understand it).

use std::path::Path;

use expression_core::Label;
use tch::nn::{self, Module};
use tch::{Device, Kind, Tensor};

use super::faces::{self, Faces};
use super::views::{self, Views};
use super::{Curve, Stage, schedule::Schedule, stage_two};
use crate::config::Config;
use crate::dataset::Sample;
use crate::net::{FaceNet, face_net};

/// Samples measured at once.
const BATCH: usize = 32;

/// Trains the face net, up to the supervising layer, with a linear classifier on the mean of its maps.
///
/// # Errors
/// As [`Stage::train`].
pub fn train(
    net: &FaceNet,
    (samples, faces): (&[Sample], &Faces),
    (held_out, held_out_faces): (&[Sample], &Faces),
    config: &Config,
    seed: u64,
    checkpoint: &Path,
) -> anyhow::Result<Curve> {
    let tuning = &config.face_net_tuning;
    let device = faces.label.device();
    let head = nn::linear(
        net.store().root().sub("tuning_head"),
        net.channels(&config.face_net.layer)?,
        Label::COUNT as i64,
        Default::default(),
    );
    let ranges = Views::new(&config.augment, &config.net);
    let logits = |input: &Tensor| -> anyhow::Result<Tensor> {
        let maps = net.maps(input, &config.face_net.layer, config.run.precision.kind())?;
        Ok(head.forward(&maps.mean_dim([2i64, 3].as_slice(), false, Kind::Float)))
    };
    Stage {
        name: "tuning the face net",
        epochs: tuning.epochs,
        batch: tuning.batch,
        schedule: Schedule::OneCycle,
        rate: tuning.rate,
        momentum: tuning.momentum,
        weight_decay: tuning.weight_decay,
        seed,
        checkpoint,
    }
    .train(
        net.store(),
        |_| true,
        samples.len(),
        |batch, rng| {
            let drawn: Vec<_> = batch.iter().map(|_| ranges.random(rng)).collect();
            let input = input(batch.iter().map(|sample| &samples[*sample as usize]), &drawn, device)?;
            let target = stage_two::target(faces, &views::indices(batch, device), config.stage_two.targets);
            Ok(stage_two::cross_entropy(&logits(&input)?, &target))
        },
        || {
            let (mut loss, mut right, count) = (0.0, 0.0, held_out.len());
            for (number, chunk) in held_out.chunks(BATCH).enumerate() {
                let views = vec![ranges.centre(); chunk.len()];
                let input = input(chunk.iter(), &views, device)?;
                let logits = logits(&input)?;
                let rows: Vec<i64> = (number * BATCH..number * BATCH + chunk.len()).map(|row| row as i64).collect();
                let rows = views::indices(&rows, device);
                let target = held_out_faces.distribution.index_select(0, &rows);
                loss += stage_two::cross_entropy(&logits, &target).double_value(&[]) * chunk.len() as f64;
                let label = held_out_faces.label.index_select(0, &rows);
                right += logits.argmax(-1, false).eq_tensor(&label).sum(Kind::Float).double_value(&[]);
            }
            Ok((loss / count as f64, Some(right / count as f64)))
        },
    )
}

/// The face net's input of views of samples.
fn input<'a>(
    samples: impl Iterator<Item = &'a Sample>,
    of_samples: &[views::View],
    device: Device,
) -> anyhow::Result<Tensor> {
    let pictures: Vec<_> = samples.map(|sample| &sample.picture).collect();
    Ok(views::sample(&faces::face_net_input(&pictures, device)?, of_samples, face_net::SIZE))
}
