//! AArch64 with dot products of bytes (Cortex-A55, A76, A78): four products are added to a 32-bit sum at once.

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

use super::neon::blocks;
use super::neon_output::{Requantized, load};
use super::{Kernel, MAX_CHANNELS, Tile};
use crate::unroll::each;
use crate::winograd;

/// Dot products: a block is four registers of four sums.
struct Dot;

/// Bytes of a place loaded at once: four quads, each the factor of one instruction.
const GRANULE: usize = 16;
/// Bytes of a quad.
const QUAD: usize = 4;
/// Channels of a block: four registers of sums.
const BLOCK: usize = 16;
/// Registers of sums of a block.
const REGISTERS: usize = BLOCK / 4;

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
        MAX_CHANNELS / BLOCK
    }

    fn places(&self, _blocks: usize) -> usize {
        // 24 sums, the bytes of six places and the weights of a quad fit into 32 registers.
        6
    }

    fn granule(&self) -> usize {
        GRANULE
    }

    fn flip(&self) -> u8 {
        128
    }

    /// `[block][quad][channel of the block][4]`.
    fn pack(&self, filters: &[i8], channels: usize, granules: usize) -> Vec<u8> {
        blocks(filters, channels, granules * GRANULE / QUAD, BLOCK)
    }

    unsafe fn tile(&self, tile: &Tile) {
        macro_rules! by_places {
            ($whole:literal, $($places:literal)*) => {
                match tile.places {
                    // SAFETY: the caller's.
                    $($places => unsafe { places::<$places, $whole>(tile) },)*
                    _ => {}
                }
            };
        }
        // The last granule of a run may have a quad that does not count: a window of 3x3 over one channel has three in all.
        if tile.reduction.run.div_ceil(QUAD) % 4 == 3 {
            by_places!(false, 1 2 3 4 5 6);
        } else {
            by_places!(true, 1 2 3 4 5 6);
        }
    }

    fn winograd(&self) -> &'static dyn winograd::Arithmetic {
        &winograd::NEON
    }

    fn max_winograd_weights(&self) -> usize {
        0
    }
}

/// Unless runs are `WHOLE`, the last quad of each is left out.
///
/// # Safety
/// As [`Kernel::tile`].
#[target_feature(enable = "neon,dotprod")]
unsafe fn places<const PLACES: usize, const WHOLE: bool>(tile: &Tile) {
    let panel = tile.panel;
    let mut weights: *const u8 = panel.weight.as_ptr().cast();
    for block in 0..panel.blocks {
        let mut bias = [vdupq_n_s32(0); REGISTERS];
        for (register, bias) in bias.iter_mut().enumerate() {
            // SAFETY: the caller's: as many biases as the blocks have channels.
            *bias =
                unsafe { panel.bias.as_ptr().add(BLOCK * block + 4 * register).cast::<int32x4_t>().read_unaligned() };
        }
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
                    quad::<1, PLACES>(&mut sums, &values, weights.add(QUAD * BLOCK));
                    quad::<2, PLACES>(&mut sums, &values, weights.add(2 * QUAD * BLOCK));
                    if WHOLE || step + 1 < tile.reduction.steps {
                        quad::<3, PLACES>(&mut sums, &values, weights.add(3 * QUAD * BLOCK));
                    }
                }
                // SAFETY: at most one past the end of the weights.
                weights = unsafe { weights.add(GRANULE * BLOCK) };
            }
        }
        // SAFETY: the caller's.
        let requantized = unsafe { Requantized::new(tile, block) };
        each!(PLACE in 0 1 2 3 4 5 => {
            if PLACE < PLACES {
                // SAFETY: the caller's.
                unsafe { requantized.write(PLACE, &sums[PLACE]) };
            }
        });
    }
}

/// Adds the products of one quad of every place.
///
/// # Safety
/// The processor has the instructions, and the weights of a quad can be read.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn quad<const NUMBER: usize, const PLACES: usize>(
    sums: &mut [[int32x4_t; REGISTERS]; PLACES],
    values: &[int8x16_t; PLACES],
    weights: *const u8,
) {
    for register in 0..REGISTERS {
        // SAFETY: as for this function.
        let filters = unsafe { load(weights.add(16 * register)) };
        for (sums, values) in sums.iter_mut().zip(values) {
            sums[register] = dot::<NUMBER>(sums[register], filters, *values);
        }
    }
}

/// Adds to each sum the dot product of its four weights and quad `NUMBER` of `values`. As text: the intrinsic is not stable.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot<const NUMBER: usize>(mut sums: int32x4_t, weights: int8x16_t, values: int8x16_t) -> int32x4_t {
    // SAFETY: it changes this register alone.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {weights:v}.16b, {values:v}.4b[{quad}]",
            sums = inout(vreg) sums,
            weights = in(vreg) weights,
            values = in(vreg) values,
            quad = const NUMBER,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}
