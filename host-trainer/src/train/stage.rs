//! The training loop that all stages share.

use std::time::Instant;

use indicatif::ProgressBar;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tch::{Tensor, nn};

use super::average::Average;
use super::checkpoint::{Checkpoint, CheckpointPlace};
use super::curve::{self, Curve, Epoch};
use super::optimizer::{Optimizer, Rule};
use super::schedule::{self, Progress};
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
    /// How a gradient becomes a step.
    pub rule: Rule,
    /// Weight decay.
    pub weight_decay: f64,
    /// Share of the averaged weights that a step keeps; 0 for no averaging.
    pub average: f64,
    /// Early stopping: after so many epochs without a lower held-out loss the stage ends, and the weights of the epoch with
    /// the lowest are the result, or those that it began with. `None`: every epoch is trained, and the last one counts.
    pub patience: Option<usize>,
    /// When the stage ends at the latest: its schedule is then done sooner. `None`: after its epochs.
    pub deadline: Option<Instant>,
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
    /// Returns an error if the run is interrupted, the checkpoint does not fit, the loss is not finite, or time is up before the
    /// first step.
    pub fn train(
        &self,
        store: &nn::VarStore,
        factor: impl Fn(&str) -> f64,
        samples: usize,
        mut loss: impl FnMut(&[i64], &mut ChaCha8Rng) -> crate::Result<Tensor>,
        mut held_out: impl FnMut() -> crate::Result<HeldOut>,
    ) -> crate::Result<Curve> {
        let mut optimizer = Optimizer::new(store, &factor, self.rule, self.weight_decay);
        let mut average = (self.average > 0.0).then(|| Average::new(store, self.average));
        let mut best = self.patience.map(|_| Average::new(store, 0.0));
        let (mut curve, done) = match Checkpoint::open(&self.checkpoint.path)? {
            Some(checkpoint) => {
                let checkpoint = checkpoint.of_owner(&self.checkpoint.owner)?;
                checkpoint.restore(store, &mut optimizer, average.as_mut(), best.as_mut())?
            }
            None => (Vec::new(), None),
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
        let clock = Progress::new(self.epochs * batches, first * batches, done, self.deadline);
        for epoch in first..self.epochs {
            if self.patience.is_some_and(|patience| epochs_since(lowest, &curve) >= patience) {
                progress::line(&bar, &format!("{}: stopped, no lower held-out loss than {lowest:.4}", self.name));
                break;
            }
            if clock.is_over(epoch * batches, Instant::now()) {
                progress::line(&bar, &format!("{}: ended after {epoch} of {} epochs", self.name, self.epochs));
                break;
            }
            let begun = Instant::now();
            let (trained, mean) =
                self.epoch(epoch, samples, (&mut optimizer, average.as_mut()), &mut loss, (&clock, &bar))?;
            // Time was up before its first step.
            if trained == 0 {
                break;
            }
            let samples_per_second = trained as f64 / begun.elapsed().as_secs_f64();
            average.iter_mut().for_each(Average::swap);
            let (held_out_loss, held_out_accuracy) = tch::no_grad(&mut held_out)?;
            if let Some(best) = best.as_mut().filter(|_| held_out_loss < lowest) {
                best.update(0);
                lowest = held_out_loss;
            }
            average.iter_mut().for_each(Average::swap);
            curve.push(Epoch { loss: mean, held_out_loss, held_out_accuracy, samples_per_second });
            let done = clock.share((epoch + 1) * batches, Instant::now());
            Checkpoint::write(self.checkpoint, store, &optimizer, average.as_ref(), best.as_ref(), (&curve, done))?;
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
        let none = "no time is left for it; resume with --resume and more --max-minutes";
        ensure!(self.epochs == 0 || !curve.is_empty() || self.patience.is_some(), "{}: {none}", self.name);
        best.as_mut().or(average.as_mut()).into_iter().for_each(Average::swap);
        Ok(curve)
    }

    /// Trains one pass, or as much of it as there is time for: gives how many samples, and their mean loss.
    fn epoch(
        &self,
        epoch: usize,
        samples: usize,
        (optimizer, mut average): (&mut Optimizer, Option<&mut Average>),
        loss: &mut impl FnMut(&[i64], &mut ChaCha8Rng) -> crate::Result<Tensor>,
        (clock, bar): (&Progress, &ProgressBar),
    ) -> crate::Result<(usize, f64)> {
        let mut rng = rng(self.seed, self.name, epoch as u64);
        tch::manual_seed(rand::Rng::next_u64(&mut rng) as i64 >> 1);
        let mut order: Vec<i64> = (0..samples as i64).collect();
        order.shuffle(&mut rng);
        let batches = samples.div_ceil(self.batch);
        let (mut trained, mut sum) = (0, 0.0);
        for (step, batch) in order.chunks(self.batch).enumerate() {
            crate::interrupt::check()?;
            bar.inc(1);
            // Batch norm needs more than one sample.
            if batch.len() < 2 {
                continue;
            }
            let step = epoch * batches + step;
            let now = Instant::now();
            if clock.is_over(step, now) {
                break;
            }
            let at = clock.step(step, now);
            let rate = self.rate * schedule::factor(self.schedule, at, self.epochs * batches, batches);
            let loss = loss(batch, &mut rng)?;
            optimizer.step(&loss, rate, step);
            if let Some(average) = &mut average {
                average.update(step);
            }
            let value = loss.double_value(&[]);
            let advice = "lower its rate in the preset";
            ensure!(value.is_finite(), "{}: the loss is {value} in epoch {}; {advice}", self.name, epoch + 1);
            sum += value * batch.len() as f64;
            trained += batch.len();
        }
        Ok((trained, sum / trained.max(1) as f64))
    }
}

/// Returns a held-out loss as a resumed curve holds it, which may differ in the last bits: another processor adds in another order.
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
        // As another processor measures it.
        let measured = f64::from_bits(0.7f64.to_bits() - 1);
        assert_eq!(epochs_since(as_in_curve(measured, &curve), &curve), 1);
        assert_eq!(epochs_since(as_in_curve(0.5, &curve), &curve), 3, "before the first epoch");
        assert!(as_in_curve(f64::NAN, &curve).is_nan());
    }
}
