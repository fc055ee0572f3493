//! AArch64 with plain NEON: products of 16 bits by a lane, added to sums of 32 bits.

use std::arch::aarch64::*;
use std::ops::Range;

use super::lanes::{Lanes, Pixels, Product};
use super::{Arithmetic, Block, INVERSE, Run, Sizes, transform};

/// NEON.
pub static NEON: Neon = Neon;

/// See [`NEON`].
pub struct Neon;

impl Arithmetic for Neon {
    fn sizes(&self) -> Sizes {
        Sizes::of::<Registers>()
    }

    unsafe fn inputs(&self, run: &Run, tiles: Range<usize>) {
        #[target_feature(enable = "neon")]
        unsafe fn inputs(run: &Run, tiles: Range<usize>) {
            // SAFETY: the caller's.
            unsafe { transform::inputs::<Registers>(run, tiles) }
        }
        // SAFETY: the caller's.
        unsafe { inputs(run, tiles) }
    }

    unsafe fn outputs(&self, run: &Run, tiles: Range<usize>, block: &Block) {
        #[target_feature(enable = "neon")]
        unsafe fn outputs(run: &Run, tiles: Range<usize>, block: &Block) {
            // SAFETY: the caller's.
            unsafe { transform::outputs::<Registers>(run, tiles, block) }
        }
        // SAFETY: the caller's.
        unsafe { outputs(run, tiles, block) }
    }
}

/// Registers of 128 bits.
struct Registers;

/// What requantizes four sums.
#[derive(Clone, Copy)]
struct Scale {
    bias: int32x4_t,
    multiplier: float32x4_t,
    zero: int16x8_t,
    flip: uint8x16_t,
}

// Registers are read and written by plain pointers: loads by intrinsics
// are checked where debug assertions are on, and such checks cost loops their registers.
impl Lanes for Registers {
    type Words = int16x8_t;
    type Sums = int32x4_t;
    type Scale = Scale;

    const WORDS: usize = 8;
    const SUMS: usize = 4;
    const REGISTERS: usize = 4;
    const TILES: usize = 5;
    const PAIR: usize = 1;
    const DEPTH: usize = 8;
    const SIGNED: bool = true;

