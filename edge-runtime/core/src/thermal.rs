//! How hot a board may get: the frame rate is lowered first, then the work is paused.

/// Temperatures in thousandths of a degree Celsius.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From here on every second frame is taken.
    pub half: i32,
    /// From here on every fourth frame is taken.
    pub quarter: i32,
    /// From here on none is.
    pub pause: i32,
    /// How far the temperature must fall below a limit before it is taken back; above zero.
    pub hysteresis: i32,
}

impl Limits {
    /// Whether the limits rise and the hysteresis is above zero.
    pub fn are_sound(&self) -> bool {
        self.half < self.quarter && self.quarter < self.pause && self.hysteresis > 0
    }

    /// The temperature from which on a step is taken; `None` for the first.
    fn of(&self, step: Step) -> Option<i32> {
        match step {
            Step::Full => None,
            Step::Half => Some(self.half),
            Step::Quarter => Some(self.quarter),
            Step::Paused => Some(self.pause),
        }
    }
}

/// How much of the work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Step {
    /// Every frame.
    #[default]
    Full,
    /// Every second frame.
    Half,
    /// Every fourth frame.
    Quarter,
    /// None.
    Paused,
}

impl Step {
    const ALL: [Step; 4] = [Step::Full, Step::Half, Step::Quarter, Step::Paused];

    /// One frame of so many is taken; `None`: none is.
    pub const fn divisor(self) -> Option<u32> {
        match self {
            Step::Full => Some(1),
            Step::Half => Some(2),
            Step::Quarter => Some(4),
            Step::Paused => None,
        }
    }

    /// The name used in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Step::Full => "full rate",
            Step::Half => "half rate",
            Step::Quarter => "quarter rate",
            Step::Paused => "paused",
        }
    }
}

/// A change that should be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The step before.
    pub from: Step,
    /// The step from now on.
    pub to: Step,
    /// The temperature that led to it, in thousandths of a degree Celsius; `None` where the sensor has been silent.
    pub millicelsius: Option<i32>,
    /// Whether the board said that it throttles itself.
    pub throttled: bool,
}

/// Updates without throttling before [`Policy::update`] forgets it: throttling has no hysteresis that we could know.
const CALM: u16 = 30;
/// Updates without a temperature after which work goes on at full rate: a board throttles itself when it has to, and a
/// broken sensor should not end a recording.
const SILENT: u16 = 60;

/// Decides from temperatures how much of the work is done. Update it once a second or so.
#[derive(Debug, Clone)]
pub struct Policy {
    limits: Limits,
    step: Step,
    /// Updates left during which throttling is remembered.
    throttled: u16,
    /// Updates since the last temperature.
    silent: u16,
}

impl Policy {
    /// A policy at full rate; `None` where the limits are not sound.
    pub fn new(limits: Limits) -> Option<Policy> {
        limits.are_sound().then_some(Policy { limits, step: Step::Full, throttled: 0, silent: 0 })
    }

    /// The step in force.
    pub fn step(&self) -> Step {
        self.step
    }

    /// Takes a temperature in thousandths of a degree Celsius, `None` where it cannot be read, and whether the board
    /// throttles itself at this moment. Gives what changed.
    ///
    /// A step is taken as soon as its limit is reached, and taken back once the temperature is below it by more than the
    /// hysteresis. While a board throttles itself, and for 30 updates after, at most every second frame is taken.
    pub fn update(&mut self, millicelsius: Option<i32>, throttled: bool) -> Option<Change> {
        self.throttled = if throttled { CALM } else { self.throttled.saturating_sub(1) };
        self.silent = if millicelsius.is_none() { self.silent.saturating_add(1) } else { 0 };
        let least = if self.throttled > 0 { Step::Half } else { Step::Full };
        let to = self.by_temperature(millicelsius).max(least);
        let from = core::mem::replace(&mut self.step, to);
        (from != to).then_some(Change { from, to, millicelsius, throttled: self.throttled > 0 })
    }

