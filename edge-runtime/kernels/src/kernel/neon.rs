//! AArch64 with plain NEON (Cortex-A53, A57, A72): products of bytes are summed in pairs in 16 bits, the pairs in 32 bits.

use std::arch::aarch64::*;
use std::arch::is_aarch64_feature_detected;

use super::neon_output::{load, write};
use super::{Kernel, Tile, interleave, short};
use crate::winograd;

/// NEON: a block is four channels, each with four sums a place, which are added up at the end.
struct Neon;

/// Bytes multiplied at once.
const GRANULE: usize = 16;
/// Channels of a block.
const BLOCK: usize = 4;
/// Blocks of a panel: not more than registers hold, for they are computed one after the other, but so many that what comes
/// before and after them counts little, and so few that their weights stay in a first-level cache.
const MAX_BLOCKS: usize = 8;

/// Returns the kernel if this processor has the instructions.
pub fn available() -> Option<&'static dyn Kernel> {
    is_aarch64_feature_detected!("neon").then_some(&Neon)
}

impl Kernel for Neon {
    fn name(&self) -> &'static str {
        "neon"
    }

    fn block(&self) -> usize {
        BLOCK
    }

    fn max_blocks(&self) -> usize {
        MAX_BLOCKS
    }

    fn places(&self, _blocks: usize) -> usize {
        // 16 sums, the weights of a step and eight products under way fit into 32 registers.
        4
    }

    fn granule(&self) -> usize {
        GRANULE
    }

    fn flip(&self) -> u8 {
        128
    }

    /// `[block][granule][channel of the block][byte]`; of a single granule as `short` has it.
    fn pack(&self, filters: &[i8], channels: usize, granules: usize) -> Vec<u8> {
        if granules == 1 {
            return short::pack(filters, channels);
        }
        blocks(filters, channels, granules, BLOCK)
    }

    unsafe fn tile(&self, tile: &Tile) {
        macro_rules! by_places {
            ($pairs:literal, $($places:literal)*) => {
                match tile.places {
                    // SAFETY: the caller's.
                    $($places => unsafe { places::<$places, $pairs>(tile) },)*
                    _ => {}
                }
            };
        }
        if tile.reduction.rows * tile.reduction.steps == 1 {
            // SAFETY: the caller's; `pack` has seen one granule.
            return unsafe { short::places(tile) };
        }
        // Two products fit into 16 bits, unless both are -128 by -128.
        match tile.panel.lowest {
            i8::MIN => by_places!(false, 1 2 3 4),
            _ => by_places!(true, 1 2 3 4),
        }
    }

    fn winograd(&self) -> &'static dyn winograd::Arithmetic {
        &winograd::NEON
    }

    fn max_winograd_weights(&self) -> usize {
        4096
    }
}

/// `[block][granule][channel of the block][byte]` of `[channel][granule][byte]`.
pub fn blocks(filters: &[i8], channels: usize, granules: usize, block: usize) -> Vec<u8> {
    let length = (filters.len() / channels.max(1) * block).max(1);
    filters.chunks(length).flat_map(|filters| interleave(filters, block, granules)).collect()
}

/// # Safety
/// As [`Kernel::tile`].
// By numbers: the order of the loops decides what stays in registers.
#[expect(clippy::needless_range_loop)]
#[target_feature(enable = "neon")]
unsafe fn places<const PLACES: usize, const PAIRS: bool>(tile: &Tile) {
    let panel = tile.panel;
    let mut whole = [[vdupq_n_s32(0); MAX_BLOCKS]; PLACES];
    let mut weights: *const u8 = panel.weight.as_ptr().cast();
    for block in 0..panel.blocks {
        let mut sums = [[vdupq_n_s32(0); BLOCK]; PLACES];
        for row in 0..tile.reduction.rows {
            let mut runs = [tile.input; PLACES];
            for (run, at) in runs.iter_mut().zip(tile.input_at) {
                // SAFETY: the caller's: rows of the input.
                *run = unsafe { run.add(at + row * tile.reduction.stride) };
            }
            for step in 0..tile.reduction.steps {
                let mut filters = [vdupq_n_s8(0); BLOCK];
                for (channel, filter) in filters.iter_mut().enumerate() {
                    // SAFETY: the caller's: a granule for each step and channel.
                    *filter = unsafe { load(weights.add(GRANULE * channel)) };
                }
                for place in 0..PLACES {
                    // SAFETY: the caller's: steps of a granule lie in the input.
                    let values = unsafe { load(runs[place].add(GRANULE * step)) };
                    for channel in 0..BLOCK {
                        let (sum, filter) = (&mut sums[place][channel], filters[channel]);
                        let low = vmull_s8(vget_low_s8(values), vget_low_s8(filter));
                        if PAIRS {
                            *sum = vpadalq_s16(*sum, vmlal_high_s8(low, values, filter));
                        } else {
                            *sum = vpadalq_s16(vpadalq_s16(*sum, low), vmull_high_s8(values, filter));
                        }
                    }
                }
                // SAFETY: at most one past the end of the weights.
                weights = unsafe { weights.add(GRANULE * BLOCK) };
            }
        }
        // SAFETY: the caller's: as many biases as the blocks have channels.
        let bias = unsafe { vld1q_s32(panel.bias.as_ptr().add(BLOCK * block)) };
        for (whole, sums) in whole.iter_mut().zip(sums) {
            let sum = vpaddq_s32(vpaddq_s32(sums[0], sums[1]), vpaddq_s32(sums[2], sums[3]));
            whole[block] = vaddq_s32(sum, bias);
        }
    }
    for (place, sums) in whole.iter().enumerate() {
        // SAFETY: the caller's.
        unsafe { write(tile, place, sums) };
    }
}
