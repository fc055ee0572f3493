//! How sure a share of few samples is.

/// The 97.5th percentile of the normal distribution.
const Z: f64 = 1.959_964;

/// Returns the ends of the 95 % confidence interval of a share: `hits` of `samples`, at least one. Wilson's score interval,
/// which stays within 0 to 1 and holds for small samples (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927).
pub fn wilson(hits: usize, samples: usize) -> Option<[f64; 2]> {
    if samples == 0 {
        return None;
    }
    let n = samples as f64;
    let share = hits as f64 / n;
    let centre = share + Z * Z / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    Some([centre - half, centre + half].map(|end| (end / (1.0 + Z * Z / n)).clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_samples_give_a_wide_interval() {
        // Reference values: statsmodels' proportion_confint(method="wilson").
        let close = |found: Option<[f64; 2]>, expected: [f64; 2]| {
            found.unwrap().iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 5e-4)
        };
        assert!(close(wilson(8, 10), [0.4902, 0.9433]), "{:?}", wilson(8, 10));
        assert!(close(wilson(96, 96), [0.9615, 1.0]), "{:?}", wilson(96, 96));
        assert!(close(wilson(0, 5), [0.0, 0.4345]), "{:?}", wilson(0, 5));
        assert_eq!(wilson(0, 0), None);
    }
}
