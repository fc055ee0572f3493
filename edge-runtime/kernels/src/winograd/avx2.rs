//! x86-64 with registers of 256 bits: products of 16 bits by AVX2, AVX-VNNI, or AVX-512 VNNI and VL.

use std::arch::asm;
use std::arch::x86_64::*;
use std::ops::Range;

use super::lanes::{Lanes, Pixels, Product};
use super::{Arithmetic, Block, INVERSE, Run, Sizes, transform};

/// What requantizes eight sums.
#[derive(Clone, Copy)]
pub struct Scale {
    bias: __m256i,
    multiplier: __m256,
    zero: __m256i,
    flip: __m128i,
}

/// Eight sums plus the sums of eight pairs of products.
#[inline]
#[target_feature(enable = "avx2")]
fn madd(sums: __m256i, values: __m256i, weights: __m256i) -> __m256i {
    _mm256_add_epi32(sums, _mm256_madd_epi16(values, weights))
}

/// Defines a function that adds two products to each sum. As text: see `avx512`.
macro_rules! add_pairs {
    ($name:ident, $features:literal, $text:literal) => {
        #[inline]
        #[target_feature(enable = $features)]
        fn $name(mut sums: __m256i, values: __m256i, weights: __m256i) -> __m256i {
            // SAFETY: it changes this register alone.
            unsafe {
                asm!(
                    $text,
                    sums = inout(ymm_reg) sums,
                    values = in(ymm_reg) values,
                    weights = in(ymm_reg) weights,
                    options(pure, nomem, nostack, preserves_flags),
                );
            }
            sums
        }
    };
}

add_pairs!(add_pairs_vex, "avx2,avxvnni", "{{vex}} vpdpwssd {sums}, {values}, {weights}");
add_pairs!(add_pairs_evex, "avx2,avx512f,avx512vl,avx512vnni", "vpdpwssd {sums}, {values}, {weights}");

