//! The training loop that all stages share.

use std::time::Instant;

use indicatif::ProgressBar;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tch::{Tensor, nn};

use super::average::Average;
use super::checkpoint::{Checkpoint, CheckpointPlace};
use super::curve::{self, Curve, Epoch};
use super::optimizer::Optimizer;
use super::schedule;
use crate::config::Schedule;
use crate::error::ensure;
use crate::progress;
use crate::random::rng;
use crate::run;

/// One stage of training: how long, how fast, from which checkpoint.
pub struct Stage<'a> {
    /// Name, for progress and seeds.
    pub name: &'a str,
    /// Passes over the samples.
    pub epochs: usize,
    /// Batch size: samples per step.
    pub batch: usize,
    /// How the rate changes.
    pub schedule: Schedule,
    /// The highest rate.
    pub rate: f64,
    /// Momentum.
    pub momentum: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Share of the averaged weights that a step keeps; 0 for no averaging.
    pub average: f64,
    /// Early stopping: after so many epochs without a lower held-out loss the stage ends, and the weights of the epoch with
    /// the lowest are the result, or those that it began with. `None`: every epoch is trained, and the last one counts.
    pub patience: Option<usize>,
    /// Seed of the run.
    pub seed: u64,
    /// Written after every epoch; an interrupted stage resumes from it.
    pub checkpoint: &'a CheckpointPlace,
}

/// Loss and, if the stage classifies, accuracy on the calibration samples.
pub type HeldOut = (f64, Option<f64>);