    #[inline(always)]
    unsafe fn widen(bytes: *const u8) -> int16x8_t {
        // SAFETY: the caller's.
        unsafe { vmovl_s8(bytes.cast::<int8x8_t>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn widen_weights(weights: *const i8) -> int16x8_t {
        // SAFETY: the caller's.
        unsafe { vmovl_s8(weights.cast::<int8x8_t>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn store_words(words: int16x8_t, into: *mut i16) {
        // SAFETY: the caller's.
        unsafe { into.cast::<int16x8_t>().write_unaligned(words) }
    }

    #[inline(always)]
    unsafe fn add_words(a: int16x8_t, b: int16x8_t) -> int16x8_t {
        // SAFETY: the caller's.
        unsafe { vaddq_s16(a, b) }
    }

    #[inline(always)]
    unsafe fn sub_words(a: int16x8_t, b: int16x8_t) -> int16x8_t {
        // SAFETY: the caller's.
        unsafe { vsubq_s16(a, b) }
    }

    #[inline(always)]
    unsafe fn add_words_4(a: int16x8_t, b: int16x8_t) -> int16x8_t {
        // SAFETY: the caller's.
        unsafe { vaddq_s16(a, vshlq_n_s16::<2>(b)) }
    }

    #[inline(always)]
    unsafe fn sub_words_4(a: int16x8_t, b: int16x8_t) -> int16x8_t {
        // SAFETY: the caller's.
        unsafe { vsubq_s16(a, vshlq_n_s16::<2>(b)) }
    }

    #[inline(always)]
    unsafe fn load_sums(from: *const i32) -> int32x4_t {
        // SAFETY: the caller's.
        unsafe { from.cast::<int32x4_t>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn add(a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: the caller's.
        unsafe { vaddq_s32(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: the caller's.
        unsafe { vsubq_s32(a, b) }
    }

    #[inline(always)]
    unsafe fn add_shifted<const SHIFT: i32>(a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: the caller's.
        unsafe { vaddq_s32(a, vshlq_n_s32::<SHIFT>(b)) }
    }

    #[inline(always)]
    unsafe fn multiply<const TILES: usize, const REGISTERS: usize>(product: Product) {
        // SAFETY: the caller's.
        unsafe {
            let mut sums = [[vdupq_n_s32(0); REGISTERS]; TILES];
            let mut weights = product.weights;
            for channel in (0..product.channels).step_by(8) {
                let mut values = [vdupq_n_s16(0); TILES];
                for (tile, values) in values.iter_mut().enumerate() {
                    let at = product.values.add(tile * product.values_step + channel);
                    *values = at.cast::<int16x8_t>().read_unaligned();
                }
                macro_rules! lanes {
                    ($($lane:literal)*) => {
                        $(
                            add_products::<$lane, TILES, REGISTERS>(&mut sums, &values, weights);
                            weights = weights.add(4 * REGISTERS);
                        )*
                    };
                }
                lanes!(0 1 2 3 4 5 6 7);
            }
            for (tile, sums) in sums.into_iter().enumerate() {
                for (register, sum) in sums.into_iter().enumerate() {
                    let into = product.sums.add(tile * product.sums_step + 4 * register);
                    into.cast::<int32x4_t>().write_unaligned(sum);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn scale(bias: *const i32, multiplier: *const f32, zero: u8, flip: u8) -> Scale {
        // SAFETY: the caller's.
        unsafe {
            Scale {
                bias: bias.cast::<int32x4_t>().read_unaligned(),
                multiplier: multiplier.cast::<float32x4_t>().read_unaligned(),
                zero: vdupq_n_s16(i16::from(zero)),
                flip: vdupq_n_u8(flip),
            }
        }
    }

    /// Four pixels are narrowed in one register.
    #[inline(always)]
    unsafe fn write<const COLUMNS: usize>(sums: [int32x4_t; COLUMNS], scale: Scale, pixels: Pixels) {
        // SAFETY: the caller's.
        unsafe {
            let inverse = vdupq_n_s32(INVERSE);
            // Rounds half to even; what is beyond an i16 or a byte becomes the nearest that is not.
            let value = |column: usize| {
                let sum = vmlaq_s32(scale.bias, sums[column], inverse);
                vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sum), scale.multiplier))
            };
            let pair =
                |first: usize| vqaddq_s16(vqmovn_high_s32(vqmovn_s32(value(first)), value(first + 1)), scale.zero);
            let low = pair(0);
            let high = if COLUMNS == 4 { pair(COLUMNS - 2) } else { low };
            let bytes = vreinterpretq_u32_u8(veorq_u8(vqmovun_high_s16(vqmovun_s16(low), high), scale.flip));
            let bytes = [
                vgetq_lane_u32::<0>(bytes),
                vgetq_lane_u32::<1>(bytes),
                vgetq_lane_u32::<2>(bytes),
                vgetq_lane_u32::<3>(bytes),
            ];
            let Pixels { first, step, columns, channels } = pixels;
            if channels == 4 && columns == COLUMNS {
                let mut into = first;
                for bytes in &bytes[..COLUMNS] {
                    into.cast::<u32>().write_unaligned(*bytes);
                    into = into.wrapping_add(step);
                }
                return;
            }
            for (column, bytes) in bytes.into_iter().enumerate().take(columns) {
                let into = first.add(column * step);
                into.copy_from_nonoverlapping(bytes.to_le_bytes().as_ptr(), channels);
            }
        }
    }
}

/// Adds to every sum the product of one input channel.
#[inline(always)]
unsafe fn add_products<const LANE: i32, const TILES: usize, const REGISTERS: usize>(
    sums: &mut [[int32x4_t; REGISTERS]; TILES],
    values: &[int16x8_t; TILES],
    weights: *const i16,
) {
    // SAFETY: the caller's: weights of a channel, four a register.
    unsafe {
        if REGISTERS == 1 {
            let filter = weights.cast::<int16x4_t>().read_unaligned();
            for (sums, values) in sums.iter_mut().zip(values) {
                sums[0] = vmlal_laneq_s16::<LANE>(sums[0], filter, *values);
            }
            return;
        }
        let mut filters = [vdupq_n_s16(0); 2];
        for (half, filter) in filters.iter_mut().enumerate().take(REGISTERS / 2) {
            *filter = weights.add(8 * half).cast::<int16x8_t>().read_unaligned();
        }
        for (sums, values) in sums.iter_mut().zip(values) {
            for (half, filter) in filters.iter().enumerate().take(REGISTERS / 2) {
                sums[2 * half] = vmlal_laneq_s16::<LANE>(sums[2 * half], vget_low_s16(*filter), *values);
                sums[2 * half + 1] = vmlal_high_laneq_s16::<LANE>(sums[2 * half + 1], *filter, *values);
            }
        }
    }
}
