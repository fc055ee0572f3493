//! How the learning rate changes.

/// How the learning rate changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// Up over the first 30 % of the steps, then down to nothing, both along a cosine (Smith 2018, arXiv 1803.09820).
    OneCycle,
    /// Always the same.
    Constant,
    /// A tenth after so many epochs, once (the paper's schedules).
    Step(usize),
}

impl Schedule {
    /// `one-cycle`, `constant` or `step:EPOCHS`.
    pub fn parse(text: &str) -> Option<Schedule> {
        match text {
            "one-cycle" => Some(Schedule::OneCycle),
            "constant" => Some(Schedule::Constant),
            _ => text.strip_prefix("step:")?.parse().ok().filter(|epochs| *epochs > 0).map(Schedule::Step),
        }
    }

    /// Share of the highest rate at `step` of `steps`, with `epoch` steps an epoch.
    pub fn factor(self, step: usize, steps: usize, epoch: usize) -> f64 {
        let cosine = |from: f64, to: f64, at: f64| to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * at).cos());
        match self {
            Schedule::Constant => 1.0,
            Schedule::Step(epochs) => {
                if step < epochs * epoch {
                    1.0
                } else {
                    0.1
                }
            }
            Schedule::OneCycle => {
                let (at, top) = (step as f64 / steps.max(1) as f64, 0.3);
                if at < top { cosine(0.04, 1.0, at / top) } else { cosine(1.0, 0.0, (at - top) / (1.0 - top)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_and_falls() {
        let one_cycle = Schedule::parse("one-cycle").unwrap();
        let factors = [0, 30, 100].map(|step| one_cycle.factor(step, 100, 10));
        assert!((factors[0] - 0.04).abs() < 1e-9 && (factors[1] - 1.0).abs() < 1e-9 && factors[2].abs() < 1e-9);
        let step = Schedule::parse("step:2").unwrap();
        assert_eq!([19, 20].map(|at| step.factor(at, 100, 10)), [1.0, 0.1]);
        assert_eq!(Schedule::parse("step:0"), None);
        assert_eq!(Schedule::parse("cosine"), None);
    }
}
