//! x86-64 with dot products of bytes (VNNI): 512-bit registers on AVX-512, 256-bit ones on AVX-VNNI.

use std::arch::x86_64::*;

use super::avx2::requantized256;
use super::{Kernel, Tile};

/// Calls the function for as many places as the tile has.
macro_rules! by_places {
    ($function:ident, $tile:ident, $blocks:literal, $($places:literal)*) => {
        match $tile.places {
            // SAFETY: `available` found the instructions, `check` the bounds.
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
    tile: fn(&mut Tile),
}

/// Those that this processor has.
pub fn available() -> Vec<&'static dyn Kernel> {
    static AVX_VNNI: Ymm = Ymm { name: "avx-vnni", tile: avx_vnni::tile };
    static AVX512_VL: Ymm = Ymm { name: "avx512-vnni-256", tile: avx512_vl::tile };
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

    fn most_blocks(&self) -> usize {
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

    fn tile(&self, tile: &mut Tile) {
        tile.check(self, GRANULE);
        match tile.panel.blocks {
            1 => by_places!(tile512, tile, 1, 1 2 3 4 5 6 7 8 9 10 11 12),
            2 => by_places!(tile512, tile, 2, 1 2 3 4 5 6 7 8 9 10 11 12),
            3 => by_places!(tile512, tile, 3, 1 2 3 4 5 6 7 8),
            _ => by_places!(tile512, tile, 4, 1 2 3 4 5 6),
        }
    }
}

/// # Safety
/// The processor has the instructions, and the tile keeps within its bounds.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn tile512<const PLACES: usize, const BLOCKS: usize>(tile: &mut Tile) {
    let panel = tile.panel;
    let mut sums = [[_mm512_setzero_si512(); BLOCKS]; PLACES];
    for sums in &mut sums {
        for (block, sum) in sums.iter_mut().enumerate() {
            // SAFETY: `check`: as many as the blocks have channels.
            *sum = unsafe { _mm512_loadu_si512(panel.bias.as_ptr().add(16 * block).cast()) };
        }
    }
    let mut weights: *const u8 = panel.weight.as_ptr().cast();
    for row in 0..tile.reduction.rows {
        let mut runs = [tile.input.as_ptr(); PLACES];
        for (run, at) in runs.iter_mut().zip(tile.input_at) {
            // SAFETY: `check`: rows of the input.
            *run = unsafe { run.add(at + row * tile.reduction.stride) };
        }
        for step in 0..tile.reduction.steps {
            let mut filters = [_mm512_setzero_si512(); BLOCKS];
            for (block, filter) in filters.iter_mut().enumerate() {
                // SAFETY: `check`: a line for each step and block.
                *filter = unsafe { _mm512_load_si512(weights.add(64 * block).cast()) };
            }
            for place in 0..PLACES {
                // SAFETY: `check`: steps of four bytes lie in the input.
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
    let zero = f32::from(tile.zero);
    let (low, high) = (_mm512_set1_ps(-zero), _mm512_set1_ps(255.0 - zero));
    let (zero, flip) = (_mm512_set1_epi32(i32::from(tile.zero)), _mm_set1_epi8(tile.flip.cast_signed()));
    // A copy, so that the sums above stay in registers: what is indexed by a variable lies in memory.
    let sums = std::hint::black_box(sums);
    for (place, sums) in sums.iter().enumerate() {
        let mut bytes = [_mm_setzero_si128(); BLOCKS];
        for (block, sum) in sums.iter().enumerate() {
            // SAFETY: as many multipliers as sums.
            let multiplier = unsafe { _mm512_loadu_ps(panel.multiplier.as_ptr().add(16 * block)) };
            let value = _mm512_mul_ps(_mm512_cvtepi32_ps(*sum), multiplier);
            let value = _mm512_min_ps(_mm512_max_ps(value, low), high);
            // Rounds half to even: the processor's mode, which nobody changes.
            let value = _mm512_add_epi32(_mm512_cvtps_epi32(value), zero);
            bytes[block] = _mm_xor_si128(_mm512_cvtepi32_epi8(value), flip);
        }
        // SAFETY: registers of bytes are bytes.
        let bytes = unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast::<u8>(), 16 * BLOCKS) };
        tile.write(place, bytes);
    }
}

impl Kernel for Ymm {
    fn name(&self) -> &'static str {
        self.name
    }

    fn block(&self) -> usize {
        8
    }

    fn most_blocks(&self) -> usize {
        2
    }

    fn places(&self, _blocks: usize) -> usize {
        6
    }

    fn granule(&self) -> usize {
        GRANULE
    }

    fn tile(&self, tile: &mut Tile) {
        tile.check(self, GRANULE);
        (self.tile)(tile)
    }
}

macro_rules! ymm {
    ($name:ident, $features:literal, $dot:ident) => {
        mod $name {
            use super::*;

            pub fn tile(tile: &mut Tile) {
                match tile.panel.blocks {
                    1 => by_places!(places, tile, 1, 1 2 3 4 5 6),
                    _ => by_places!(places, tile, 2, 1 2 3 4 5 6),
                }
            }

            /// # Safety
            /// The processor has the instructions, and the tile keeps within its bounds.
            #[target_feature(enable = $features)]
            unsafe fn places<const PLACES: usize, const BLOCKS: usize>(tile: &mut Tile) {
                let panel = tile.panel;
                let mut sums = [[_mm256_setzero_si256(); BLOCKS]; PLACES];
                for sums in &mut sums {
                    for (block, sum) in sums.iter_mut().enumerate() {
                        // SAFETY: `check`: as many as the blocks have channels.
                        *sum = unsafe { _mm256_loadu_si256(panel.bias.as_ptr().add(8 * block).cast()) };
                    }
                }
                let mut weights: *const u8 = panel.weight.as_ptr().cast();
                for row in 0..tile.reduction.rows {
                    let mut runs = [tile.input.as_ptr(); PLACES];
                    for (run, at) in runs.iter_mut().zip(tile.input_at) {
                        // SAFETY: `check`: rows of the input.
                        *run = unsafe { run.add(at + row * tile.reduction.stride) };
                    }
                    for step in 0..tile.reduction.steps {
                        let mut filters = [_mm256_setzero_si256(); BLOCKS];
                        for (block, filter) in filters.iter_mut().enumerate() {
                            // SAFETY: `check`: half a line for each step and block.
                            *filter = unsafe { _mm256_load_si256(weights.add(32 * block).cast()) };
                        }
                        for place in 0..PLACES {
                            // SAFETY: `check`: steps of four bytes lie in the input.
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
                    let mut bytes = [0u8; 16];
                    for (block, sum) in sums.iter().enumerate() {
                        // SAFETY: as many multipliers as sums; AVX2 is among the features.
                        let eight = unsafe {
                            requantized256(*sum, panel.multiplier.as_ptr().add(8 * block), tile.zero, tile.flip)
                        };
                        bytes[8 * block..][..8].copy_from_slice(&eight);
                    }
                    tile.write(place, &bytes);
                }
            }
        }
    };
}

ymm!(avx_vnni, "avx2,avxvnni", _mm256_dpbusd_avx_epi32);
ymm!(avx512_vl, "avx2,avx512f,avx512vl,avx512vnni", _mm256_dpbusd_epi32);
