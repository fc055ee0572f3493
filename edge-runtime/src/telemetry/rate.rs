//! The frame rate of the last seconds.

use std::time::Duration;

/// Whole seconds over which the rate is averaged.
const SPAN: usize = 5;

/// Frames counted per second.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rate {
    /// The second that is being counted.
    second: u64,
    /// Its count and those of the seconds before it, newest first.
    counts: [u32; SPAN + 1],
}

impl Rate {
    /// Counts a frame at `now`, a time since any fixed moment.
    pub fn count(&mut self, now: Duration) {
        self.advance(now);
        self.counts[0] = self.counts[0].saturating_add(1);
    }

    fn advance(&mut self, now: Duration) {
        let steps = usize::try_from(now.as_secs().saturating_sub(self.second)).unwrap_or(usize::MAX);
        self.counts.rotate_right(steps.min(SPAN + 1) % (SPAN + 1));
        let new = steps.min(SPAN + 1);
        self.counts[..new].fill(0);
        self.second = self.second.max(now.as_secs());
    }

    /// Returns frames per second: the mean of up to five whole seconds before `now`, 0 in the first second.
    pub fn per_second(mut self, now: Duration) -> f32 {
        self.advance(now);
        let span = SPAN.min(usize::try_from(self.second).unwrap_or(SPAN));
        if span == 0 {
            return 0.0;
        }
        self.counts[1..=span].iter().sum::<u32>() as f32 / span as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_mean_of_the_last_whole_seconds_and_fades_without_frames() {
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(Duration::ZERO), 0.0);
        for frame in 0..300 {
            rate.count(Duration::from_millis(frame * 33));
        }
        let now = Duration::from_millis(9_900);
        assert!((rate.per_second(now) - 30.3).abs() < 0.5, "{}", rate.per_second(now));
        assert!(rate.per_second(Duration::from_secs(12)) < 20.0);
        assert_eq!(rate.per_second(Duration::from_secs(60)), 0.0);
        // The seconds before the start do not count.
        let mut young = Rate::default();
        (0..40).for_each(|frame| young.count(Duration::from_millis(frame * 50)));
        assert_eq!(young.per_second(Duration::from_secs(2)), 20.0);
    }
}
