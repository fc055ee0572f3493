//! The low-light gain: raises the mean of a dark aligned face before the net sees it.
//!
//! It is part of a bundle's contract, so it computes in integers and gives the same bytes on every machine. With `n` bytes in the
//! face and `sum` their sum:
//!
//! ```text
//! if sum < below * n and sum > 0:
//!     gain = (to * n * 65536 + sum / 2) / sum             a 16.16 fixed-point number, at most 255.0
//!     byte = min(255, (byte * gain + 32768) / 65536)      for each byte; divisions round down
//! ```
//!
//! Otherwise the face stays as it is. Only the net sees the brightened face: the face's quality is judged by the original, since a
//! gain changes neither its sharpness nor its geometry, and the original is what the journal keeps.

/// One in the gain's fixed-point format.
const ONE: u64 = 1 << 16;
/// The highest gain. It takes every byte but 0 to 255, as any higher one would.
const MAX_GAIN: u64 = 255 * ONE;
/// Bytes that are summed in 32 bits.
const CHUNK: usize = 1 << 16;

/// A low-light gain: a face whose mean is below `below` gets the mean `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LowLight {
    below: u8,
    to: u8,
}

impl LowLight {
    /// Creates a gain that raises means below `below` to `to`. Returns `None` unless `1 <= below <= to`: it would darken faces.
    pub const fn new(below: u8, to: u8) -> Option<LowLight> {
        if below == 0 || below > to { None } else { Some(LowLight { below, to }) }
    }

    /// Returns the gain of a face in 65536ths, or `None` if the face is bright enough or black.
    pub fn gain(&self, face: &[u8]) -> Option<u32> {
        // Sums of 32 bits are added several at a time.
        let sum_of = |chunk: &[u8]| u64::from(chunk.iter().map(|byte| u32::from(*byte)).sum::<u32>());
        let sum: u64 = face.chunks(CHUNK).map(sum_of).sum();
        let count = face.len() as u64;
        if sum == 0 || sum >= u64::from(self.below) * count {
            return None;
        }
        let gain = (u64::from(self.to) * count * ONE + sum / 2) / sum;
        Some(gain.min(MAX_GAIN) as u32)
    }

    /// Brightens a face in place if it is dark: u8 `[channels, size, size]`, all channels by the same gain. Returns whether it was.
    pub fn apply(&self, face: &mut [u8]) -> bool {
        let Some(gain) = self.gain(face) else { return false };
        for byte in face {
            // At most 255 * 255 * 65536 + 32768, which 32 bits hold.
            *byte = ((u32::from(*byte) * gain + 0x8000) >> 16).min(255) as u8;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GAIN: LowLight = LowLight { below: 70, to: 100 };

    #[test]
    fn a_bright_or_black_face_stays_as_it_is() {
        for mut face in [[70; 16], [255; 16], [0; 16]] {
            let before = face;
            assert!(!GAIN.apply(&mut face));
            assert_eq!(face, before);
        }
        assert!(!GAIN.apply(&mut []));
    }

    #[test]
    fn a_dark_face_gets_the_mean() {
        let mut face = [20, 40, 60, 80];
        assert_eq!(GAIN.gain(&face), Some(2 << 16));
        assert!(GAIN.apply(&mut face));
        assert_eq!(face, [40, 80, 120, 160]);
        // 100 / 69 in 65536ths is 94979.7.
        let mut face = [69; 9];
        assert_eq!(GAIN.gain(&face), Some(94980));
        assert!(GAIN.apply(&mut face));
        assert_eq!(face, [100; 9]);
        // Just below the limit, by one grey level in one byte.
        let mut face = [70; 100];
        face[7] = 69;
        assert!(GAIN.apply(&mut face));
    }

    #[test]
    fn the_gain_is_bounded_and_bytes_saturate() {
        let mut face = [0; 1 << 17];
        (face[0], face[1]) = (1, 2);
        assert_eq!(GAIN.gain(&face), Some(255 << 16));
        assert!(GAIN.apply(&mut face));
        assert_eq!(face[..3], [255, 255, 0]);
    }

    #[test]
    fn a_gain_that_darkens_is_refused() {
        assert_eq!(LowLight::new(0, 100), None);
        assert_eq!(LowLight::new(101, 100), None);
        assert_eq!(LowLight::new(70, 100), Some(GAIN));
        assert!(LowLight::new(100, 100).is_some());
    }

    proptest! {
        /// Held to the quotient itself: 16 binary places of the gain cost a byte at most one step.
        #[test]
        fn each_byte_is_the_rounded_product(face in proptest::collection::vec(0u8..140, 1..300), below in 1u8..=255, more in 0u8..=255) {
            let to = below.saturating_add(more);
            let mut bright = face.clone();
            let applied = LowLight::new(below, to).unwrap().apply(&mut bright);
            let (sum, count) = (face.iter().map(|byte| f64::from(*byte)).sum::<f64>(), face.len() as f64);
            prop_assert_eq!(applied, sum > 0.0 && sum < f64::from(below) * count);
            let gain = if applied { f64::from(to) * count / sum } else { 1.0 };
            for (before, after) in face.iter().zip(bright) {
                let exact = (f64::from(*before) * gain).min(255.0);
                prop_assert!((exact - f64::from(after)).abs() <= 0.51, "{} by {}: {}", before, gain, after);
            }
        }
    }
}
