//! Keeps a board cool: as it heats up, the frame rate is lowered step by step, and finally work is paused.

/// The temperatures at which the frame rate changes, in thousandths of a degree Celsius.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThermalLimits {
    /// From this temperature on, every second frame is processed.
    pub half: i32,
    /// From this temperature on, every fourth frame is processed.
    pub quarter: i32,
    /// From this temperature on, no frame is processed.
    pub pause: i32,
    /// How far the temperature must fall below a limit before its step is undone; above zero.
    pub hysteresis: i32,
}

impl ThermalLimits {
    /// Returns whether the limits ascend and the hysteresis is above zero.
    pub fn are_sound(&self) -> bool {
        self.half < self.quarter && self.quarter < self.pause && self.hysteresis > 0
    }

    /// Returns the temperature from which this step applies, or `None` for the first.
    fn threshold(&self, step: Step) -> Option<i32> {
        match step {
            Step::Full => None,
            Step::Half => Some(self.half),
            Step::Quarter => Some(self.quarter),
            Step::Paused => Some(self.pause),
        }
    }
}

/// How many frames are processed.
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

    /// Returns N if every Nth frame is processed, or `None` if none is.
    pub const fn divisor(self) -> Option<u32> {
        match self {
            Step::Full => Some(1),
            Step::Half => Some(2),
            Step::Quarter => Some(4),
            Step::Paused => None,
        }
    }

    /// Returns the name used in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Step::Full => "full rate",
            Step::Half => "half rate",
            Step::Quarter => "quarter rate",
            Step::Paused => "paused",
        }
    }
}

/// A change of step, to be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The previous step.
    pub from: Step,
    /// The new step.
    pub to: Step,
    /// The temperature that caused it, in thousandths of a degree Celsius, or `None` if the sensor could not be read.
    pub millicelsius: Option<i32>,
    /// Whether the board reported that it throttles itself.
    pub throttled: bool,
}

/// The number of updates without throttling after which [`Policy::update`] forgets it: firmware does not tell its hysteresis.
const CALM: u16 = 30;
/// The number of updates without a temperature after which work continues at full rate: a board throttles itself if it must, and a
/// broken sensor should not end a recording.
const SILENT: u16 = 60;

/// Decides from temperatures how many frames are processed. Update it about once per second.
///
/// ```
/// use expression_core::thermal::{Policy, Step, ThermalLimits};
///
/// let limits = ThermalLimits { half: 72_000, quarter: 77_000, pause: 82_000, hysteresis: 4_000 };
/// let mut policy = Policy::new(limits).expect("ascending limits");
/// let change = policy.update(Some(73_500), false).expect("a limit was crossed");
/// assert_eq!((change.from, change.to), (Step::Full, Step::Half));
/// assert_eq!(policy.update(Some(71_000), false), None, "within the hysteresis");
/// ```
#[derive(Debug, Clone)]
pub struct Policy {
    limits: ThermalLimits,
    step: Step,
    /// The number of updates for which throttling is still remembered.
    throttled: u16,
    /// The number of updates since the last temperature.
    silent: u16,
}

impl Policy {
    /// Creates a policy at full rate. Returns `None` if the limits are not [sound](ThermalLimits::are_sound).
    pub fn new(limits: ThermalLimits) -> Option<Policy> {
        limits.are_sound().then_some(Policy { limits, step: Step::Full, throttled: 0, silent: 0 })
    }

    /// Returns the current step.
    pub fn step(&self) -> Step {
        self.step
    }

    /// Takes a temperature in thousandths of a degree Celsius, or `None` if it cannot be read, and whether the board throttles
    /// itself at this moment. Returns the change of step, if there is one.
    ///
    /// A step applies as soon as its limit is reached, and is undone once the temperature is below the limit by more than the
    /// hysteresis. While a board throttles itself, and for 30 updates after that, at most every second frame is processed.
    pub fn update(&mut self, millicelsius: Option<i32>, throttled: bool) -> Option<Change> {
        self.throttled = if throttled { CALM } else { self.throttled.saturating_sub(1) };
        self.silent = if millicelsius.is_none() { self.silent.saturating_add(1) } else { 0 };
        let at_least = if self.throttled > 0 { Step::Half } else { Step::Full };
        let to = self.by_temperature(millicelsius).max(at_least);
        let from = core::mem::replace(&mut self.step, to);
        (from != to).then_some(Change { from, to, millicelsius, throttled: self.throttled > 0 })
    }

    fn by_temperature(&self, millicelsius: Option<i32>) -> Step {
        let Some(now) = millicelsius else {
            return if self.silent < SILENT { self.step } else { Step::Full };
        };
        let holds = |step: &&Step| {
            let slack = if **step <= self.step { self.limits.hysteresis } else { 0 };
            self.limits.threshold(**step).is_none_or(|limit| i64::from(now) + i64::from(slack) >= i64::from(limit))
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

    const LIMITS: ThermalLimits = ThermalLimits { half: 70_000, quarter: 75_000, pause: 80_000, hysteresis: 4_000 };

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
            ThermalLimits { half: 75_000, ..LIMITS },
            ThermalLimits { quarter: 80_000, ..LIMITS },
            ThermalLimits { pause: 0, ..LIMITS },
            ThermalLimits { hysteresis: 0, ..LIMITS },
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
                    let limit = LIMITS.threshold(step).unwrap_or(i32::MIN);
                    prop_assert!(t < limit || policy.step() >= step);
                    prop_assert!(t >= limit - 4_000.min(limit.saturating_sub(i32::MIN)) || policy.step() < step);
                }
            }
        }
    }
}
