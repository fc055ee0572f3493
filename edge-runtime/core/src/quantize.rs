//! The arithmetic of the int8 graph's affine quantization.
//!
//! Every requantization multiplier of an exported graph is `multiplier / 2^16` with an integer `multiplier`. If the result does
//! not saturate, the product of accumulator and multiplier then has at most 24 significant bits, so engines that requantize in
//! f32 (onnxruntime, stock tract per channel) and engines that do it in integers give the same result: `docs/exactness.md`.

/// The number of fraction bits of a requantization multiplier.
pub const MULTIPLIER_BITS: u32 = 16;

/// Returns `round_half_even(accumulator * multiplier / 2^16) + zero_point`, clamped to `0..=255`.
///
/// ```
/// # use expression_core::quantize::requantize;
/// assert_eq!(requantize(1000, 6554, 10), 110); // 1000 times a tenth, plus 10
/// assert_eq!(requantize(-1000, 6554, 10), 0); // saturates
/// ```
pub const fn requantize(accumulator: i32, multiplier: u32, zero_point: u8) -> u8 {
    let product = accumulator as i64 * multiplier as i64;
    let floor = product >> MULTIPLIER_BITS;
    let rest = product & ((1 << MULTIPLIER_BITS) - 1);
    let half = 1 << (MULTIPLIER_BITS - 1);
    let rounded = floor + (rest > half || (rest == half && floor & 1 == 1)) as i64;
    let shifted = rounded + zero_point as i64;
    if shifted < 0 {
        0
    } else if shifted > 255 {
        255
    } else {
        shifted as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_half_to_even_on_both_sides_of_zero() {
        let half = 1 << (MULTIPLIER_BITS - 1);
        let rounded = |accumulator| i32::from(requantize(accumulator, half, 100)) - 100;
        assert_eq!([-5, -3, -1, 1, 3, 5].map(rounded), [-2, -2, 0, 0, 2, 2]);
        assert_eq!([-4, -2, 0, 2, 4].map(rounded), [-2, -1, 0, 1, 2]);
    }

    #[test]
    fn saturates() {
        assert_eq!(requantize(i32::MAX, u32::MAX, 0), 255);
        assert_eq!(requantize(i32::MIN, u32::MAX, 255), 0);
    }

    #[test]
    fn equals_f32_arithmetic_where_it_does_not_saturate() {
        // A small linear congruential generator: enough to meet many mantissas.
        let mut state = 1u64;
        for _ in 0..200_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let multiplier = 1 + (state >> 50) as u32;
            let limit = (300u64 << MULTIPLIER_BITS) / u64::from(multiplier);
            let accumulator = ((state >> 8) % limit) as i32;
            let float = accumulator as f32 * (multiplier as f32 / 65536.0);
            // Rounding to even without the standard library: the f32 spacing is 1 above 2^23.
            let rounded = (float + 12_582_912.0) - 12_582_912.0;
            assert_eq!(f32::from(requantize(accumulator, multiplier, 0)), rounded.min(255.0));
        }
    }
}