/// Defines one arithmetic: its static, its type, its registers, the features that it needs, the most tiles that its registers
/// hold, and the function that adds products.
macro_rules! arithmetic {
    ($static:ident, $type:ident, $lanes:ident, $features:literal, $tiles:literal, $dot:ident, $doc:literal) => {
        #[doc = $doc]
        pub static $static: $type = $type;

        #[doc = $doc]
        pub struct $type;

        /// Registers of 256 bits.
        struct $lanes;

        impl Arithmetic for $type {
            fn sizes(&self) -> Sizes {
                Sizes::of::<$lanes>()
            }

            unsafe fn inputs(&self, run: &Run, tiles: Range<usize>) {
                #[target_feature(enable = $features)]
                unsafe fn inputs(run: &Run, tiles: Range<usize>) {
                    // SAFETY: the caller's.
                    unsafe { transform::inputs::<$lanes>(run, tiles) }
                }
                // SAFETY: the caller's.
                unsafe { inputs(run, tiles) }
            }

            unsafe fn outputs(&self, run: &Run, tiles: Range<usize>, block: &Block) {
                #[target_feature(enable = $features)]
                unsafe fn outputs(run: &Run, tiles: Range<usize>, block: &Block) {
                    // SAFETY: the caller's.
                    unsafe { transform::outputs::<$lanes>(run, tiles, block) }
                }
                // SAFETY: the caller's.
                unsafe { outputs(run, tiles, block) }
            }
        }

        impl Lanes for $lanes {
            type Words = __m256i;
            type Sums = __m256i;
            type Scale = Scale;

            const WORDS: usize = 16;
            const SUMS: usize = 8;
            const REGISTERS: usize = 2;
            const TILES: usize = $tiles;
            const PAIR: usize = 2;
            const DEPTH: usize = 2;
            const SIGNED: bool = false;

            #[inline(always)]
            unsafe fn widen(bytes: *const u8) -> __m256i {
                // SAFETY: the caller's.
                unsafe { _mm256_cvtepu8_epi16(_mm_loadu_si128(bytes.cast())) }
            }

            #[inline(always)]
            unsafe fn widen_weights(weights: *const i8) -> __m256i {
                // SAFETY: the caller's.
                unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(weights.cast())) }
            }

            #[inline(always)]
            unsafe fn store_words(words: __m256i, into: *mut i16) {
                // SAFETY: the caller's.
                unsafe { _mm256_storeu_si256(into.cast(), words) }
            }

            #[inline(always)]
            unsafe fn add_words(a: __m256i, b: __m256i) -> __m256i {
                // SAFETY: the caller's.
                unsafe { _mm256_add_epi16(a, b) }
            }

            #[inline(always)]
            unsafe fn sub_words(a: __m256i, b: __m256i) -> __m256i {
                // SAFETY: the caller's.
                unsafe { _mm256_sub_epi16(a, b) }
            }

            #[inline(always)]
            unsafe fn add_words_4(a: __m256i, b: __m256i) -> __m256i {
                // SAFETY: the caller's.
                unsafe { _mm256_add_epi16(a, _mm256_slli_epi16::<2>(b)) }
            }

            #[inline(always)]
            unsafe fn sub_words_4(a: __m256i, b: __m256i) -> __m256i {
                // SAFETY: the caller's.
                unsafe { _mm256_sub_epi16(a, _mm256_slli_epi16::<2>(b)) }
            }

            #[inline(always)]
            unsafe fn load_sums(from: *const i32) -> __m256i {
                // SAFETY: the caller's.
                unsafe { _mm256_loadu_si256(from.cast()) }
            }

            #[inline(always)]
            unsafe fn add(a: __m256i, b: __m256i) -> __m256i {
                // SAFETY: the caller's.
                unsafe { _mm256_add_epi32(a, b) }
            }

            #[inline(always)]
            unsafe fn sub(a: __m256i, b: __m256i) -> __m256i {
                // SAFETY: the caller's.
                unsafe { _mm256_sub_epi32(a, b) }
            }

            #[inline(always)]
            unsafe fn add_shifted<const SHIFT: i32>(a: __m256i, b: __m256i) -> __m256i {
                // SAFETY: the caller's.
                unsafe { _mm256_add_epi32(a, _mm256_slli_epi32::<SHIFT>(b)) }
            }

            #[inline(always)]
            unsafe fn multiply<const TILES: usize, const REGISTERS: usize>(product: Product) {
                // SAFETY: the caller's.
                unsafe {
                    let mut sums = [[_mm256_setzero_si256(); REGISTERS]; TILES];
                    let mut weights = product.weights;
                    for pair in 0..product.channels / 2 {
                        let mut filters = [_mm256_setzero_si256(); REGISTERS];
                        for (register, filter) in filters.iter_mut().enumerate() {
                            *filter = _mm256_loadu_si256(weights.add(16 * register).cast());
                        }
                        for (tile, sums) in sums.iter_mut().enumerate() {
                            let values = product.values.add(tile * product.values_step + 2 * pair);
                            let values = _mm256_set1_epi32(values.cast::<i32>().read_unaligned());
                            for (sum, filter) in sums.iter_mut().zip(filters) {
                                *sum = $dot(*sum, values, filter);
                            }
                        }
                        weights = weights.add(16 * REGISTERS);
                    }
                    for (tile, sums) in sums.into_iter().enumerate() {
                        for (register, sum) in sums.into_iter().enumerate() {
                            let into = product.sums.add(tile * product.sums_step + 8 * register);
                            _mm256_storeu_si256(into.cast(), sum);
                        }
                    }
                }
            }

            #[inline(always)]
            unsafe fn scale(bias: *const i32, multiplier: *const f32, zero: u8, flip: u8) -> Scale {
                // SAFETY: the caller's.
                unsafe {
                    Scale {
                        bias: _mm256_loadu_si256(bias.cast()),
                        multiplier: _mm256_loadu_ps(multiplier),
                        zero: _mm256_set1_epi32(i32::from(zero)),
                        flip: _mm_set1_epi8(flip.cast_signed()),
                    }
                }
            }

            #[inline(always)]
            unsafe fn write<const COLUMNS: usize>(sums: [__m256i; COLUMNS], scale: Scale, pixels: Pixels) {
                let Pixels { first, step, columns, channels } = pixels;
                // SAFETY: the caller's.
                unsafe {
                    let inverse = _mm256_set1_epi32(INVERSE);
                    // A loop and no closure, which would not have the instruction set.
                    let mut pixels = [0; COLUMNS];
                    for (pixel, sums) in pixels.iter_mut().zip(sums) {
                        *pixel = bytes(_mm256_add_epi32(_mm256_mullo_epi32(sums, inverse), scale.bias), scale);
                    }
                    if channels == 8 && columns == COLUMNS {
                        let mut into = first;
                        for bytes in pixels {
                            into.cast::<i64>().write_unaligned(bytes);
                            into = into.wrapping_add(step);
                        }
                        return;
                    }
                    for (column, bytes) in pixels.into_iter().enumerate().take(columns) {
                        let into = first.add(column * step);
                        into.copy_from_nonoverlapping(bytes.to_le_bytes().as_ptr(), channels);
                    }
                }
            }
        }
    };
}

/// Eight sums requantized. They are clamped after they are rounded, and not before as in [`crate::reference`]: planning sees to
/// it that no value leaves the range of an i32, so it makes no difference.
#[inline]
#[target_feature(enable = "avx2")]
fn bytes(sums: __m256i, scale: Scale) -> i64 {
    let value = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), scale.multiplier);
    // Rounds half to even: the processor's mode, which nobody changes.
    let value = _mm256_add_epi32(_mm256_cvtps_epi32(value), scale.zero);
    let words = _mm_packs_epi32(_mm256_castsi256_si128(value), _mm256_extracti128_si256::<1>(value));
    _mm_cvtsi128_si64(_mm_xor_si128(_mm_packus_epi16(words, words), scale.flip))
}

arithmetic!(AVX2, Avx2, Madd, "avx2", 4, madd, "AVX2.");
arithmetic!(AVX_VNNI, AvxVnni, AvxVnniYmm, "avx2,avxvnni", 6, add_pairs_vex, "AVX2 and AVX-VNNI.");
arithmetic!(
    AVX512_VL,
    Avx512Vl,
    Avx512Ymm,
    "avx2,avx512f,avx512vl,avx512vnni",
    6,
    add_pairs_evex,
    "AVX2 and the registers of 256 bits of AVX-512 VNNI."
);
