//! Tuning of the face net on the expression set before it is frozen (paper, section III-A, as we understand it). Tuned, it is
//! also the paper's second baseline, and can be a teacher in stage two ([`super::teacher`]).

use std::path::Path;

use expression_core::Label;
use tch::nn::{self, Module};
use tch::{Device, Kind, Tensor};

use super::checkpoint::{Checkpoint, CheckpointPlace};
use super::curve::Curve;
use super::faces::{self, Faces};
use super::loss;
use super::optimizer::Rule;
use super::stage::Stage;
use super::views::{self, View, Views};
use crate::config::{Config, Schedule};
use crate::dataset::Sample;
use crate::error::Error;
use crate::net::FaceNet;

/// Samples measured at once.
const BATCH: usize = 32;
/// Samples on which batch norm is measured before training.
const MEASURED: usize = 128;

/// The face net with a linear classifier on the mean of its deepest maps.
pub struct FaceClassifier<'a> {
    net: &'a FaceNet,
    head: nn::Linear,
    config: &'a Config,
}

impl FaceClassifier<'_> {
    /// With a fresh classifier, drawn from torch's generator, among the variables of `net`, and batch norm measured on the
    /// first of `samples`.
    ///
    /// # Errors
    /// Returns an error if a picture is empty.
    pub fn new<'a>(net: &'a mut FaceNet, config: &'a Config, samples: &[Sample]) -> crate::Result<FaceClassifier<'a>> {
        let some: Vec<_> = samples.iter().take(MEASURED).map(|sample| &sample.picture).collect();
        net.normalise(&faces::face_net_input(&some, config.face_net.size, net.store().device())?);
        let (channels, classes) = (net.channels(net.last())?, Label::COUNT as i64);
        let head = nn::linear(net.store().root().sub("tuning_head"), channels, classes, Default::default());
        Ok(FaceClassifier { net, head, config })
    }

    /// Trains the face net and its classifier; the curve is of the held-out samples.
    ///
    /// # Errors
    /// Returns the errors of [`Stage::train`].
    pub fn train(
        &self,
        (samples, faces): (&[Sample], &Faces),
        (held_out, held_out_faces): (&[Sample], &Faces),
        seed: u64,
        checkpoint: &CheckpointPlace,
    ) -> crate::Result<Curve> {
        let tuning = &self.config.face_net_tuning;
        let device = self.device();
        let ranges = self.views();
        Stage {
            name: "tuning the face net",
            epochs: tuning.epochs,
            batch: tuning.batch,
            schedule: Schedule::OneCycle,
            rate: tuning.rate,
            rule: Rule::Momentum(tuning.momentum),
            weight_decay: tuning.weight_decay,
            average: 0.0,
            patience: None,
            deadline: None,
            seed,
            checkpoint,
        }
        .train(
            self.net.store(),
            |_| 1.0,
            samples.len(),
            |batch, rng| {
                let drawn: Vec<_> = batch.iter().map(|_| ranges.random(rng)).collect();
                let input = self.input(batch.iter().map(|sample| &samples[*sample as usize]), &drawn)?;
                let target = loss::target(faces, &views::indices(batch, device), self.config.stage_two.targets);
                Ok(loss::cross_entropy(&self.forward(&input, true)?, &target))
            },
            || {
                let logits = self.logits(held_out, ranges.centre())?;
                let loss = loss::cross_entropy(&logits, &held_out_faces.distribution).double_value(&[]);
                Ok((loss, Some(loss::share_right(&logits, &held_out_faces.label))))
            },
        )
    }

    /// Takes the weights of a finished tuning from its checkpoint.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if it is missing, damaged or of another net.
    pub fn restore(&self, checkpoint: &Path) -> crate::Result<()> {
        let missing = || Error::BadInput(format!("{}: no such file; train again", checkpoint.display()));
        Checkpoint::open(checkpoint)?.ok_or_else(missing)?.result(self.net.store())
    }

    /// Logits `[n, 8]` of one view of each sample.
    ///
    /// # Errors
    /// Returns an error if the run is interrupted or a picture is empty.
    pub fn logits(&self, samples: &[Sample], view: View) -> crate::Result<Tensor> {
        let parts = samples.chunks(BATCH).map(|chunk| {
            crate::interrupt::check()?;
            tch::no_grad(|| self.forward(&self.input(chunk.iter(), &vec![view; chunk.len()])?, false))
        });
        Ok(Tensor::cat(&parts.collect::<crate::Result<Vec<_>>>()?, 0))
    }

    /// The view that results are reported on.
    pub fn centre(&self) -> View {
        self.views().centre()
    }

    /// Logits `[n, 8]` of the face net's input; `train` with the batch's own statistics.
    ///
    /// # Errors
    /// Returns the errors of [`FaceNet::forward`].
    pub fn forward(&self, input: &Tensor, train: bool) -> crate::Result<Tensor> {
        let maps = self.net.forward(input, self.net.last(), self.config.run.precision.kind(), train)?;
        Ok(self.head.forward(&maps.mean_dim([2i64, 3].as_slice(), false, Kind::Float)))
    }

    /// The face net's input of views of samples.
    fn input<'s>(&self, samples: impl Iterator<Item = &'s Sample>, of_samples: &[View]) -> crate::Result<Tensor> {
        let pictures: Vec<_> = samples.map(|sample| &sample.picture).collect();
        let side = self.config.face_net.size;
        Ok(views::sample(&faces::face_net_input(&pictures, side, self.device())?, of_samples, side))
    }

    fn views(&self) -> Views<'_> {
        Views::new(&self.config.augment, &self.config.net)
    }

    /// The configuration it was made by.
    pub fn config(&self) -> &Config {
        self.config
    }

    /// The face net that it classifies with.
    pub fn net(&self) -> &FaceNet {
        self.net
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        self.net.store().device()
    }
}
