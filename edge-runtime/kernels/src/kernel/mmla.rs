//! AArch64 with products of matrices of bytes (i8mm; Cortex-A510, A710, X2, Neoverse V1): two places times two channels, eight
//! products a sum, in one instruction.

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

use super::neon::blocks;
use super::neon_output::{load, write};
use super::{Kernel, Tile};
use crate::winograd;

/// Products of matrices: a block is four pairs of channels.
struct Mmla;

/// Bytes of a place loaded at once: two factors of eight.
const GRANULE: usize = 16;
/// Channels of a block.
const BLOCK: usize = 8;
/// Pairs of channels of a block.
const PAIRS: usize = BLOCK / 2;
/// Blocks of a panel: not more than registers hold, for they are computed one after the other; see `neon`.
const MAX_BLOCKS: usize = 4;

/// Returns the kernel if this processor has the instructions.
pub fn available() -> Option<&'static dyn Kernel> {
    let found = is_aarch64_feature_detected!("neon") && is_aarch64_feature_detected!("i8mm");
    found.then_some(&Mmla)
}

impl Kernel for Mmla {
    fn name(&self) -> &'static str {
        "neon-i8mm"
    }

    fn block(&self) -> usize {
        BLOCK
    }

    fn max_blocks(&self) -> usize {
        MAX_BLOCKS
    }

    fn places(&self, _blocks: usize) -> usize {
        // 16 sums of two places by two channels, the bytes of eight places and a weight fit into 32 registers.
        8
    }

    fn granule(&self) -> usize {
        GRANULE
    }

    fn flip(&self) -> u8 {
        128
    }

    /// `[block][half of a granule][channel of the block][8]`: two channels a register.
    fn pack(&self, filters: &[i8], channels: usize, granules: usize) -> Vec<u8> {
        blocks(filters, channels, granules * 2, BLOCK)
    }

    unsafe fn tile(&self, tile: &Tile) {
        macro_rules! by_pairs {
            ($($pairs:literal)*) => {
                match tile.places.div_ceil(2) {
                    // SAFETY: the caller's.
                    $($pairs => unsafe { pairs::<$pairs>(tile) },)*
                    _ => {}
                }
            };
        }
        by_pairs!(1 2 3 4);
    }

    fn winograd(&self) -> &'static dyn winograd::Arithmetic {
        &winograd::NEON
    }

    fn max_winograd_weights(&self) -> usize {
        0
    }
}

/// Places in pairs; where their number is odd, the last is computed twice and written once.
///
/// # Safety
/// As [`Kernel::tile`].
#[target_feature(enable = "neon,i8mm")]
unsafe fn pairs<const PLACE_PAIRS: usize>(tile: &Tile) {
    let panel = tile.panel;
    let mut whole = [[[vdupq_n_s32(0); 2 * MAX_BLOCKS]; 2]; PLACE_PAIRS];
    let mut weights: *const u8 = panel.weight.as_ptr().cast();
    let last = tile.places - 1;
    for block in 0..panel.blocks {
        let mut sums = [[vdupq_n_s32(0); PAIRS]; PLACE_PAIRS];
        for row in 0..tile.reduction.rows {
            let mut runs = [[tile.input; 2]; PLACE_PAIRS];
            for (place, run) in runs.as_flattened_mut().iter_mut().enumerate() {
                let at = tile.input_at[place.min(last)];
                // SAFETY: the caller's: rows of the input.
                *run = unsafe { run.add(at + row * tile.reduction.stride) };
            }
            for step in 0..tile.reduction.steps {
                let mut values = [[vdupq_n_s8(0); 2]; PLACE_PAIRS];
                for (values, [first, second]) in values.iter_mut().zip(runs) {
                    // SAFETY: the caller's: steps of a granule lie in the input.
                    let (first, second) =
                        unsafe { (load(first.add(GRANULE * step)), load(second.add(GRANULE * step))) };
                    let (first, second) = (vreinterpretq_s64_s8(first), vreinterpretq_s64_s8(second));
                    *values =
                        [vzip1q_s64(first, second), vzip2q_s64(first, second)].map(|half| vreinterpretq_s8_s64(half));
                }
                for half in 0..2 {
                    for pair in 0..PAIRS {
                        // SAFETY: the caller's: a granule for each step and channel.
                        let filters = unsafe { load(weights.add((half * PAIRS + pair) * 16)) };
                        for (sums, values) in sums.iter_mut().zip(&values) {
                            sums[pair] = product(sums[pair], values[half], filters);
                        }
                    }
                }
                // SAFETY: at most one past the end of the weights.
                weights = unsafe { weights.add(GRANULE * BLOCK) };
            }
        }
        // SAFETY: the caller's: as many biases as the blocks have channels.
        let bias = unsafe {
            let first = panel.bias.as_ptr().add(BLOCK * block);
            [vld1q_s32(first), vld1q_s32(first.add(4))]
        };
        for (whole, sums) in whole.iter_mut().zip(sums) {
            for (half, bias) in bias.into_iter().enumerate() {
                let [low, high] = [sums[2 * half], sums[2 * half + 1]].map(|sums| vreinterpretq_s64_s32(sums));
                let places = [vzip1q_s64(low, high), vzip2q_s64(low, high)];
                for (whole, sums) in whole.iter_mut().zip(places) {
                    whole[2 * block + half] = vaddq_s32(vreinterpretq_s32_s64(sums), bias);
                }
            }
        }
    }
    for (place, sums) in whole.as_flattened().iter().enumerate().take(tile.places) {
        // SAFETY: the caller's.
        unsafe { write(tile, place, sums) };
    }
}

/// Adds to the sums of two places by two channels the products of eight bytes of each. As text: the intrinsic is not stable.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn product(mut sums: int32x4_t, values: int8x16_t, weights: int8x16_t) -> int32x4_t {
    // SAFETY: it changes this register alone.
    unsafe {
        asm!(
            "smmla {sums:v}.4s, {values:v}.16b, {weights:v}.16b",
            sums = inout(vreg) sums,
            values = in(vreg) values,
            weights = in(vreg) weights,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}
