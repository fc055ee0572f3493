//! Without any instruction set in particular. Slow: it is there for tests.

use std::array::from_fn;
use std::ops::Range;

use super::lanes::{Lanes, Pixels, Product};
use super::{Arithmetic, Block, INVERSE, Run, Sizes, transform};
use crate::reference::requantize;

/// The portable arithmetic.
pub static PORTABLE: Portable = Portable;

/// See [`PORTABLE`].
pub struct Portable;

impl Arithmetic for Portable {
    fn sizes(&self) -> Sizes {
        Sizes::of::<Arrays>()
    }

    unsafe fn inputs(&self, run: &Run, tiles: Range<usize>) {
        // SAFETY: the caller's.
        unsafe { transform::inputs::<Arrays>(run, tiles) }
    }

    unsafe fn outputs(&self, run: &Run, tiles: Range<usize>, block: &Block) {
        // SAFETY: the caller's.
        unsafe { transform::outputs::<Arrays>(run, tiles, block) }
    }
}

/// Arrays in place of registers.
struct Arrays;

const WORDS: usize = 4;
const SUMS: usize = 8;

impl Lanes for Arrays {
    type Words = [i16; WORDS];
    type Sums = [i32; SUMS];
    type Scale = ([i32; SUMS], [f32; SUMS], u8, u8);

    const WORDS: usize = WORDS;
    const SUMS: usize = SUMS;
    const REGISTERS: usize = 2;
    const TILES: usize = 3;
    const PAIR: usize = 1;
    const DEPTH: usize = 1;
    const SIGNED: bool = false;

    unsafe fn widen(bytes: *const u8) -> [i16; WORDS] {
        // SAFETY: the caller's.
        from_fn(|lane| i16::from(unsafe { *bytes.add(lane) }))
    }

    unsafe fn widen_weights(weights: *const i8) -> [i16; WORDS] {
        // SAFETY: the caller's.
        from_fn(|lane| i16::from(unsafe { *weights.add(lane) }))
    }

    unsafe fn store_words(words: [i16; WORDS], into: *mut i16) {
        // SAFETY: the caller's.
        unsafe { into.cast::<[i16; WORDS]>().write_unaligned(words) }
    }

    unsafe fn add_words(a: [i16; WORDS], b: [i16; WORDS]) -> [i16; WORDS] {
        from_fn(|lane| a[lane].wrapping_add(b[lane]))
    }

    unsafe fn sub_words(a: [i16; WORDS], b: [i16; WORDS]) -> [i16; WORDS] {
        from_fn(|lane| a[lane].wrapping_sub(b[lane]))
    }

    unsafe fn add_words_4(a: [i16; WORDS], b: [i16; WORDS]) -> [i16; WORDS] {
        from_fn(|lane| a[lane].wrapping_add(b[lane] << 2))
    }

    unsafe fn sub_words_4(a: [i16; WORDS], b: [i16; WORDS]) -> [i16; WORDS] {
        from_fn(|lane| a[lane].wrapping_sub(b[lane] << 2))
    }

    unsafe fn load_sums(from: *const i32) -> [i32; SUMS] {
        // SAFETY: the caller's.
        unsafe { from.cast::<[i32; SUMS]>().read_unaligned() }
    }

    unsafe fn add(a: [i32; SUMS], b: [i32; SUMS]) -> [i32; SUMS] {
        from_fn(|lane| a[lane].wrapping_add(b[lane]))
    }

    unsafe fn sub(a: [i32; SUMS], b: [i32; SUMS]) -> [i32; SUMS] {
        from_fn(|lane| a[lane].wrapping_sub(b[lane]))
    }

    unsafe fn add_shifted<const SHIFT: i32>(a: [i32; SUMS], b: [i32; SUMS]) -> [i32; SUMS] {
        from_fn(|lane| a[lane].wrapping_add(b[lane] << SHIFT))
    }

    unsafe fn multiply<const TILES: usize, const REGISTERS: usize>(product: Product) {
        for tile in 0..TILES {
            for output in 0..REGISTERS * SUMS {
                // SAFETY: the caller's.
                unsafe {
                    let values = product.values.add(tile * product.values_step);
                    let sum = (0..product.channels).fold(0i32, |sum, channel| {
                        let weight = *product.weights.add(channel * REGISTERS * SUMS + output);
                        sum.wrapping_add(i32::from(*values.add(channel)) * i32::from(weight))
                    });
                    *product.sums.add(tile * product.sums_step + output) = sum;
                }
            }
        }
    }

    unsafe fn scale(bias: *const i32, multiplier: *const f32, zero: u8, flip: u8) -> Self::Scale {
        // SAFETY: the caller's.
        unsafe { (bias.cast::<[i32; SUMS]>().read(), multiplier.cast::<[f32; SUMS]>().read(), zero, flip) }
    }

    unsafe fn write<const COLUMNS: usize>(sums: [[i32; SUMS]; COLUMNS], scale: Self::Scale, pixels: Pixels) {
        let (bias, multiplier, zero, flip) = scale;
        for (column, sums) in sums.iter().enumerate().take(pixels.columns) {
            for channel in 0..pixels.channels {
                let sum = sums[channel].wrapping_mul(INVERSE).wrapping_add(bias[channel]);
                // SAFETY: the caller's.
                unsafe {
                    let byte = pixels.first.add(column * pixels.step + channel);
                    *byte = requantize(sum, multiplier[channel], zero) ^ flip;
                }
            }
        }
    }
}
