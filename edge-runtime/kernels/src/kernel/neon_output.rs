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
        unsafe { Requantized::new(tile, block).write(tile.output.wrapping_add(tile.output_at[place]), sums) };
    }
}

/// What requantizes sixteen channels, read once for all places of a tile.
#[derive(Clone, Copy)]
pub struct Requantized {
    multiplier: [float32x4_t; 4],
    zero: int16x8_t,
    flip: uint8x16_t,
    /// Whether the zero is 0 and nothing is flipped, as in what a max-pool reads behind a ReLU.
    plain: bool,
    /// The first of the channels.
    first: usize,
    /// Channels that exist.
    channels: usize,
}

impl Requantized {
    /// Reads what a block of sixteen channels needs.
    ///
    /// # Safety
    /// As [`super::Kernel::tile`]; the panel has multipliers for the block.
    #[inline]
    #[target_feature(enable = "neon")]
    pub unsafe fn new(tile: &Tile, block: usize) -> Requantized {
        let first = PADDING * block;
        let mut multiplier = [vdupq_n_f32(0.0); 4];
        for (part, multiplier) in multiplier.iter_mut().enumerate() {
            // SAFETY: the caller's.
            let of_part = unsafe { tile.panel.multiplier.as_ptr().add(first + 4 * part) };
            // SAFETY: as above.
            *multiplier = unsafe { of_part.cast::<float32x4_t>().read_unaligned() };
        }
        Requantized {
            multiplier,
            zero: vdupq_n_s16(i16::from(tile.zero)),
            flip: vdupq_n_u8(tile.flip),
            plain: tile.zero == 0 && tile.flip == 0,
            first,
            channels: tile.panel.channels.saturating_sub(first),
        }
    }

    /// Requantizes sixteen sums of each of the first places and writes them; the panel's channels of a place begin `output_at` bytes
    /// behind `output`.
    ///
    /// # Safety
    /// As [`super::Kernel::tile`].
    #[inline(always)]
    pub unsafe fn write_all<const PLACES: usize>(
        &self,
        (output, output_at): (*mut u8, &[usize; MAX_PLACES]),
        sums: &[[int32x4_t; 4]; PLACES],
    ) {
        // SAFETY: the caller's: the channels can be written.
        unsafe {
            if self.channels < PADDING {
                self.write_some((output, output_at), *sums);
            } else if self.plain {
                self.write_whole::<PLACES, true>((output, output_at), sums);
            } else {
                self.write_whole::<PLACES, false>((output, output_at), sums);
            }
        }
    }

    /// As [`Requantized::write_all`], where all channels exist.
    ///
    /// # Safety
    /// As [`super::Kernel::tile`].
    #[inline(always)]
    unsafe fn write_whole<const PLACES: usize, const PLAIN: bool>(
        &self,
        (output, output_at): (*mut u8, &[usize; MAX_PLACES]),
        sums: &[[int32x4_t; 4]; PLACES],
    ) {
        each!(PLACE in 0 1 2 3 4 => {
            if PLACE < PLACES {
                let into = output.wrapping_add(output_at[PLACE] + self.first).cast::<uint8x16_t>();
                // SAFETY: the caller's: the channels can be written.
                unsafe { into.write_unaligned(self.bytes::<PLAIN>(&sums[PLACE])) };
            }
        });
    }

    /// As [`Requantized::write_all`], of a block that has fewer channels. It takes copies, and is not inlined, so that sums of other
    /// blocks stay in registers.
    ///
    /// # Safety
    /// As [`super::Kernel::tile`].
    #[cold]
    #[inline(never)]
    unsafe fn write_some<const PLACES: usize>(
        self,
        (output, output_at): (*mut u8, &[usize; MAX_PLACES]),
        sums: [[int32x4_t; 4]; PLACES],
    ) {
        for (sums, at) in sums.iter().zip(output_at) {
            // SAFETY: the caller's.
            unsafe { self.write(output.wrapping_add(*at), sums) };
        }
    }

    /// Requantizes sixteen sums of a place, whose channels of the panel begin at `output`, and writes them.
    ///
    /// # Safety
    /// As [`super::Kernel::tile`].
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn write(&self, output: *mut u8, sums: &[int32x4_t; 4]) {
        let bytes = self.bytes::<false>(sums);
        // SAFETY: the caller's: the channels that exist can be written.
        unsafe {
            let into = output.add(self.first);
            if self.channels >= PADDING {
                into.cast::<uint8x16_t>().write_unaligned(bytes);
            } else {
                into.copy_from_nonoverlapping((&raw const bytes).cast(), self.channels);
            }
        }
    }

    /// Requantizes sixteen sums; if `PLAIN`, the zero is 0 and nothing is flipped. They are clamped after they are rounded, and not
    /// before as in [`crate::reference`]: the bounds are whole numbers, so it makes no difference.
    #[inline(always)]
    fn bytes<const PLAIN: bool>(&self, sums: &[int32x4_t; 4]) -> uint8x16_t {
        // SAFETY: every AArch64 processor has the instructions.
        unsafe {
            // Rounds half to even; what is beyond an i32, an i16 or a byte becomes the nearest that is not.
            let value = |part: usize| vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sums[part]), self.multiplier[part]));
            let words = |low, high| {
                let words = vqmovn_high_s32(vqmovn_s32(low), high);
                if PLAIN { words } else { vqaddq_s16(words, self.zero) }
            };
            let (low, high) = (words(value(0), value(1)), words(value(2), value(3)));
            let bytes = vqmovun_high_s16(vqmovun_s16(low), high);
            if PLAIN { bytes } else { veorq_u8(bytes, self.flip) }
        }
    }
}