impl Stage<'_> {
    /// Trains the variables of `store`, each at the stage's learning rate times its `factor`, by its name; those with 0 are
    /// not trained. With averaging, the averaged weights are what is measured and what `store` holds in the end.
    ///
    /// `loss` gives the loss of a batch of sample indices; `held_out` measures the net between epochs. The generators of
    /// an epoch are seeded by the run's seed, the stage's name and the epoch, so that a resumed run repeats what an
    /// uninterrupted one does.
    ///
    /// # Errors
    /// Returns an error if the run is interrupted, the checkpoint does not fit, or the loss is not finite.
    pub fn train(
        &self,
        store: &nn::VarStore,
        factor: impl Fn(&str) -> f64,
        samples: usize,
        mut loss: impl FnMut(&[i64], &mut ChaCha8Rng) -> crate::Result<Tensor>,
        mut held_out: impl FnMut() -> crate::Result<HeldOut>,
    ) -> crate::Result<Curve> {
        let mut optimizer = Optimizer::new(store, &factor, self.momentum, self.weight_decay);
        let mut average = (self.average > 0.0).then(|| Average::new(store, self.average));
        let mut best = self.patience.map(|_| Average::new(store, 0.0));
        let mut curve = match Checkpoint::open(&self.checkpoint.path)? {
            Some(checkpoint) => {
                let checkpoint = checkpoint.of_owner(&self.checkpoint.owner)?;
                checkpoint.restore(store, &mut optimizer, average.as_mut(), best.as_mut())?
            }
            None => Vec::new(),
        };
        // Of the weights that the stage began with, or of the best ones in the checkpoint.
        best.iter_mut().for_each(Average::swap);
        let measured = if best.is_some() { tch::no_grad(&mut held_out)?.0 } else { f64::NAN };
        let mut lowest = as_in_curve(measured, &curve);
        best.iter_mut().for_each(Average::swap);
        let batches = samples.div_ceil(self.batch);
        let started = Instant::now();
        let (first, bar) = (curve.len(), progress::bar((self.epochs * batches) as u64, self.name));
        bar.set_position((first * batches) as u64);
        for epoch in first..self.epochs {
            if self.patience.is_some_and(|patience| epochs_since(lowest, &curve) >= patience) {
                progress::line(&bar, &format!("{}: stopped, no lower held-out loss than {lowest:.4}", self.name));
                break;
            }
            let (mean, seconds) = self.epoch(epoch, samples, (&mut optimizer, average.as_mut()), &mut loss, &bar)?;
            average.iter_mut().for_each(Average::swap);
            let (held_out_loss, held_out_accuracy) = tch::no_grad(&mut held_out)?;
            if let Some(best) = best.as_mut().filter(|_| held_out_loss < lowest) {
                best.update(0);
                lowest = held_out_loss;
            }
            average.iter_mut().for_each(Average::swap);
            let samples_per_second = samples as f64 / seconds;
            curve.push(Epoch { loss: mean, held_out_loss, held_out_accuracy, samples_per_second });
            Checkpoint::write(self.checkpoint, store, &optimizer, average.as_ref(), best.as_ref(), &curve)?;
            curve::write_csv(&self.checkpoint.path.with_file_name(run::CURVES), self.name, &curve)?;
            let accuracy = held_out_accuracy.map(|share| format!(", accuracy {:.1} %", 100.0 * share));
            let left = progress::left(epoch + 1 - first, self.epochs - first, started.elapsed());
            progress::line(
                &bar,
                &format!(
                    "{} epoch {}/{}: loss {mean:.4}; held out: loss {held_out_loss:.4}{}; {left} left",
                    self.name,
                    epoch + 1,
                    self.epochs,
                    accuracy.unwrap_or_default()
                ),
            );
        }
        bar.finish_and_clear();
        best.as_mut().or(average.as_mut()).into_iter().for_each(Average::swap);
        Ok(curve)
    }

    /// Mean loss of one pass, and its seconds.
    fn epoch(
        &self,
        epoch: usize,
        samples: usize,
        (optimizer, mut average): (&mut Optimizer, Option<&mut Average>),
        loss: &mut impl FnMut(&[i64], &mut ChaCha8Rng) -> crate::Result<Tensor>,
        bar: &ProgressBar,
    ) -> crate::Result<(f64, f64)> {
        let mut rng = rng(self.seed, self.name, epoch as u64);
        tch::manual_seed(rand::Rng::next_u64(&mut rng) as i64 >> 1);
        let mut order: Vec<i64> = (0..samples as i64).collect();
        order.shuffle(&mut rng);
        let batches = samples.div_ceil(self.batch);
        let (started, mut sum) = (Instant::now(), 0.0);
        for (step, batch) in order.chunks(self.batch).enumerate() {
            crate::interrupt::check()?;
            bar.inc(1);
            // Batch norm needs more than one sample.
            if batch.len() < 2 {
                continue;
            }
            let rate =
                self.rate * schedule::factor(self.schedule, epoch * batches + step, self.epochs * batches, batches);
            let loss = loss(batch, &mut rng)?;
            optimizer.step(&loss, rate);
            if let Some(average) = &mut average {
                average.update(epoch * batches + step);
            }
            let value = loss.double_value(&[]);
            let advice = "lower its rate in the preset";
            ensure!(value.is_finite(), "{}: the loss is {value} in epoch {}; {advice}", self.name, epoch + 1);
            sum += value * batch.len() as f64;
        }
        Ok((sum / samples as f64, started.elapsed().as_secs_f64()))
    }
}

/// Returns a held-out loss as a resumed curve holds it, which may differ in the last bits: it has been through JSON.
fn as_in_curve(loss: f64, curve: &Curve) -> f64 {
    let same = |epoch: &&Epoch| (epoch.held_out_loss - loss).abs() <= 1e-6 * loss.abs();
    curve.iter().find(same).map_or(loss, |epoch| epoch.held_out_loss)
}

/// How many epochs ago the held-out loss was `lowest`: all of them if it was before the first.
fn epochs_since(lowest: f64, curve: &Curve) -> usize {
    curve.iter().rev().take_while(|epoch| epoch.held_out_loss > lowest).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_stage_finds_its_best_epoch_in_the_curve() {
        let epoch =
            |held_out_loss| Epoch { loss: 1.0, held_out_loss, held_out_accuracy: None, samples_per_second: 9.0 };
        let curve = vec![epoch(0.9), epoch(0.7), epoch(0.8)];
        // As it was measured before it was written and read.
        let measured = f64::from_bits(0.7f64.to_bits() - 1);
        assert_eq!(epochs_since(as_in_curve(measured, &curve), &curve), 1);
        assert_eq!(epochs_since(as_in_curve(0.5, &curve), &curve), 3, "before the first epoch");
        assert!(as_in_curve(f64::NAN, &curve).is_nan());
    }
}
