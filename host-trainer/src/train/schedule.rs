//! The learning rate over the steps of a stage.

use crate::config::Schedule;

/// Share of the highest rate at `step` of `steps`; an epoch has `steps_per_epoch` steps.
pub fn factor(schedule: Schedule, step: usize, steps: usize, steps_per_epoch: usize) -> f64 {
    let cosine = |from: f64, to: f64, at: f64| to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * at).cos());
    match schedule {
        Schedule::Constant => 1.0,
        Schedule::Step(epochs) if step < epochs * steps_per_epoch => 1.0,
        Schedule::Step(_) => 0.1,
        Schedule::OneCycle => {
            let (at, top) = (step as f64 / steps.max(1) as f64, 0.3);
            if at < top { cosine(0.04, 1.0, at / top) } else { cosine(1.0, 0.0, (at - top) / (1.0 - top)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_and_falls() {
        let factors = [0, 30, 100].map(|step| factor(Schedule::OneCycle, step, 100, 10));
        assert!((factors[0] - 0.04).abs() < 1e-9 && (factors[1] - 1.0).abs() < 1e-9 && factors[2].abs() < 1e-9);
        assert_eq!([19, 20].map(|at| factor(Schedule::Step(2), at, 100, 10)), [1.0, 0.1]);
    }
}
