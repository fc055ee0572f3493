//! x86-64 with AVX-512 and its products of 16 bits (VNNI).

use std::arch::asm;
use std::arch::x86_64::*;
use std::ops::Range;

use super::lanes::{Lanes, Pixels, Product};
use super::{Arithmetic, Block, INVERSE, Run, Sizes, transform};

/// AVX-512 with VNNI, BW and VL.
pub static AVX512: Avx512 = Avx512;

/// See [`AVX512`].
pub struct Avx512;

impl Arithmetic for Avx512 {
    fn sizes(&self) -> Sizes {
        Sizes::of::<Zmm>()
    }

    unsafe fn inputs(&self, run: &Run, tiles: Range<usize>) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
        unsafe fn inputs(run: &Run, tiles: Range<usize>) {
            // SAFETY: the caller's.
            unsafe { transform::inputs::<Zmm>(run, tiles) }
        }
        // SAFETY: the caller's.
        unsafe { inputs(run, tiles) }
    }

    unsafe fn outputs(&self, run: &Run, tiles: Range<usize>, block: &Block) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
        unsafe fn outputs(run: &Run, tiles: Range<usize>, block: &Block) {
            // SAFETY: the caller's.
            unsafe { transform::outputs::<Zmm>(run, tiles, block) }
        }
        // SAFETY: the caller's.
        unsafe { outputs(run, tiles, block) }
    }
}

/// Registers of 512 bits.
struct Zmm;

/// What requantizes sixteen sums.
#[derive(Clone, Copy)]
struct Scale {
    bias: __m512i,
    multiplier: __m512,
    /// The zero point less 128: bytes are narrowed as signed ones.
    zero: __m512i,
    flip: __m128i,
}

impl Lanes for Zmm {
    type Words = __m512i;
    type Sums = __m512i;
    type Scale = Scale;

    const WORDS: usize = 32;
    const SUMS: usize = 16;
    const REGISTERS: usize = 4;
    const TILES: usize = 6;
    const PAIR: usize = 2;
    const DEPTH: usize = 2;
    const SIGNED: bool = false;

    #[inline(always)]
    unsafe fn widen(bytes: *const u8) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_cvtepu8_epi16(_mm256_loadu_si256(bytes.cast())) }
    }

    #[inline(always)]
    unsafe fn widen_weights(weights: *const i8) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_cvtepi8_epi16(_mm256_loadu_si256(weights.cast())) }
    }

    #[inline(always)]
    unsafe fn store_words(words: __m512i, into: *mut i16) {
        // SAFETY: the caller's.
        unsafe { _mm512_storeu_si512(into.cast(), words) }
    }

    #[inline(always)]
    unsafe fn add_words(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_add_epi16(a, b) }
    }

    #[inline(always)]
    unsafe fn sub_words(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_sub_epi16(a, b) }
    }

    #[inline(always)]
    unsafe fn add_words_4(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_add_epi16(a, _mm512_slli_epi16::<2>(b)) }
    }

    #[inline(always)]
    unsafe fn sub_words_4(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_sub_epi16(a, _mm512_slli_epi16::<2>(b)) }
    }

    #[inline(always)]
    unsafe fn load_sums(from: *const i32) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_sub_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn add_shifted<const SHIFT: i32>(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_add_epi32(a, _mm512_sll_epi32(b, _mm_cvtsi32_si128(SHIFT))) }
    }

    #[inline(always)]
    unsafe fn multiply<const TILES: usize, const REGISTERS: usize>(product: Product) {
        // SAFETY: the caller's.
        unsafe {
            let mut sums = [[_mm512_setzero_si512(); REGISTERS]; TILES];
            let mut weights = product.weights;
            for pair in 0..product.channels / 2 {
                let mut filters = [_mm512_setzero_si512(); REGISTERS];
                for (register, filter) in filters.iter_mut().enumerate() {
                    *filter = _mm512_loadu_si512(weights.add(32 * register).cast());
                }
                for (tile, sums) in sums.iter_mut().enumerate() {
                    let values = product.values.add(tile * product.values_step + 2 * pair);
                    let values = _mm512_set1_epi32(values.cast::<i32>().read_unaligned());
                    for (sum, filter) in sums.iter_mut().zip(filters) {
                        *sum = add_pairs(*sum, values, filter);
                    }
                }
                if let Some(later) = product.later {
                    _mm_prefetch::<_MM_HINT_T1>(later.wrapping_add(pair).cast());
                }
                weights = weights.add(32 * REGISTERS);
            }
            for (tile, sums) in sums.into_iter().enumerate() {
                for (register, sum) in sums.into_iter().enumerate() {
                    _mm512_storeu_si512(product.sums.add(tile * product.sums_step + 16 * register).cast(), sum);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn scale(bias: *const i32, multiplier: *const f32, zero: u8, flip: u8) -> Scale {
        // SAFETY: the caller's.
        unsafe {
            Scale {
                bias: _mm512_loadu_si512(bias.cast()),
                multiplier: _mm512_loadu_ps(multiplier),
                zero: _mm512_set1_epi32(i32::from(zero) - 128),
                flip: _mm_set1_epi8((flip ^ 128).cast_signed()),
            }
        }
    }

    #[inline(always)]
    unsafe fn write<const COLUMNS: usize>(sums: [__m512i; COLUMNS], scale: Scale, pixels: Pixels) {
        let Pixels { first, step, columns, channels } = pixels;
        // SAFETY: the caller's.
        unsafe {
            let inverse = _mm512_set1_epi32(INVERSE);
            // A loop and no closure, which would not have the instruction set.
            let mut pixels = [_mm_setzero_si128(); COLUMNS];
            for (pixel, sums) in pixels.iter_mut().zip(sums) {
                *pixel = bytes(_mm512_add_epi32(_mm512_mullo_epi32(sums, inverse), scale.bias), scale);
            }
            if channels == 16 && columns == COLUMNS {
                let mut into = first;
                for bytes in pixels {
                    _mm_storeu_si128(into.cast(), bytes);
                    into = into.wrapping_add(step);
                }
                return;
            }
            let mask = (u32::MAX >> (32 - channels)) as u16;
            for (column, bytes) in pixels.into_iter().enumerate().take(columns) {
                _mm_mask_storeu_epi8(first.add(column * step).cast(), mask, bytes);
            }
        }
    }
}

/// Adds two products to each sum. As text: the compiler makes two instructions of some of the intrinsic's, to shorten a chain of
/// sums that is not what takes the time.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn add_pairs(mut sums: __m512i, values: __m512i, weights: __m512i) -> __m512i {
    // SAFETY: it changes this register alone.
    unsafe {
        asm!(
            "vpdpwssd {sums}, {values}, {weights}",
            sums = inout(zmm_reg) sums,
            values = in(zmm_reg) values,
            weights = in(zmm_reg) weights,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// Sixteen sums requantized. They are clamped after they are rounded, and not before as in [`crate::reference`]: planning sees
/// to it that no value leaves the range of an i32, so it makes no difference.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn bytes(sums: __m512i, scale: Scale) -> __m128i {
    let value = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), scale.multiplier);
    // Rounds half to even: the processor's mode, which nobody changes.
    let value = _mm512_add_epi32(_mm512_cvtps_epi32(value), scale.zero);
    _mm_xor_si128(_mm512_cvtsepi32_epi8(value), scale.flip)
}
