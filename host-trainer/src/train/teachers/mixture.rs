//! How much each teacher says: temperatures and weights that fit the held-out samples best.

use tch::{Kind, Tensor};

/// Teachers mixed: each one's logits are divided by its temperature, the probabilities are averaged by the weights, and the logarithms
/// of that are divided by the mixture's temperature.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// One for each teacher; they sum to 1.
    pub weights: Vec<f64>,
    /// One for each teacher.
    pub temperatures: Vec<f64>,
    /// Of the mixture.
    pub temperature: f64,
}

/// Temperatures that are tried.
const COLDEST: f64 = 0.25;
const HOTTEST: f64 = 8.0;
/// Steps of the search; each leaves 0.618 of the range.
const STEPS: usize = 40;
/// Steps of the weights' search, each of which raises the likelihood.
const WEIGHT_STEPS: usize = 400;
/// Before a logarithm.
const MIN_PROBABILITY: f64 = 1e-12;

impl Mixture {
    /// Fits temperatures and weights to the vote distributions `votes`, f32 `[n, 8]`, for the logits of each teacher, f32 `[n, 8]`.
    ///
    /// The likelihood has one maximum over the weights, which expectation maximisation climbs: each weight becomes the mean share
    /// that its teacher has in what the mixture gives to the votes.
    pub fn fit(logits: &[Tensor], votes: &Tensor) -> Mixture {
        let votes = votes.to_kind(Kind::Double);
        let temperatures: Vec<f64> = logits.iter().map(|logits| temperature(logits, &votes)).collect();
        let parts = tempered(logits, &temperatures);
        let mut weights = vec![1.0 / logits.len().max(1) as f64; logits.len()];
        for _ in 0..WEIGHT_STEPS {
            let shares = &votes / mean(&parts, &weights).clamp_min(MIN_PROBABILITY);
            let count = votes.size()[0] as f64;
            for (weight, part) in weights.iter_mut().zip(&parts) {
                *weight *= (&shares * part).sum(Kind::Double).double_value(&[]) / count;
            }
            let sum: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|weight| *weight /= sum);
        }
        let mixed = mean(&parts, &weights).clamp_min(MIN_PROBABILITY).log();
        Mixture { temperature: temperature(&mixed, &votes), weights, temperatures }
    }

    /// The mixture's probabilities, f32 `[n, 8]`, for the logits of each teacher, f32 `[n, 8]`.
    pub fn probabilities(&self, logits: &[Tensor]) -> Tensor {
        let mixed = mean(&tempered(logits, &self.temperatures), &self.weights).clamp_min(MIN_PROBABILITY).log();
        (mixed / self.temperature).softmax(-1, Kind::Float)
    }
}

/// Probabilities f64 of logits at temperatures.
fn tempered(logits: &[Tensor], temperatures: &[f64]) -> Vec<Tensor> {
    let of = |(logits, temperature): (&Tensor, &f64)| {
        (logits.to_kind(Kind::Double) / *temperature).softmax(-1, Kind::Double)
    };
    logits.iter().zip(temperatures).map(of).collect()
}

fn mean(parts: &[Tensor], weights: &[f64]) -> Tensor {
    let weighted = parts.iter().zip(weights).map(|(part, weight)| part * *weight);
    weighted.reduce(|a, b| a + b).unwrap_or_else(Tensor::new)
}

/// The temperature at which logits `[n, 8]` are closest to votes `[n, 8]`: golden-section search on its logarithm, over which
/// cross-entropy has one minimum.
fn temperature(logits: &Tensor, votes: &Tensor) -> f64 {
    let loss = |temperature: f64| {
        let logs = (logits.to_kind(Kind::Double) / temperature).log_softmax(-1, Kind::Double);
        -(logs * votes).sum(Kind::Double).double_value(&[])
    };
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (COLDEST.ln(), HOTTEST.ln());
    for _ in 0..STEPS {
        let (a, b) = (high - golden * (high - low), low + golden * (high - low));
        if loss(a.exp()) < loss(b.exp()) { high = b } else { low = a }
    }
    ((low + high) / 2.0).exp()
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::train::loss::cross_entropy;

    /// Votes, and the logits of three teachers: one that knows the first half of the samples and is over-sure, one that knows the
    /// other half, one that guesses.
    fn material() -> (Tensor, [Tensor; 3]) {
        tch::manual_seed(5);
        let truth = Tensor::randn([400, 8], (Kind::Float, Device::Cpu)) * 2.0;
        let guess = || Tensor::randn([400, 8], (Kind::Float, Device::Cpu)) * 2.0;
        let half = Tensor::arange(400, (Kind::Float, Device::Cpu)).lt(200.0).to_kind(Kind::Float).unsqueeze(1);
        let first = (&truth * &half + guess() * (1.0 - &half)) * 3.0;
        let second = &truth * (1.0 - &half) + guess() * &half;
        (truth.softmax(-1, Kind::Float), [first, second, guess()])
    }

    #[test]
    fn the_mixture_is_better_than_its_parts_and_leaves_the_guesser_out() {
        let (votes, logits) = material();
        let mixture = Mixture::fit(&logits, &votes);
        let loss = |logits: &Tensor| cross_entropy(logits, &votes).double_value(&[]);
        let mixed = loss(&mixture.probabilities(&logits).log());
        for (logits, temperature) in logits.iter().zip(&mixture.temperatures) {
            assert!(mixed < loss(&(logits / *temperature)) - 0.05, "{mixture:?}");
        }
        assert!((mixture.weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(mixture.weights[2] < 0.1 && mixture.weights[..2].iter().all(|weight| *weight > 0.3), "{mixture:?}");
        assert!(mixture.temperatures[0] > 2.0 * mixture.temperatures[1], "the over-sure one is cooled: {mixture:?}");
        // No other weights are better.
        for other in [[0.6, 0.3, 0.1], [0.4, 0.5, 0.1], [1.0, 0.0, 0.0], [0.34, 0.33, 0.33]] {
            let other = Mixture { weights: other.into(), temperature: 1.0, ..mixture.clone() };
            let best = Mixture { temperature: 1.0, ..mixture.clone() };
            assert!(loss(&best.probabilities(&logits).log()) <= loss(&other.probabilities(&logits).log()) + 1e-6);
        }
    }

    #[test]
    fn one_teacher_is_the_mixture() {
        let (votes, [first, ..]) = material();
        let mixture = Mixture::fit(&[first.shallow_clone()], &votes);
        assert_eq!(mixture.weights, [1.0]);
        let found = mixture.probabilities(&[first.shallow_clone()]);
        // Two temperatures one after the other: the second goes on where the first comes to its limit.
        let expected = (first / (mixture.temperatures[0] * mixture.temperature)).softmax(-1, Kind::Float);
        assert!((found - expected).abs().max().double_value(&[]) < 1e-3);
    }
}
