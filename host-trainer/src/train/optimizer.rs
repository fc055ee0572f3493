//! Stochastic gradient descent with momentum, as the paper trains, and AdamW.
//!
//! Ours and not tch's, because tch does not give out an optimiser's state, and a run that resumes exactly needs it.

use tch::{Tensor, nn};

/// How a gradient becomes a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// Stochastic gradient descent with this momentum; weight decay is added to the gradient.
    Momentum(f64),
    /// AdamW with the usual moments, 0.9 and 0.999: each weight's step is divided by the size of its gradients, and weight
    /// decay is apart from it (Loshchilov and Hutter, ICLR 2019, arXiv 1711.05101).
    AdamW,
}

/// The share of each moment that [`Rule::AdamW`] keeps.
const MOMENTS: [f64; 2] = [0.9, 0.999];
/// Added to the root of the second moment.
const EPSILON: f64 = 1e-8;

/// Names of what an optimiser keeps for each variable, in checkpoints.
const STATE: [&str; 2] = ["velocity/", "square/"];

/// A variable that is trained.
struct Slot {
    name: String,
    variable: Tensor,
    /// Factor on the learning rate.
    factor: f64,
    /// The velocity, or the first and the second moment.
    state: Vec<Tensor>,
}

/// The optimiser over the trained variables of a net.
pub struct Optimizer {
    slots: Vec<Slot>,
    rule: Rule,
    weight_decay: f64,
}

impl Optimizer {
    /// Over the trainable variables of `store`, in the order of their names. `factor` gives each variable's factor on the
    /// learning rate, by its name; those with 0 are not trained.
    pub fn new(store: &nn::VarStore, factor: &dyn Fn(&str) -> f64, rule: Rule, weight_decay: f64) -> Optimizer {
        let count = match rule {
            Rule::Momentum(_) => 1,
            Rule::AdamW => 2,
        };
        let mut slots: Vec<_> = store
            .variables()
            .into_iter()
            .filter(|(name, variable)| factor(name) > 0.0 && variable.requires_grad())
            .map(|(name, variable)| {
                let state = (0..count).map(|_| variable.detach().zeros_like()).collect();
                Slot { factor: factor(&name), name, variable, state }
            })
            .collect();
        slots.sort_by(|a, b| a.name.cmp(&b.name));
        Optimizer { slots, rule, weight_decay }
    }

    /// Step `step` (from 0) down the gradient of `loss`. Weight decay spares biases and batch norm.
    pub fn step(&mut self, loss: &Tensor, rate: f64, step: usize) {
        for slot in &mut self.slots {
            slot.variable.zero_grad();
        }
        loss.backward();
        let (rule, weight_decay) = (self.rule, self.weight_decay);
        tch::no_grad(|| {
            for Slot { variable, factor, state, .. } in &mut self.slots {
                let mut gradient = variable.grad();
                if !gradient.defined() {
                    continue;
                }
                let rate = rate * *factor;
                let decay = if variable.dim() > 1 { weight_decay } else { 0.0 };
                match (rule, &mut state[..]) {
                    (Rule::Momentum(momentum), [velocity]) => {
                        if decay > 0.0 {
                            gradient += &*variable * decay;
                        }
                        let _ = velocity.g_mul_scalar_(momentum).g_add_(&gradient);
                        let _ = variable.g_add_(&(&*velocity * -rate));
                    }
                    (Rule::AdamW, [first, second]) => {
                        let _ = variable.g_mul_scalar_(1.0 - rate * decay);
                        let _ = first.g_mul_scalar_(MOMENTS[0]).g_add_(&(&gradient * (1.0 - MOMENTS[0])));
                        let _ = second.g_mul_scalar_(MOMENTS[1]).g_add_(&(gradient.square() * (1.0 - MOMENTS[1])));
                        // Both moments began at zero: what they lack of an average is made up for.
                        let [first_share, second_share] = MOMENTS.map(|kept| 1.0 - kept.powf((step + 1) as f64));
                        let size = (&*second / second_share).sqrt() + EPSILON;
                        let _ = variable.g_add_(&(&*first / size * (-rate / first_share)));
                    }
                    _ => {}
                }
            }
        });
    }

    /// Names and values of what is kept between steps.
    pub fn state(&self) -> impl Iterator<Item = (String, &Tensor)> {
        let of = |slot: &'_ Slot| {
            let name = slot.name.clone();
            STATE.iter().map(move |kind| format!("{kind}{name}"))
        };
        self.slots.iter().flat_map(move |slot| of(slot).zip(&slot.state))
    }

    /// What is kept between steps by name, to be replaced by that of a checkpoint.
    pub fn state_mut(&mut self) -> impl Iterator<Item = (String, &mut Tensor)> {
        self.slots.iter_mut().flat_map(|slot| {
            let name = slot.name.clone();
            STATE.iter().map(move |kind| format!("{kind}{name}")).zip(&mut slot.state)
        })
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    /// After each of three steps down `sum(x^2 / 2)` from 4, a bias of one value, at rate 0.1.
    fn path(rule: Rule) -> Vec<f64> {
        let store = nn::VarStore::new(Device::Cpu);
        let bias = store.root().var("bias", &[1], nn::Init::Const(4.0));
        let mut optimizer = Optimizer::new(&store, &|_| 1.0, rule, 0.5);
        let step = |number| {
            optimizer.step(&(bias.square().sum(Kind::Float) / 2.0), 0.1, number);
            bias.double_value(&[0])
        };
        (0..3).map(step).collect()
    }

    #[test]
    fn steps_are_those_of_the_rules() {
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
        // Velocities 4, 0.9 * 4 + 3.6 = 7.2, 0.9 * 7.2 + 2.88 = 9.36.
        let momentum = path(Rule::Momentum(0.9));
        assert!(near(&momentum, &[3.6, 2.88, 1.944]), "{momentum:?}");
        // The first step of Adam is the rate itself, whatever the gradient; the next two nearly.
        let adam = path(Rule::AdamW);
        assert!(near(&adam[..1], &[3.9]) && adam[2] > 3.69 && adam[2] < 3.71, "{adam:?}");
    }

    #[test]
    fn weight_decay_of_adamw_shrinks_weights_alone() {
        let store = nn::VarStore::new(Device::Cpu);
        let weight = store.root().var("weight", &[1, 1], nn::Init::Const(4.0));
        let bias = store.root().var("bias", &[1], nn::Init::Const(4.0));
        let mut optimizer = Optimizer::new(&store, &|_| 1.0, Rule::AdamW, 0.5);
        optimizer.step(&((&weight + &bias).sum(Kind::Float) * 0.0), 0.1, 0);
        assert!((weight.double_value(&[0, 0]) - 3.8).abs() < 1e-6 && bias.double_value(&[0]) == 4.0);
        let names: Vec<String> = optimizer.state().map(|(name, _)| name).collect();
        assert_eq!(names, ["velocity/bias", "square/bias", "velocity/weight", "square/weight"]);
    }
}
