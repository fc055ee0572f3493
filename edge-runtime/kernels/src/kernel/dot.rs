//! AArch64 with dot products of bytes (Cortex-A55, A76, A78): four products are added to a 32-bit sum at once.

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

use super::neon::{blocks, load, write};
use super::{Kernel, Tile};
use crate::winograd;

/// Dot products: a block is two registers of four sums.
struct Dot;

/// Bytes of a place loaded at once: four quads, each the factor of one instruction.
const GRANULE: usize = 16;
/// Channels of a block.
const BLOCK: usize = 8;
/// Blocks of a panel: not more than registers hold, for they are computed one after the other; see `neon`.
const MAX_BLOCKS: usize = 4;

/// Returns the kernel if this processor has the instructions.
pub fn available() -> Option<&'static dyn Kernel> {
    let found = is_aarch64_feature_detected!("neon") && is_aarch64_feature_detected!("dotprod");
    found.then_some(&Dot)
}

impl Kernel for Dot {
    fn name(&self) -> &'static str {
        "neon-dotprod"
    }

    fn block(&self) -> usize {
        BLOCK
    }

    fn max_blocks(&self) -> usize {
        MAX_BLOCKS
    }

    fn places(&self, _blocks: usize) -> usize {
        // 16 sums, the bytes of eight places and the weights of two quads fit into 32 registers.
        8
    }

    fn granule(&self) -> usize {
        GRANULE
    }

    fn flip(&self) -> u8 {
        128
    }

    /// `[block][quad][channel of the block][4]`.
    fn pack(&self, filters: &[i8], channels: usize, granules: usize) -> Vec<u8> {
        blocks(filters, channels, granules * GRANULE / 4, BLOCK)
    }

    unsafe fn tile(&self, tile: &Tile) {
        macro_rules! by_places {
            ($($places:literal)*) => {
                match tile.places {
                    // SAFETY: the caller's.
                    $($places => unsafe { places::<$places>(tile) },)*
                    _ => {}
                }
            };
        }
        by_places!(1 2 3 4 5 6 7 8);
    }

    fn winograd(&self) -> &'static dyn winograd::Arithmetic {
        &winograd::NEON
    }

    fn prefers_winograd(&self, from: usize, to: usize, sides: [usize; 2]) -> bool {
        let _ = (from, to, sides);
        false
    }
}

/// # Safety
/// As [`Kernel::tile`].
#[target_feature(enable = "neon,dotprod")]
unsafe fn places<const PLACES: usize>(tile: &Tile) {
    let panel = tile.panel;
    let mut whole = [[vdupq_n_s32(0); 2 * MAX_BLOCKS]; PLACES];
    let mut weights: *const u8 = panel.weight.as_ptr().cast();
    for block in 0..panel.blocks {
        // SAFETY: the caller's: as many biases as the blocks have channels.
        let bias = unsafe {
            let first = panel.bias.as_ptr().add(BLOCK * block);
            [vld1q_s32(first), vld1q_s32(first.add(4))]
        };
        let mut sums = [bias; PLACES];
        for row in 0..tile.reduction.rows {
            let mut runs = [tile.input; PLACES];
            for (run, at) in runs.iter_mut().zip(tile.input_at) {
                // SAFETY: the caller's: rows of the input.
                *run = unsafe { run.add(at + row * tile.reduction.stride) };
            }
            for step in 0..tile.reduction.steps {
                let mut values = [vdupq_n_s8(0); PLACES];
                for (values, run) in values.iter_mut().zip(runs) {
                    // SAFETY: the caller's: steps of a granule lie in the input.
                    *values = unsafe { load(run.add(GRANULE * step)) };
                }
                // SAFETY: the caller's: four quads for each step and channel.
                unsafe {
                    quad::<0, PLACES>(&mut sums, &values, weights);
                    quad::<1, PLACES>(&mut sums, &values, weights.add(4 * BLOCK));
                    quad::<2, PLACES>(&mut sums, &values, weights.add(8 * BLOCK));
                    quad::<3, PLACES>(&mut sums, &values, weights.add(12 * BLOCK));
                }
                // SAFETY: at most one past the end of the weights.
                weights = unsafe { weights.add(GRANULE * BLOCK) };
            }
        }
        for (whole, sums) in whole.iter_mut().zip(sums) {
            whole[2 * block..2 * block + 2].copy_from_slice(&sums);
        }
    }
    for (place, sums) in whole.iter().enumerate() {
        // SAFETY: the caller's.
        unsafe { write(tile, place, sums) };
    }
}

/// Adds the products of one quad of every place.
///
/// # Safety
/// The processor has the instructions, and the weights of a quad can be read.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn quad<const QUAD: usize, const PLACES: usize>(
    sums: &mut [[int32x4_t; 2]; PLACES],
    values: &[int8x16_t; PLACES],
    weights: *const u8,
) {
    // SAFETY: as for this function.
    let filters = unsafe { [load(weights), load(weights.add(16))] };
    for half in 0..2 {
        for (sums, values) in sums.iter_mut().zip(values) {
            sums[half] = dot::<QUAD>(sums[half], filters[half], *values);
        }
    }
}

/// Adds to each sum the dot product of its four weights and quad `QUAD` of `values`. As text: the intrinsic is not stable.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot<const QUAD: usize>(mut sums: int32x4_t, weights: int8x16_t, values: int8x16_t) -> int32x4_t {
    // SAFETY: it changes this register alone.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {weights:v}.16b, {values:v}.4b[{quad}]",
            sums = inout(vreg) sums,
            weights = in(vreg) weights,
            values = in(vreg) values,
            quad = const QUAD,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}
