//! Two models on the same samples: which answers changed, and whether that is more than chance.

use serde::{Deserialize, Serialize};

/// Right and wrong answers of two models to the same samples, counted in pairs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Samples.
    pub samples: usize,
    /// Right by both.
    pub both: usize,
    /// Right by the new model, wrong by the old one.
    pub gained: usize,
    /// Right by the old model, wrong by the new one.
    pub lost: usize,
}

impl Comparison {
    /// Counts pairs of whether the old and the new model are right.
    pub fn new(pairs: impl IntoIterator<Item = (bool, bool)>) -> Comparison {
        let mut counts = Comparison::default();
        for (old, new) in pairs {
            counts.samples += 1;
            counts.both += usize::from(old && new);
            counts.gained += usize::from(!old && new);
            counts.lost += usize::from(old && !new);
        }
        counts
    }

    /// Accuracies of the old and the new model.
    pub fn accuracies(&self) -> [f64; 2] {
        [self.lost, self.gained].map(|alone| (self.both + alone) as f64 / self.samples.max(1) as f64)
    }

    /// The exact two-sided p of McNemar's test: how likely it is that two equally good models differ at least so much
    /// (McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", Psychometrika 12,
    /// 1947; exact by the binomial distribution of the samples on which one alone is right).
    pub fn p(&self) -> f64 {
        let (count, fewer) = (self.gained + self.lost, self.gained.min(self.lost));
        // Logarithms: half to the power of some thousand samples is less than a float holds.
        let mut ways = 0.0f64;
        let mut sum = 0.0f64;
        for part in 0..=fewer {
            if part > 0 {
                ways += ((count - part + 1) as f64).ln() - (part as f64).ln();
            }
            sum += (ways - count as f64 * std::f64::consts::LN_2).exp();
        }
        (2.0 * sum).min(1.0)
    }

    /// The comparison in one sentence.
    pub fn sentence(&self) -> String {
        let Comparison { gained, lost, .. } = self;
        let p = self.p();
        let p_text = if p < 1e-4 { "p < 0.0001".to_owned() } else { format!("p = {p:.4}") };
        let [old, new] = self.accuracies().map(|share| 100.0 * share);
        let verdict = match gained.cmp(lost) {
            _ if p >= 0.05 => "no clear difference",
            std::cmp::Ordering::Greater => "new is better",
            _ => "new is worse",
        };
        let counts = format!("{gained} right that were wrong, {lost} the other way, {p_text}");
        format!("{verdict}: {counts}; accuracy {old:.2} % before, {new:.2} % now")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(gained: usize, lost: usize) -> Comparison {
        Comparison { samples: 1000, both: 500, gained, lost }
    }

    #[test]
    fn p_is_that_of_the_exact_test() {
        // Reference values: scipy.stats.binomtest(k, n, 0.5).pvalue.
        for (gained, lost, expected) in
            [(31, 9, 0.000_680_4), (5, 5, 1.0), (0, 6, 0.031_25), (0, 0, 1.0), (12, 3, 0.035_156)]
        {
            let found = counted(gained, lost).p();
            assert!((found - expected).abs() < 1e-6, "{gained}, {lost}: {found}");
        }
        let many = counted(4000, 3000).p();
        assert!(many > 0.0 && many < 1e-30, "{many}");
    }

    #[test]
    fn the_sentence_says_which_is_better() {
        let line = counted(31, 9).sentence();
        assert!(line.starts_with("new is better: 31 right that were wrong, 9 the other way, p = 0.0007"), "{line}");
        assert!(counted(9, 31).sentence().starts_with("new is worse"));
        assert!(counted(9, 12).sentence().starts_with("no clear difference"));
        let pairs = Comparison::new([(true, true), (true, false), (false, true), (false, true), (false, false)]);
        assert_eq!(pairs, Comparison { samples: 5, both: 1, gained: 2, lost: 1 });
        assert_eq!(pairs.accuracies(), [0.4, 0.6]);
    }
}
