//! x86-64 with AVX2 alone: products of pairs in 16 bits would saturate, so bytes are widened first.

use std::arch::x86_64::*;

use super::{Kernel, Tile, interleave};
use crate::winograd;

/// AVX2: a block is a register of eight sums.
struct Avx2;

/// Bytes multiplied at once.
const GRANULE: usize = 4;

/// Returns the kernel if this processor has the instructions.
pub fn available() -> Option<&'static dyn Kernel> {
    is_x86_feature_detected!("avx2").then_some(&Avx2)
}

impl Kernel for Avx2 {
    fn name(&self) -> &'static str {
        "avx2"
    }

    fn block(&self) -> usize {
        8
    }

    fn max_blocks(&self) -> usize {
        2
    }

    fn places(&self, _blocks: usize) -> usize {
        4
    }

    fn granule(&self) -> usize {
        GRANULE
    }

    /// For each granule and half (even bytes, odd bytes): a pair of 16 bits for each channel.
    fn pack(&self, filters: &[i8], channels: usize, granules: usize) -> Vec<u8> {
        let bytes = interleave(filters, channels, granules);
        let mut packed = Vec::with_capacity(2 * bytes.len());
        for step in bytes.chunks_exact(GRANULE * channels) {
            for half in 0..2 {
                for weights in step.chunks_exact(GRANULE) {
                    for weight in [weights[half], weights[half + 2]] {
                        packed.extend(i16::from(weight.cast_signed()).to_le_bytes());
                    }
                }
            }
        }
        packed
    }

    unsafe fn tile(&self, tile: &Tile) {
        macro_rules! by_places {
            ($blocks:literal, $($places:literal)*) => {
                match tile.places {
                    // SAFETY: the caller's.
                    $($places => unsafe { places::<$places, $blocks>(tile) },)*
                    _ => {}
                }
            };
        }
        match tile.panel.blocks {
            1 => by_places!(1, 1 2 3 4),
            _ => by_places!(2, 1 2 3 4),
        }
    }

    fn winograd(&self) -> &'static dyn winograd::Arithmetic {
        &winograd::AVX2
    }

    fn max_winograd_weights(&self) -> usize {
        16384
    }

    fn min_fresh_winograd_pixels(&self) -> Option<usize> {
        Some(144)
    }
}

/// # Safety
/// As [`Kernel::tile`].
// By numbers: the order of the loops decides what stays in registers.
#[expect(clippy::needless_range_loop)]
#[target_feature(enable = "avx2")]
unsafe fn places<const PLACES: usize, const BLOCKS: usize>(tile: &Tile) {
    let panel = tile.panel;
    let mut sums = [[_mm256_setzero_si256(); BLOCKS]; PLACES];
    for sums in &mut sums {
        for (block, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's: as many as the blocks have channels.
            *sum = unsafe { _mm256_loadu_si256(panel.bias.as_ptr().add(8 * block).cast()) };
        }
    }
    let even = _mm256_set1_epi16(0xff);
    let mut weights: *const u8 = panel.weight.as_ptr().cast();
    for row in 0..tile.reduction.rows {
        let mut runs = [tile.input; PLACES];
        for (run, at) in runs.iter_mut().zip(tile.input_at) {
            // SAFETY: the caller's: rows of the input.
            *run = unsafe { run.add(at + row * tile.reduction.stride) };
        }
        for step in 0..tile.reduction.steps {
            for half in 0..2 {
                let mut pairs = [even; PLACES];
                for place in 0..PLACES {
                    // SAFETY: the caller's: steps of four bytes lie in the input.
                    let bytes = unsafe { runs[place].add(GRANULE * step).cast::<i32>().read_unaligned() };
                    let bytes = _mm256_set1_epi32(bytes);
                    pairs[place] =
                        if half == 0 { _mm256_and_si256(bytes, even) } else { _mm256_srli_epi16::<8>(bytes) };
                }
                for block in 0..BLOCKS {
                    // SAFETY: the caller's: a register for each half step and block.
                    let filter = unsafe { _mm256_load_si256(weights.add(32 * block).cast()) };
                    for place in 0..PLACES {
                        let products = _mm256_madd_epi16(pairs[place], filter);
                        sums[place][block] = _mm256_add_epi32(sums[place][block], products);
                    }
                }
                // SAFETY: at most one past the end of the weights.
                weights = unsafe { weights.add(32 * BLOCKS) };
            }
        }
    }
    // A copy, so that the sums above stay in registers: what is indexed by a variable lies in memory.
    let sums = std::hint::black_box(sums);
    for (place, sums) in sums.iter().enumerate() {
        for (block, sum) in sums.iter().enumerate() {
            // SAFETY: as many multipliers as sums; the caller's.
            unsafe {
                let multiplier = _mm256_loadu_ps(panel.multiplier.as_ptr().add(8 * block));
                let bytes = requantized256(*sum, multiplier, panel.bounded, tile.zero, tile.flip);
                tile.write(place, 8 * block, bytes);
            }
        }
    }
}

/// Eight sums requantized. If they are `bounded`, they are clamped after they are rounded: the bounds are whole numbers, so it
/// makes no difference.
#[inline]
#[target_feature(enable = "avx2")]
pub fn requantized256(sums: __m256i, multiplier: __m256, bounded: bool, zero: u8, flip: u8) -> [u8; 8] {
    let mut value = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), multiplier);
    if !bounded {
        let (low, high) = (-f32::from(zero), 255.0 - f32::from(zero));
        value = _mm256_min_ps(_mm256_max_ps(value, _mm256_set1_ps(low)), _mm256_set1_ps(high));
    }
    // Rounds half to even: the processor's mode, which nobody changes.
    let value = _mm256_add_epi32(_mm256_cvtps_epi32(value), _mm256_set1_epi32(i32::from(zero)));
    let words = _mm_packs_epi32(_mm256_castsi256_si128(value), _mm256_extracti128_si256::<1>(value));
    let bytes = _mm_xor_si128(_mm_packus_epi16(words, words), _mm_set1_epi8(flip.cast_signed()));
    _mm_cvtsi128_si64(bytes).to_le_bytes()
}
