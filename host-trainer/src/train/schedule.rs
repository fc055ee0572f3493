//! The learning rate over the steps of a stage, and the steps of a stage that must end by a time.

use std::time::Instant;

use crate::config::Schedule;

/// Where a stage's schedule is. Without a deadline that is the number of the step. With one, the schedule is as far as the time
/// is if that is further, so that it is done when time is up, without a jump of the learning rate.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Steps of the whole stage.
    steps: usize,
    /// The step at which this program began or resumed it.
    first: usize,
    /// Share of the schedule that was done then.
    before: f64,
    begun: Instant,
    deadline: Option<Instant>,
}

impl Progress {
    /// Begins a stage of `steps` steps at step `first`. `before`: share of the schedule that was done by then, if it is not that
    /// of the steps.
    pub fn new(steps: usize, first: usize, before: Option<f64>, deadline: Option<Instant>) -> Progress {
        let by_steps = first as f64 / steps.max(1) as f64;
        // Less than a step is rounding.
        let half = 0.5 / steps.max(1) as f64;
        let before = before.filter(|before| *before > by_steps + half).unwrap_or(by_steps);
        Progress { steps, first, before, begun: Instant::now(), deadline }
    }

    /// The share of the schedule that is done before step `step`, at the time `now`.
    pub fn share(&self, step: usize, now: Instant) -> f64 {
        let left = |done: f64, all: f64| if all > 0.0 { (done / all).clamp(0.0, 1.0) } else { 1.0 };
        let mut done = left((step - self.first) as f64, (self.steps - self.first) as f64);
        if let Some(deadline) = self.deadline {
            let all = deadline.saturating_duration_since(self.begun).as_secs_f64();
            done = done.max(left(now.saturating_duration_since(self.begun).as_secs_f64(), all));
        }
        self.before + (1.0 - self.before) * done
    }

    /// The step of a schedule without a deadline that is as far as step `step` is at the time `now`.
    pub fn step(&self, step: usize, now: Instant) -> usize {
        (self.share(step, now) * self.steps as f64).round() as usize
    }

    /// Whether the schedule is done before step `step`, at the time `now`.
    pub fn is_over(&self, step: usize, now: Instant) -> bool {
        self.share(step, now) >= 1.0
    }
}

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
    fn without_a_deadline_the_schedule_is_where_the_steps_are() {
        let now = Instant::now();
        for first in [0, 7, 91] {
            let progress = Progress::new(970, first, Some(first as f64 / 970.0), None);
            assert!((first..970).all(|step| progress.step(step, now) == step && !progress.is_over(step, now)));
            assert!(progress.is_over(970, now));
        }
    }

    #[test]
    fn a_deadline_ends_the_schedule_with_the_time() {
        let seconds = |number| std::time::Duration::from_secs(number);
        let progress = Progress::new(1000, 0, None, Some(Instant::now() + seconds(100)));
        let at = |number| progress.begun + seconds(number);
        // Steps lag behind: the time counts. At a quarter of the time a quarter of the schedule is done.
        assert!((progress.step(10, at(25)).abs_diff(250)) <= 1);
        assert!(progress.is_over(400, at(101)) && !progress.is_over(400, at(99)));
        // There is time enough: the steps count.
        assert_eq!(progress.step(500, at(25)), 500);
        assert!(progress.is_over(1000, at(25)));
        // Resumed at step 100 with half of the schedule done: the other half is spread over what is left.
        let resumed = Progress::new(1000, 100, Some(0.5), None);
        assert_eq!([100, 550, 1000].map(|step| resumed.step(step, resumed.begun)), [500, 750, 1000]);
    }

    #[test]
    fn the_rate_rises_and_falls() {
        let factors = [0, 30, 100].map(|step| factor(Schedule::OneCycle, step, 100, 10));
        assert!((factors[0] - 0.04).abs() < 1e-9 && (factors[1] - 1.0).abs() < 1e-9 && factors[2].abs() < 1e-9);
        assert_eq!([19, 20].map(|at| factor(Schedule::Step(2), at, 100, 10)), [1.0, 0.1]);
    }
}
