//! x86-64 with dot products of bytes (VNNI): 512-bit registers on AVX-512, 256-bit ones on AVX-VNNI.

use std::arch::x86_64::*;

use super::avx2::requantized256;
use super::{Kernel, Tile};
use crate::winograd;

/// Calls the function for as many places as the tile has.
macro_rules! by_places {
    ($function:ident, $tile:ident, $blocks:literal, $($places:literal)*) => {
        match $tile.places {
            // SAFETY: the caller's.
            $($places => unsafe { $function::<$places, $blocks>($tile) },)*
            _ => {}
        }
    };
}

/// Bytes multiplied at once.
const GRANULE: usize = 4;

/// AVX-512 VNNI: a block is a register of sixteen sums.
struct Avx512;

/// 256-bit registers: a block is a register of eight sums. By AVX-VNNI, or by AVX-512 VNNI and VL, whose instructions are the
/// same but for their encoding.
struct Ymm {
    name: &'static str,
    winograd: &'static dyn winograd::Arithmetic,
    tile: unsafe fn(&Tile),
}

/// Returns the kernels that this processor has.
pub fn available() -> Vec<&'static dyn Kernel> {
    static AVX_VNNI: Ymm = Ymm { name: "avx-vnni", winograd: &winograd::AVX_VNNI, tile: avx_vnni::tile };
    static AVX512_VL: Ymm = Ymm { name: "avx512-vnni-256", winograd: &winograd::AVX512_VL, tile: avx512_vl::tile };
    let mut kernels: Vec<&'static dyn Kernel> = Vec::new();
    let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni");
    if wide && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl") {
        kernels.push(&Avx512);
    }
    if is_x86_feature_detected!("avxvnni") && is_x86_feature_detected!("avx2") {
        kernels.push(&AVX_VNNI);
    }
    if wide && is_x86_feature_detected!("avx512vl") && is_x86_feature_detected!("avx2") {
        kernels.push(&AVX512_VL);
    }
    kernels
}

impl Kernel for Avx512 {
    fn name(&self) -> &'static str {
        "avx512-vnni"
    }

    fn block(&self) -> usize {
        16
    }

    fn max_blocks(&self) -> usize {
        4
    }

    fn places(&self, blocks: usize) -> usize {
        // 24 sums and the weights of a step fit into 32 registers.
        match blocks {
            1 | 2 => 12,
            3 => 8,
            _ => 6,
        }
    }

    fn granule(&self) -> usize {
        GRANULE
    }

    unsafe fn tile(&self, tile: &Tile) {
        match tile.panel.blocks {
            1 => by_places!(tile512, tile, 1, 1 2 3 4 5 6 7 8 9 10 11 12),
            2 => by_places!(tile512, tile, 2, 1 2 3 4 5 6 7 8 9 10 11 12),
            3 => by_places!(tile512, tile, 3, 1 2 3 4 5 6 7 8),
            _ => by_places!(tile512, tile, 4, 1 2 3 4 5 6),
        }
    }

    fn winograd(&self) -> &'static dyn winograd::Arithmetic {
        &winograd::AVX512
    }

    fn max_winograd_weights(&self) -> usize {
        600
    }

    fn min_fresh_winograd_pixels(&self) -> Option<usize> {
        Some(144)
    }
}

/// # Safety
/// As [`Kernel::tile`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn tile512<const PLACES: usize, const BLOCKS: usize>(tile: &Tile) {
    let panel = tile.panel;
    let mut sums = [[_mm512_setzero_si512(); BLOCKS]; PLACES];
    for sums in &mut sums {
        for (block, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's: as many as the blocks have channels.
            *sum = unsafe { _mm512_loadu_si512(panel.bias.as_ptr().add(16 * block).cast()) };
        }
    }
    let mut weights: *const u8 = panel.weight.as_ptr().cast();
    for row in 0..tile.reduction.rows {
        let mut runs = [tile.input; PLACES];
        for (run, at) in runs.iter_mut().zip(tile.input_at) {
            // SAFETY: the caller's: rows of the input.
            *run = unsafe { run.add(at + row * tile.reduction.stride) };
        }
        for step in 0..tile.reduction.steps {
            let mut filters = [_mm512_setzero_si512(); BLOCKS];
            for (block, filter) in filters.iter_mut().enumerate() {
                // SAFETY: the caller's: a line for each step and block.
                *filter = unsafe { _mm512_load_si512(weights.add(64 * block).cast()) };
            }
            for place in 0..PLACES {
                // SAFETY: the caller's: steps of four bytes lie in the input.
                let bytes = unsafe { runs[place].add(GRANULE * step).cast::<i32>().read_unaligned() };
                let bytes = _mm512_set1_epi32(bytes);
                for block in 0..BLOCKS {
                    sums[place][block] = _mm512_dpbusd_epi32(sums[place][block], bytes, filters[block]);
                }
            }
            // SAFETY: at most one past the end of the weights.
            weights = unsafe { weights.add(64 * BLOCKS) };
        }
    }
    // A copy, so that the sums above stay in registers: what is indexed by a variable lies in memory.
    let sums = std::hint::black_box(sums);
    for (place, sums) in sums.iter().enumerate() {
        for (block, sum) in sums.iter().enumerate() {
            // SAFETY: as many multipliers as sums; the caller's.
            unsafe {
                let multiplier = _mm512_loadu_ps(panel.multiplier.as_ptr().add(16 * block));
                let bytes = requantized512(*sum, multiplier, panel.bounded, tile.zero, tile.flip);
                tile.write(place, 16 * block, bytes);
            }
        }
    }
}

