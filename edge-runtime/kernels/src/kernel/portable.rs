//! Without any instruction set in particular.

use super::{Kernel, Tile};
use crate::reference::requantize;
use crate::winograd;

/// The portable kernel.
pub struct Portable;

/// Channels of a block.
const BLOCK: usize = 16;
/// Bytes multiplied at once.
const GRANULE: usize = 4;

impl Kernel for Portable {
    fn name(&self) -> &'static str {
        "portable"
    }

    fn block(&self) -> usize {
        BLOCK
    }

    fn max_blocks(&self) -> usize {
        1
    }

    fn places(&self, _blocks: usize) -> usize {
        1
    }

    fn granule(&self) -> usize {
        GRANULE
    }

    unsafe fn tile(&self, tile: &Tile) {
        for place in 0..tile.places {
            let mut weights = tile.panel.weight.iter();
            let mut sums: [i32; BLOCK] = tile.panel.bias[..BLOCK].try_into().unwrap_or_default();
            for row in 0..tile.reduction.rows {
                let length = GRANULE * tile.reduction.steps;
                // SAFETY: the caller's: the window of each place can be read.
                let run = unsafe {
                    let first = tile.input.add(tile.input_at[place] + row * tile.reduction.stride);
                    std::slice::from_raw_parts(first, length)
                };
                for (bytes, line) in run.chunks_exact(GRANULE).zip(&mut weights) {
                    for (sum, weights) in sums.iter_mut().zip(line.0.chunks_exact(GRANULE)) {
                        for (byte, weight) in bytes.iter().zip(weights) {
                            *sum = sum.wrapping_add(i32::from(*byte) * i32::from(weight.cast_signed()));
                        }
                    }
                }
            }
            let mut bytes = [0; BLOCK];
            for ((byte, sum), multiplier) in bytes.iter_mut().zip(sums).zip(&tile.panel.multiplier) {
                *byte = requantize(sum, *multiplier, tile.zero) ^ tile.flip;
            }
            // SAFETY: the caller's.
            unsafe { tile.write(place, 0, bytes) };
        }
    }

    fn winograd(&self) -> &'static dyn winograd::Arithmetic {
        &winograd::PORTABLE
    }

    fn max_winograd_weights(&self) -> usize {
        16384
    }
}
