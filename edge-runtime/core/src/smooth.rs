//! Keeps labels from flickering: probabilities are averaged over time, and a label stays until another has been likelier for some
//! time. If no label is likely enough, there is none.

use crate::Label;

/// The probability 1 as a fixed-point number with 16 fraction bits.
pub const ONE: u32 = 1 << 16;
const MS: u64 = 1_000_000;

/// A softmax over integer scores, by a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Softmax {
    /// `exp(-scale * n)` in units of 2^-16.
    weight: [u32; 256],
}

impl Softmax {
    /// Creates the table for scores of which one step is `scale` logits; see the bundle's `output.scale`.
    pub fn new(scale: f32) -> Softmax {
        // libm is the same on every machine, and so is the table.
        Softmax { weight: core::array::from_fn(|n| (libm::expf(-scale * n as f32) * ONE as f32 + 0.5) as u32) }
    }

    /// Returns the probability of each score in units of 2^-16; they add up to [`ONE`], except for rounding. Scores beyond
    /// [`Label::COUNT`] are ignored.
    pub fn probabilities(&self, scores: &[u8]) -> [u32; Label::COUNT] {
        let mut found = [0; Label::COUNT];
        let top = scores.iter().copied().max().unwrap_or(0);
        for (weight, score) in found.iter_mut().zip(scores) {
            *weight = self.weight[usize::from(top - score)];
        }
        let sum = found.iter().sum::<u32>().max(1);
        found.map(|weight| ((u64::from(weight) * u64::from(ONE) + u64::from(sum / 2)) / u64::from(sum)) as u32)
    }
}

/// How labels are smoothed over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Smoothing {
    /// The time constant of the average in milliseconds; 0 uses the last frame alone.
    pub constant_ms: u16,
    /// How long another label must be likelier before it replaces the current one, in milliseconds.
    pub hold_ms: u16,
    /// By how much the other label must be likelier, in 255ths of probability.
    pub margin: u8,
    /// The smoothed probability below which there is no label, in 255ths.
    pub min_confidence: u8,
}

impl Default for Smoothing {
    fn default() -> Smoothing {
        Smoothing { constant_ms: 300, hold_ms: 200, margin: 20, min_confidence: 0 }
    }
}

/// The smoothed label of one track.
#[derive(Debug, Clone, Default)]
pub struct Smoother {
    mean: [u32; Label::COUNT],
    /// The time of the last probabilities.
    last: Option<u64>,
    label: Option<Label>,
    /// The label, or none, that is about to replace the current one, and since when.
    challenger: Option<(Option<Label>, u64)>,
}

impl Smoother {
    /// Adds the probabilities of a frame at `now` (ns, monotonic): in units of 2^-16, in the order of [`Label::ALL`].
    pub fn update(&mut self, probability: &[u32; Label::COUNT], now: u64, by: &Smoothing) {
        let constant = u64::from(by.constant_ms) * MS;
        let share = match self.last {
            Some(last) => {
                let elapsed = now.saturating_sub(last).min(60_000 * MS);
                ((elapsed << 16) / (elapsed + constant).max(1)) as u32
            }
            None => ONE,
        };
        let share = if constant == 0 { ONE } else { share };
        for (mean, new) in self.mean.iter_mut().zip(probability) {
            *mean = ((u64::from(*mean) * u64::from(ONE - share) + u64::from(*new) * u64::from(share)) >> 16) as u32;
        }
        let first = self.last.is_none();
        self.last = Some(now);
        self.decide(now, by, first);
    }

    fn decide(&mut self, now: u64, by: &Smoothing, first: bool) {
        let (top, most) = self.top();
        let candidate = (most * 255 >= u32::from(by.min_confidence) * ONE).then_some(top);
        let held = self.label.map_or(0, |label| self.mean[label as usize]);
        // A label gives way to one that is likelier by the margin, or to none if it is too unlikely itself.
        let ahead = match candidate {
            Some(label) => Some(label) != self.label && (most - held) * 255 >= u32::from(by.margin) * ONE,
            None => self.label.is_some(),
        };
        if !ahead {
            self.challenger = None;
            return;
        }
        let since = match self.challenger {
            Some((label, since)) if label == candidate => since,
            _ => now,
        };
        self.challenger = Some((candidate, since));
        if first || now.saturating_sub(since) >= u64::from(by.hold_ms) * MS {
            (self.label, self.challenger) = (candidate, None);
        }
    }

