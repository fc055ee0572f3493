//! Stochastic gradient descent with momentum, as the paper trains.
//!
//! Ours and not tch's, because tch does not give out an optimiser's state, and a run that resumes exactly needs it.

use tch::{Tensor, nn};

/// The optimiser over the trained variables of a net.
pub struct Optimizer {
    /// Name, variable and velocity.
    slots: Vec<(String, Tensor, Tensor)>,
    /// Factor on the learning rate of each.
    factors: Vec<f64>,
    momentum: f64,
    weight_decay: f64,
}

impl Optimizer {
    /// Over the trainable variables of `store`, in the order of their names. `factor` gives each variable's factor on the
    /// learning rate, by its name; those with 0 are not trained.
    pub fn new(store: &nn::VarStore, factor: &dyn Fn(&str) -> f64, momentum: f64, weight_decay: f64) -> Optimizer {
        let mut slots: Vec<_> = store
            .variables()
            .into_iter()
            .filter(|(name, variable)| factor(name) > 0.0 && variable.requires_grad())
            .map(|(name, variable)| {
                let velocity = variable.detach().zeros_like();
                (name, variable, velocity)
            })
            .collect();
        slots.sort_by(|a, b| a.0.cmp(&b.0));
        let factors = slots.iter().map(|(name, ..)| factor(name)).collect();
        Optimizer { slots, factors, momentum, weight_decay }
    }

    /// One step down the gradient of `loss`. Weight decay spares biases and batch norm.
    pub fn step(&mut self, loss: &Tensor, rate: f64) {
        for (_, variable, _) in &mut self.slots {
            variable.zero_grad();
        }
        loss.backward();
        tch::no_grad(|| {
            for ((_, variable, velocity), factor) in self.slots.iter_mut().zip(&self.factors) {
                let mut gradient = variable.grad();
                if !gradient.defined() {
                    continue;
                }
                if self.weight_decay > 0.0 && variable.dim() > 1 {
                    gradient += &*variable * self.weight_decay;
                }
                let _ = velocity.g_mul_scalar_(self.momentum).g_add_(&gradient);
                let _ = variable.g_add_(&(&*velocity * (-rate * factor)));
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