    fn by_temperature(&self, millicelsius: Option<i32>) -> Step {
        let Some(now) = millicelsius else {
            return if self.silent < SILENT { self.step } else { Step::Full };
        };
        let holds = |step: &&Step| {
            let slack = if **step <= self.step { self.limits.hysteresis } else { 0 };
            self.limits.of(**step).is_none_or(|limit| i64::from(now) + i64::from(slack) >= i64::from(limit))
        };
        Step::ALL.iter().rev().find(holds).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { half: 70_000, quarter: 75_000, pause: 80_000, hysteresis: 4_000 };

    /// The step after each temperature.
    fn steps(temperatures: &[i32]) -> Vec<Step> {
        let mut policy = Policy::new(LIMITS).unwrap();
        temperatures
            .iter()
            .map(|t| {
                policy.update(Some(*t), false);
                policy.step()
            })
            .collect()
    }

    #[test]
    fn steps_are_taken_at_their_limits_and_taken_back_below_them() {
        use Step::*;
        assert_eq!(
            steps(&[69_999, 70_000, 66_000, 65_999, 75_000, 71_000, 70_999, 90_000, 76_000, 75_999, 20_000]),
            [Full, Half, Half, Full, Quarter, Quarter, Half, Paused, Paused, Quarter, Full]
        );
        assert_eq!([Full, Half, Quarter, Paused].map(Step::divisor), [Some(1), Some(2), Some(4), None]);
    }

    #[test]
    fn a_change_says_what_led_to_it() {
        let mut policy = Policy::new(LIMITS).unwrap();
        assert_eq!(policy.update(Some(50_000), false), None);
        let hot = Change { from: Step::Full, to: Step::Paused, millicelsius: Some(85_000), throttled: false };
        assert_eq!(policy.update(Some(85_000), false), Some(hot));
        assert_eq!(policy.update(Some(85_000), false), None);
    }

    #[test]
    fn throttling_halves_the_rate_until_it_has_been_gone_for_a_while() {
        let mut policy = Policy::new(LIMITS).unwrap();
        assert!(policy.update(Some(50_000), true).is_some_and(|change| change.throttled && change.to == Step::Half));
        for i in 0..CALM - 1 {
            assert_eq!(policy.update(Some(50_000), false), None, "update {i}");
        }
        assert_eq!(policy.update(Some(50_000), false).map(|change| change.to), Some(Step::Full));
    }

    #[test]
    fn a_silent_sensor_neither_pauses_nor_frees_at_once() {
        let mut policy = Policy::new(LIMITS).unwrap();
        policy.update(Some(85_000), false);
        for _ in 0..SILENT - 1 {
            assert_eq!(policy.update(None, false), None);
        }
        assert_eq!(policy.update(None, false).map(|change| change.to), Some(Step::Full));
        assert_eq!(policy.update(Some(85_000), false).map(|change| change.to), Some(Step::Paused));
    }

    #[test]
    fn unsound_limits_are_refused() {
        for wrong in [
            Limits { half: 75_000, ..LIMITS },
            Limits { quarter: 80_000, ..LIMITS },
            Limits { pause: 0, ..LIMITS },
            Limits { hysteresis: 0, ..LIMITS },
        ] {
            assert!(Policy::new(wrong).is_none(), "{wrong:?}");
        }
    }

    proptest! {
        /// Temperatures that wander by no more than the hysteresis never make the rate go down and up again.
        #[test]
        fn noise_within_the_hysteresis_does_not_flap(
            start in 20_000..100_000i32, floor in 20_000..100_000i32, noise in prop::collection::vec(0..=4_000i32, 1..200),
        ) {
            let mut policy = Policy::new(LIMITS).unwrap();
            policy.update(Some(start), false);
            let changes: Vec<_> = noise.iter().filter_map(|n| policy.update(Some(floor + n), false)).collect();
            let up = changes.iter().filter(|change| change.to > change.from).count();
            prop_assert!(up == 0 || up == changes.len(), "{changes:?}");
        }

        /// Whatever the temperatures: at a limit or above the step holds, and well below every limit nothing does.
        #[test]
        fn heat_always_lowers_the_rate(temperatures in prop::collection::vec(any::<i32>(), 1..100)) {
            let mut policy = Policy::new(LIMITS).unwrap();
            for t in temperatures {
                policy.update(Some(t), false);
                for step in Step::ALL {
                    let limit = LIMITS.of(step).unwrap_or(i32::MIN);
                    prop_assert!(t < limit || policy.step() >= step);
                    prop_assert!(t >= limit - 4_000.min(limit.saturating_sub(i32::MIN)) || policy.step() < step);
                }
            }
        }
    }
}
