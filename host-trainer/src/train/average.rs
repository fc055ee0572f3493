//! Exponential moving average of weights: calmer than the weights themselves at the end of training.

use tch::{Tensor, nn};

/// The average of all variables of a net, running statistics of batch norm included.
pub struct Average {
    keep: f64,
    /// Name, variable, average.
    slots: Vec<(String, Tensor, Tensor)>,
}

impl Average {
    /// Starts from the variables of `store`. Each step keeps the share `keep` of the average; with 0 it is a copy.
    pub fn new(store: &nn::VarStore, keep: f64) -> Average {
        let mut slots: Vec<_> = store
            .variables()
            .into_iter()
            .map(|(name, variable)| {
                let average = variable.detach().copy();
                (name, variable, average)
            })
            .collect();
        slots.sort_by(|a, b| a.0.cmp(&b.0));
        Average { keep, slots }
    }

    /// Takes in the variables after step `step` (from 0). The first steps keep less, so that the fresh weights are forgotten.
    pub fn update(&mut self, step: usize) {
        let keep = self.keep.min((1 + step) as f64 / (10 + step) as f64);
        tch::no_grad(|| {
            for (_, variable, average) in &mut self.slots {
                let _ = average.g_mul_scalar_(keep).g_add_(&(&*variable * (1.0 - keep)));
            }
        });
    }

    /// Exchanges variables and averages.
    pub fn swap(&mut self) {
        tch::no_grad(|| {
            for (_, variable, average) in &mut self.slots {
                let held = variable.detach().copy();
                variable.copy_(average);
                average.copy_(&held);
            }
        });
    }

    /// Names and averages.
    pub fn averages(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.slots.iter().map(|(name, _, average)| (name.as_str(), average))
    }

    /// The averages by name, to be replaced by those of a checkpoint.
    pub fn averages_mut(&mut self) -> impl Iterator<Item = (&str, &mut Tensor)> {
        self.slots.iter_mut().map(|(name, _, average)| (name.as_str(), average))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_follows_and_swaps() {
        let store = nn::VarStore::new(tch::Device::Cpu);
        let mut weight = store.root().ones("weight", &[2]);
        let mut average = Average::new(&store, 0.75);
        tch::no_grad(|| weight.copy_(&Tensor::from_slice(&[5f32, 5.0])));
        // (1 + 100) / (10 + 100) is more than 0.75: 0.75 of 1 and 0.25 of 5.
        average.update(100);
        average.swap();
        assert_eq!(weight.double_value(&[0]), 2.0);
        average.swap();
        assert_eq!(weight.double_value(&[1]), 5.0);
        // The first step keeps a tenth.
        average.update(0);
        average.swap();
        assert!((weight.double_value(&[0]) - (0.1 * 2.0 + 0.9 * 5.0)).abs() < 1e-6);
    }
}
