//! What the kernels of AArch64 share: loading bytes, and writing sums as requantized bytes.

use std::arch::aarch64::*;

use super::{MAX_PLACES, Tile};
use crate::panel::PADDING;
use crate::unroll::each;

/// Sixteen bytes, wherever they lie.
#[repr(C, packed)]
struct Unaligned(int8x16_t);

/// Loads sixteen bytes. By `vld1q_s8` the loops would hold its checks, and lose sums to them, where debug assertions are on.
///
/// # Safety
/// They can be read.
#[inline(always)]
pub unsafe fn load(bytes: *const u8) -> int8x16_t {
    // SAFETY: as for this function; the type needs no alignment.
    unsafe { (*bytes.cast::<Unaligned>()).0 }
}

/// Requantizes the sums of a place, four a register, and writes them.
///
/// # Safety
/// As [`super::Kernel::tile`].
#[inline]
#[target_feature(enable = "neon")]
pub unsafe fn write(tile: &Tile, place: usize, sums: &[int32x4_t; 8]) {
    for (block, sums) in sums.as_chunks::<4>().0.iter().enumerate().take(tile.panel.multiplier.len() / PADDING) {
        // SAFETY: as for this function; sixteen multipliers each.
        unsafe { Requantized::new(tile, block).write(place, sums) };
    }
}

/// What requantizes sixteen channels and where they go, read once for all places of a tile.
pub struct Requantized<'a> {
    multiplier: [float32x4_t; 4],
    zero: int16x8_t,
    flip: uint8x16_t,
    /// The map that is written, from the first of these channels on.
    output: *mut u8,
    output_at: &'a [usize; MAX_PLACES],
    /// Channels that exist.
    channels: usize,
}

impl Requantized<'_> {
    /// Reads what a block of sixteen channels needs.
    ///
    /// # Safety
    /// As [`super::Kernel::tile`]; the panel has multipliers for the block.
    #[inline]
    #[target_feature(enable = "neon")]
    pub unsafe fn new<'a>(tile: &'a Tile, block: usize) -> Requantized<'a> {
        let mut multiplier = [vdupq_n_f32(0.0); 4];
        for (part, multiplier) in multiplier.iter_mut().enumerate() {
            // SAFETY: the caller's.
            let first = unsafe { tile.panel.multiplier.as_ptr().add(PADDING * block + 4 * part) };
            // SAFETY: as above.
            *multiplier = unsafe { first.cast::<float32x4_t>().read_unaligned() };
        }
        Requantized {
            multiplier,
            zero: vdupq_n_s16(i16::from(tile.zero)),
            flip: vdupq_n_u8(tile.flip),
            output: tile.output.wrapping_add(PADDING * block),
            output_at: &tile.output_at,
            channels: tile.panel.channels.saturating_sub(PADDING * block),
        }
    }

    /// Requantizes sixteen sums of each of the first places and writes them.
    ///
    /// # Safety
    /// As [`super::Kernel::tile`].
    #[inline(always)]
    pub unsafe fn write_all<const PLACES: usize>(&self, sums: &[[int32x4_t; 4]; PLACES]) {
        if self.channels < PADDING {
            // SAFETY: the caller's.
            return unsafe { self.write_some(*sums) };
        }
        each!(PLACE in 0 1 2 3 4 5 => {
            if PLACE < PLACES {
                let into = self.output.wrapping_add(self.output_at[PLACE]).cast::<uint8x16_t>();
                // SAFETY: the caller's: the channels can be written.
                unsafe { into.write_unaligned(self.bytes(&sums[PLACE])) };
            }
        });
    }

    /// As [`Requantized::write_all`], of a block that has fewer channels. It takes a copy, and is not inlined, so that sums of other
    /// blocks stay in registers.
    ///
    /// # Safety
    /// As [`super::Kernel::tile`].
    #[cold]
    #[inline(never)]
    unsafe fn write_some<const PLACES: usize>(&self, sums: [[int32x4_t; 4]; PLACES]) {
        for (place, sums) in sums.iter().enumerate() {
            let bytes = self.bytes(sums);
            // SAFETY: the caller's: the channels that exist can be written.
            unsafe {
                let into = self.output.add(self.output_at[place]);
                into.copy_from_nonoverlapping((&raw const bytes).cast(), self.channels);
            }
        }
    }

    /// Requantizes sixteen sums of a place and writes them.
    ///
    /// # Safety
    /// As [`super::Kernel::tile`].
    #[inline]
    #[target_feature(enable = "neon")]
    pub unsafe fn write(&self, place: usize, sums: &[int32x4_t; 4]) {
        let bytes = self.bytes(sums);
        // SAFETY: the caller's: the channels that exist can be written.
        unsafe {
            let into = self.output.add(self.output_at[place]);
            if self.channels >= PADDING {
                into.cast::<uint8x16_t>().write_unaligned(bytes);
            } else {
                into.copy_from_nonoverlapping((&raw const bytes).cast(), self.channels);
            }
        }
    }

    /// Requantizes sixteen sums. They are clamped after they are rounded, and not before as in [`crate::reference`]: the bounds are
    /// whole numbers, so it makes no difference.
    #[inline(always)]
    fn bytes(&self, sums: &[int32x4_t; 4]) -> uint8x16_t {
        // SAFETY: every AArch64 processor has the instructions.
        unsafe {
            // Rounds half to even; what is beyond an i32, an i16 or a byte becomes the nearest that is not.
            let value = |part: usize| vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sums[part]), self.multiplier[part]));
            let words = |low, high| vqaddq_s16(vqmovn_high_s32(vqmovn_s32(low), high), self.zero);
            let (low, high) = (words(value(0), value(1)), words(value(2), value(3)));
            veorq_u8(vqmovun_high_s16(vqmovun_s16(low), high), self.flip)
        }
    }
}