/// Sixteen sums requantized. If they are `bounded`, they are clamped after they are rounded: the bounds are whole numbers, so it
/// makes no difference.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn requantized512(sums: __m512i, multiplier: __m512, bounded: bool, zero: u8, flip: u8) -> [u8; 16] {
    let mut value = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), multiplier);
    if !bounded {
        let (low, high) = (-f32::from(zero), 255.0 - f32::from(zero));
        value = _mm512_min_ps(_mm512_max_ps(value, _mm512_set1_ps(low)), _mm512_set1_ps(high));
    }
    // Rounds half to even: the processor's mode, which nobody changes. Bytes are narrowed as signed ones.
    let value = _mm512_add_epi32(_mm512_cvtps_epi32(value), _mm512_set1_epi32(i32::from(zero) - 128));
    let bytes = _mm_xor_si128(_mm512_cvtsepi32_epi8(value), _mm_set1_epi8((flip ^ 128).cast_signed()));
    // SAFETY: a register of bytes is bytes.
    unsafe { std::mem::transmute::<__m128i, [u8; 16]>(bytes) }
}

impl Kernel for Ymm {
    fn name(&self) -> &'static str {
        self.name
    }

    fn block(&self) -> usize {
        8
    }

    fn max_blocks(&self) -> usize {
        2
    }

    fn places(&self, _blocks: usize) -> usize {
        6
    }

    fn granule(&self) -> usize {
        GRANULE
    }

    unsafe fn tile(&self, tile: &Tile) {
        // SAFETY: the caller's.
        unsafe { (self.tile)(tile) }
    }

    fn winograd(&self) -> &'static dyn winograd::Arithmetic {
        self.winograd
    }

    fn max_winograd_weights(&self) -> usize {
        600
    }

    fn min_fresh_winograd_pixels(&self) -> Option<usize> {
        Some(144)
    }
}

macro_rules! ymm {
    ($name:ident, $features:literal, $dot:ident) => {
        mod $name {
            use super::*;

            /// # Safety
            /// As [`Kernel::tile`].
            pub unsafe fn tile(tile: &Tile) {
                match tile.panel.blocks {
                    1 => by_places!(places, tile, 1, 1 2 3 4 5 6),
                    _ => by_places!(places, tile, 2, 1 2 3 4 5 6),
                }
            }

            /// # Safety
            /// As [`Kernel::tile`].
            #[target_feature(enable = $features)]
            unsafe fn places<const PLACES: usize, const BLOCKS: usize>(tile: &Tile) {
                let panel = tile.panel;
                let mut sums = [[_mm256_setzero_si256(); BLOCKS]; PLACES];
                for sums in &mut sums {
                    for (block, sum) in sums.iter_mut().enumerate() {
                        // SAFETY: the caller's: as many as the blocks have channels.
                        *sum = unsafe { _mm256_loadu_si256(panel.bias.as_ptr().add(8 * block).cast()) };
                    }
                }
                let mut weights: *const u8 = panel.weight.as_ptr().cast();
                for row in 0..tile.reduction.rows {
                    let mut runs = [tile.input; PLACES];
                    for (run, at) in runs.iter_mut().zip(tile.input_at) {
                        // SAFETY: the caller's: rows of the input.
                        *run = unsafe { run.add(at + row * tile.reduction.stride) };
                    }
                    for step in 0..tile.reduction.steps {
                        let mut filters = [_mm256_setzero_si256(); BLOCKS];
                        for (block, filter) in filters.iter_mut().enumerate() {
                            // SAFETY: the caller's: half a line for each step and block.
                            *filter = unsafe { _mm256_load_si256(weights.add(32 * block).cast()) };
                        }
                        for place in 0..PLACES {
                            // SAFETY: the caller's: steps of four bytes lie in the input.
                            let bytes = unsafe { runs[place].add(GRANULE * step).cast::<i32>().read_unaligned() };
                            let bytes = _mm256_set1_epi32(bytes);
                            for block in 0..BLOCKS {
                                sums[place][block] = $dot(sums[place][block], bytes, filters[block]);
                            }
                        }
                        // SAFETY: at most one past the end of the weights.
                        weights = unsafe { weights.add(32 * BLOCKS) };
                    }
                }
                // A copy, so that the sums above stay in registers: what is indexed by a variable lies in memory.
                let sums = std::hint::black_box(sums);
                for (place, sums) in sums.iter().enumerate() {
                    for (block, sum) in sums.iter().enumerate() {
                        // SAFETY: as many multipliers as sums; AVX2 is among the features; the caller's.
                        unsafe {
                            let multiplier = _mm256_loadu_ps(panel.multiplier.as_ptr().add(8 * block));
                            let bytes = requantized256(*sum, multiplier, panel.bounded, tile.zero, tile.flip);
                            tile.write(place, 8 * block, bytes);
                        }
                    }
                }
            }
        }
    };
}

ymm!(avx_vnni, "avx2,avxvnni", _mm256_dpbusd_avx_epi32);
ymm!(avx512_vl, "avx2,avx512f,avx512vl,avx512vnni", _mm256_dpbusd_epi32);
