//! AArch64 with plain NEON, sums of at most sixteen products, such as those of a first layer with one channel: products of 16
//! bits by a lane. Sums of other kernels' kind would cost more to add up at the end than to compute.

use std::arch::aarch64::*;

use super::neon_output::{Requantized, load};
use super::{Tile, interleave};
use crate::unroll::each;

/// Products of a sum.
const LENGTH: usize = 16;
/// Channels computed at once: four registers of sums.
const BLOCK: usize = 16;
/// Registers of sums of a block.
const REGISTERS: usize = BLOCK / 4;

/// Widened weights: `[block][product][channel]`, from `[channel][product]`.
pub fn pack(filters: &[i8], channels: usize) -> Vec<u8> {
    let mut filters = filters.to_vec();
    filters.resize(channels.next_multiple_of(BLOCK) * LENGTH, 0);
    let blocks = filters.chunks(BLOCK * LENGTH).flat_map(|filters| {
        // Granules of one byte.
        interleave(filters, BLOCK, LENGTH)
    });
    blocks.flat_map(|weight| i16::from(weight.cast_signed()).to_le_bytes()).collect()
}

/// Computes up to four places.
///
/// # Safety
/// As [`super::Kernel::tile`]; the reduction is one granule, and the weights are packed by [`pack`].
#[target_feature(enable = "neon")]
pub unsafe fn places(tile: &Tile) {
    match tile.places {
        // SAFETY: the caller's.
        1 => unsafe { count::<1>(tile) },
        // SAFETY: the caller's.
        2 => unsafe { count::<2>(tile) },
        // SAFETY: the caller's.
        3 => unsafe { count::<3>(tile) },
        // SAFETY: the caller's.
        _ => unsafe { count::<4>(tile) },
    }
}

/// # Safety
/// As [`places`].
#[target_feature(enable = "neon")]
unsafe fn count<const PLACES: usize>(tile: &Tile) {
    let panel = tile.panel;
    let mut values = [[vdupq_n_s16(0); 2]; PLACES];
    for (values, at) in values.iter_mut().zip(tile.input_at) {
        // SAFETY: the caller's: a granule of the input.
        let bytes = unsafe { load(tile.input.add(at)) };
        *values = [vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes)];
    }
    let mut weights: *const i16 = panel.weight.as_ptr().cast();
    for block in 0..panel.channels.div_ceil(BLOCK) {
        let mut bias = [vdupq_n_s32(0); REGISTERS];
        for (register, bias) in bias.iter_mut().enumerate() {
            // SAFETY: the caller's: as many biases as whole blocks of sixteen have channels.
            let first = unsafe { panel.bias.as_ptr().add(BLOCK * block + 4 * register) };
            // SAFETY: as above.
            *bias = unsafe { first.cast::<int32x4_t>().read_unaligned() };
        }
        let mut sums = [bias; PLACES];
        each!(PRODUCT in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 => {
            if PRODUCT < tile.reduction.run {
                const LANE: i32 = PRODUCT as i32 % 8;
                for half in 0..2 {
                    // SAFETY: the caller's: weights of each product for sixteen channels.
                    let filters = unsafe { weights.add(BLOCK * PRODUCT + 8 * half).cast::<int16x8_t>().read_unaligned() };
                    for (sums, values) in sums.iter_mut().zip(values) {
                        let (values, sums) = (values[PRODUCT / 8], &mut sums[2 * half..2 * half + 2]);
                        sums[0] = vmlal_laneq_s16::<LANE>(sums[0], vget_low_s16(filters), values);
                        sums[1] = vmlal_high_laneq_s16::<LANE>(sums[1], filters, values);
                    }
                }
            }
        });
        // SAFETY: the caller's.
        unsafe { Requantized::new(tile, block).write_all((tile.output, &tile.output_at), &sums) };
        weights = weights.wrapping_add(BLOCK * LENGTH);
    }
}