    fn top(&self) -> (Label, u32) {
        let mut best = (Label::Neutral, 0);
        for (label, mean) in Label::ALL.into_iter().zip(self.mean) {
            if mean > best.1 {
                best = (label, mean);
            }
        }
        best
    }

    /// Returns the label, or `None` if none is likely enough.
    pub fn label(&self) -> Option<Label> {
        self.label
    }

    /// Returns the smoothed probability of the likeliest label, in 255ths.
    pub fn confidence(&self) -> u8 {
        ((self.top().1 * 255 + ONE / 2) / ONE).min(255) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(label: Label, share: u32) -> [u32; Label::COUNT] {
        let mut probability = [(ONE - share) / 7; Label::COUNT];
        probability[label as usize] = share;
        probability
    }

    const FRAME: u64 = 33 * MS;

    #[test]
    fn softmax_is_that_of_the_logits() {
        let found = Softmax::new(0.05).probabilities(&[100, 120, 90]);
        let logits = [100.0f64, 120.0, 90.0].map(|score| libm::exp(0.05 * score));
        let sum: f64 = logits.iter().sum();
        for (found, logit) in found.iter().zip(logits) {
            assert!((f64::from(*found) / f64::from(ONE) - logit / sum).abs() < 1e-4);
        }
        assert_eq!(found[3..], [0; 5]);
        assert_eq!(Softmax::new(1.0).probabilities(&[]), [0; 8]);
    }

    #[test]
    fn one_odd_frame_changes_nothing_and_a_lasting_change_does() {
        let by = Smoothing::default();
        let mut smoother = Smoother::default();
        let mut now = 0;
        let mut see = |smoother: &mut Smoother, label, frames| {
            for _ in 0..frames {
                now += FRAME;
                smoother.update(&of(label, ONE * 9 / 10), now, &by);
            }
            smoother.label()
        };
        assert_eq!(see(&mut smoother, Label::Neutral, 30), Some(Label::Neutral));
        for _ in 0..20 {
            assert_eq!(see(&mut smoother, Label::Anger, 2), Some(Label::Neutral));
            assert_eq!(see(&mut smoother, Label::Neutral, 6), Some(Label::Neutral));
        }
        assert_eq!(see(&mut smoother, Label::Happiness, 30), Some(Label::Happiness));
        assert!(smoother.confidence() > 200);
    }

    #[test]
    fn what_is_not_sure_has_no_label() {
        let by = Smoothing { min_confidence: 128, ..Smoothing::default() };
        let mut smoother = Smoother::default();
        let mut now = 0;
        for _ in 0..30 {
            now += FRAME;
            smoother.update(&of(Label::Fear, ONE * 4 / 10), now, &by);
        }
        assert_eq!(smoother.label(), None);
        for _ in 0..30 {
            now += FRAME;
            smoother.update(&of(Label::Fear, ONE * 9 / 10), now, &by);
        }
        assert_eq!(smoother.label(), Some(Label::Fear));
        for _ in 0..60 {
            now += FRAME;
            smoother.update(&of(Label::Fear, ONE * 4 / 10), now, &by);
        }
        assert_eq!(smoother.label(), None);
    }

    #[test]
    fn without_smoothing_each_frame_speaks_for_itself() {
        let by = Smoothing { constant_ms: 0, hold_ms: 0, margin: 0, min_confidence: 0 };
        let mut smoother = Smoother::default();
        for (now, label) in [Label::Neutral, Label::Anger, Label::Fear, Label::Neutral].into_iter().enumerate() {
            smoother.update(&of(label, ONE / 2), now as u64, &by);
            assert_eq!(smoother.label(), Some(label));
        }
    }
}
