//! Stochastic gradient descent with momentum, as the paper trains.
//!
//! Ours and not tch's, because tch does not give out an optimiser's state, and a run that resumes exactly needs it.

use tch::{Tensor, nn};

/// The optimiser over the trained variables of a net.
pub struct Optimizer {
    /// Name, variable and velocity.
    slots: Vec<(String, Tensor, Tensor)>,
    momentum: f64,
    weight_decay: f64,
}

impl Optimizer {
    /// Over the trainable variables of `store` whose names `trained` accepts, in the order of their names.
    pub fn new(store: &nn::VarStore, trained: fn(&str) -> bool, momentum: f64, weight_decay: f64) -> Optimizer {
        let mut slots: Vec<_> = store
            .variables()
            .into_iter()
            .filter(|(name, variable)| trained(name) && variable.requires_grad())
            .map(|(name, variable)| {
                let velocity = variable.detach().zeros_like();
                (name, variable, velocity)
            })
            .collect();
        slots.sort_by(|a, b| a.0.cmp(&b.0));
        Optimizer { slots, momentum, weight_decay }
    }

    /// One step down the gradient of `loss`. Weight decay spares biases and batch norm.
    pub fn step(&mut self, loss: &Tensor, rate: f64) {
        for (_, variable, _) in &mut self.slots {
            variable.zero_grad();
        }
        loss.backward();
        tch::no_grad(|| {
            for (_, variable, velocity) in &mut self.slots {
                let mut gradient = variable.grad();
                if !gradient.defined() {
                    continue;
                }
                if self.weight_decay > 0.0 && variable.dim() > 1 {
                    gradient += &*variable * self.weight_decay;
                }
                let _ = velocity.g_mul_scalar_(self.momentum).g_add_(&gradient);
                let _ = variable.g_add_(&(&*velocity * -rate));
            }
        });
    }

    /// Names and velocities.
    pub fn velocities(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.slots.iter().map(|(name, _, velocity)| (name.as_str(), velocity))
    }

    /// The velocities by name, to be replaced by those of a checkpoint.
    pub fn velocities_mut(&mut self) -> impl Iterator<Item = (&str, &mut Tensor)> {
        self.slots.iter_mut().map(|(name, _, velocity)| (name.as_str(), velocity))
    }
}
