//! Percentiles of millions of values in a few kilobytes.

/// Counts of values in bins that are a 128th of their value wide: a percentile is right to 0.4 %, below 256 exactly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    bins: Vec<u64>,
    count: u64,
}

/// Bins to each power of two, as a power of two.
const BITS: u32 = 7;

impl Histogram {
    /// Counts a value.
    pub fn add(&mut self, value: u32) {
        let bin = bin_of(value);
        if self.bins.len() <= bin {
            self.bins.resize(bin + 1, 0);
        }
        if let Some(count) = self.bins.get_mut(bin) {
            *count += 1;
        }
        self.count += 1;
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The value below or at which this share of the values lies, from 0 to 1; `None` if there are none.
    pub fn at(&self, share: f64) -> Option<u32> {
        let rank = (share.clamp(0.0, 1.0) * self.count.saturating_sub(1) as f64).round() as u64;
        let mut below = 0;
        let bin = self.bins.iter().position(|count| {
            below += count;
            below > rank
        })?;
        Some(middle_of(bin))
    }
}

fn bin_of(value: u32) -> usize {
    let octave = (32 - value.leading_zeros()).saturating_sub(BITS + 1);
    ((octave << BITS) + (value >> octave)) as usize
}

fn middle_of(bin: usize) -> u32 {
    let octave = (bin >> BITS).saturating_sub(1) as u32;
    let low = ((bin as u64) - (u64::from(octave) << BITS)) << octave;
    u32::try_from(low + (1 << octave) / 2).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_in_a_bin_around_it() {
        let powers = (0..32).flat_map(|bit| [1 << bit, (1 << bit) + 1]);
        for value in (0..5000).chain(powers).chain([u32::MAX]) {
            let middle = middle_of(bin_of(value));
            assert!(f64::from(middle.abs_diff(value)) <= f64::from(value) * 0.004, "{value}: {middle}");
        }
        let steps = (1..5000).map(|value| bin_of(value) - bin_of(value - 1));
        assert!(steps.max() == Some(1) && bin_of(u32::MAX) < 4096, "no bin is left out");
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_values() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.at(0.5), None);
        (1..=201).for_each(|value| histogram.add(value));
        assert_eq!([0.0, 0.5, 0.95, 1.0].map(|share| histogram.at(share)), [1, 101, 191, 201].map(Some));
        assert_eq!(histogram.count(), 201);
    }
}
