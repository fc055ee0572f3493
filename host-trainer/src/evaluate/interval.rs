//! Confidence intervals of shares.

/// The normal quantile of a two-sided 95 % interval.
const Z: f64 = 1.959_963_984_540_054;

/// Returns the Wilson score interval at 95 % of a share: `part` of `whole` (Wilson 1927, "Probable inference, the law of
/// succession, and statistical inference", JASA 22). With nothing observed it is 0 to 1.
pub fn wilson(part: usize, whole: usize) -> [f64; 2] {
    if whole == 0 {
        return [0.0, 1.0];
    }
    let (n, share) = (whole as f64, part as f64 / whole as f64);
    let z2 = Z * Z;
    let middle = share + z2 / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    [(middle - half) / (1.0 + z2 / n), (middle + half) / (1.0 + z2 / n)].map(|bound| bound.clamp(0.0, 1.0))
}

/// Returns the change of a share between two models on the same `whole` samples, and half of its 95 % interval, by the normal
/// approximation for paired proportions: `gained` are right by the new one alone, `lost` by the old one alone.
pub fn paired(gained: f64, lost: f64, whole: f64) -> (f64, f64) {
    let whole = whole.max(1.0);
    let change = (gained - lost) / whole;
    let variance = ((gained + lost) / whole - change * change).max(0.0) / whole;
    (change, Z * variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        // Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20.
        for (part, whole, expected) in
            [(81, 263, [0.2553, 0.3662]), (15, 148, [0.0624, 0.1605]), (0, 20, [0.0, 0.1611])]
        {
            let found = wilson(part, whole);
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 5e-5), "{part} of {whole}: {found:?}");
        }
        assert_eq!(wilson(0, 0), [0.0, 1.0]);
    }

    #[test]
    fn a_paired_change_depends_on_what_changed_alone() {
        // 32 gained and 12 lost of 400: (32 - 12) / 400, and 1.96 sqrt(44 - 400 / 400) / 400.
        let (change, half) = paired(32.0, 12.0, 400.0);
        assert!((change - 0.05).abs() < 1e-12 && (half - Z * 43f64.sqrt() / 400.0).abs() < 1e-12);
        assert_eq!(paired(0.0, 0.0, 400.0), (0.0, 0.0));
        assert_eq!(paired(0.0, 0.0, 0.0), (0.0, 0.0));
    }
}
