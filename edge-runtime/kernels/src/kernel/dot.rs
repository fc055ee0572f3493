//! AArch64 with dot products of bytes (Cortex-A55, A76, A78): four products are added to a 32-bit sum at once.

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

use super::neon::blocks;
use super::neon_output::Requantized;
use super::{Kernel, MAX_CHANNELS, Tile};
use crate::panel::Reduction;
use crate::winograd;

/// Dot products: a block is four registers of four sums.
struct Dot;

/// Bytes of a place loaded at once: four quads, each the factor of one instruction.
const GRANULE: usize = 16;
/// Bytes of a quad.
const QUAD: usize = 4;
/// Channels of a block: four registers of sums.
const BLOCK: usize = 16;
/// Registers of sums of a block.
const REGISTERS: usize = BLOCK / 4;

/// Returns the kernel if this processor has the instructions.
pub fn available() -> Option<&'static dyn Kernel> {
    let found = is_aarch64_feature_detected!("neon") && is_aarch64_feature_detected!("dotprod");
    found.then_some(&Dot)
}

impl Kernel for Dot {
    fn name(&self) -> &'static str {
        "neon-dotprod"
    }

    fn block(&self) -> usize {
        BLOCK
    }

    fn max_blocks(&self) -> usize {
        MAX_CHANNELS / BLOCK
    }

    fn places(&self, _blocks: usize) -> usize {
        // 24 sums, the bytes of six places and the weights of a quad fit into 32 registers.
        6
    }

    fn granule(&self) -> usize {
        GRANULE
    }

    fn flip(&self) -> u8 {
        128
    }

    /// `[block][quad][channel of the block][4]`.
    fn pack(&self, filters: &[i8], channels: usize, granules: usize) -> Vec<u8> {
        blocks(filters, channels, granules * GRANULE / QUAD, BLOCK)
    }

    unsafe fn tile(&self, tile: &Tile) {
        macro_rules! by_places {
            ($quads:literal) => {
                match tile.places {
                    // SAFETY: the caller's.
                    1 => unsafe { Places::<1>::tile::<$quads>(tile) },
                    // SAFETY: the caller's.
                    2 => unsafe { Places::<2>::tile::<$quads>(tile) },
                    // SAFETY: the caller's.
                    3 => unsafe { Places::<3>::tile::<$quads>(tile) },
                    // SAFETY: the caller's.
                    4 => unsafe { Places::<4>::tile::<$quads>(tile) },
                    // SAFETY: the caller's.
                    5 => unsafe { Places::<5>::tile::<$quads>(tile) },
                    // SAFETY: the caller's.
                    6 => unsafe { Places::<6>::tile::<$quads>(tile) },
                    _ => {}
                }
            };
        }
        // A window of 3x3 over one channel has three quads in all.
        let Reduction { steps, run, .. } = tile.reduction;
        if steps == 1 && run.div_ceil(QUAD) == 3 { by_places!(3) } else { by_places!(4) }
    }

    fn winograd(&self) -> &'static dyn winograd::Arithmetic {
        &winograd::NEON
    }

    fn max_winograd_weights(&self) -> usize {
        0
    }
}

/// Computes tiles of so many places.
struct Places<const COUNT: usize>;

/// The instructions that multiply quad `$quad` of places, each of which has its bytes in `$values` and its sums in four registers, by
/// the weights of a block.
macro_rules! quad {
    ($quad:literal: $($values:ident $a:ident $b:ident $c:ident $d:ident)*) => {
        concat!(
            "ldp {even:q}, {odd:q}, [{weights}], #32\n",
            $("sdot {", stringify!($a), ":v}.4s, {even:v}.16b, {", stringify!($values), ":v}.4b[", $quad, "]\n",)*
            $("sdot {", stringify!($b), ":v}.4s, {odd:v}.16b, {", stringify!($values), ":v}.4b[", $quad, "]\n",)*
            "ldp {even:q}, {odd:q}, [{weights}], #32\n",
            $("sdot {", stringify!($c), ":v}.4s, {even:v}.16b, {", stringify!($values), ":v}.4b[", $quad, "]\n",)*
            $("sdot {", stringify!($d), ":v}.4s, {odd:v}.16b, {", stringify!($values), ":v}.4b[", $quad, "]\n",)*
        )
    };
}

/// Implements `Places::tile` for these places: for each its number, its pointer, its bytes and its sums.
macro_rules! places {
    ($(($place:literal $at:ident $values:ident $a:ident $b:ident $c:ident $d:ident))*) => {
        impl Places<{ [$($place),*].len() }> {
            /// Each step multiplies `QUADS` quads: 4, or 3 if a run has a single step.
            ///
            /// Inline assembly: the compiler would spill some of the 24 sums.
            ///
            /// # Safety
            /// As [`Kernel::tile`].
            #[target_feature(enable = "neon,dotprod")]
            unsafe fn tile<const QUADS: usize>(tile: &Tile) {
                let panel = tile.panel;
                let Reduction { rows, steps, stride, .. } = tile.reduction;
                assert!(rows > 0 && steps > 0, "a window has bytes");
                let mut weights: *const u8 = panel.weight.as_ptr().cast();
                for block in 0..panel.blocks {
                    let mut bias = [vdupq_n_s32(0); REGISTERS];
                    for (register, bias) in bias.iter_mut().enumerate() {
                        // SAFETY: the caller's: as many biases as the blocks have channels.
                        let first = unsafe { panel.bias.as_ptr().add(BLOCK * block + 4 * register) };
                        // SAFETY: as above.
                        *bias = unsafe { first.cast::<int32x4_t>().read_unaligned() };
                    }
                    let mut sums = [$({ let _ = $place; bias }),*];
                    // SAFETY: the caller's: the processor has the instructions; at each place, `rows` runs of `steps` granules
                    // can be read, `stride` apart, and as many weights for each channel of the block.
                    unsafe {
                        asm!(
                            "2:",
                            "mov {left}, {steps}",
                            "3:",
                            $(concat!("ldr {", stringify!($values), ":q}, [{", stringify!($at), "}], #16"),)*
                            quad!(0: $($values $a $b $c $d)*),
                            quad!(1: $($values $a $b $c $d)*),
                            quad!(2: $($values $a $b $c $d)*),
                            ".if {quads} == 4",
                            quad!(3: $($values $a $b $c $d)*),
                            ".else",
                            "add {weights}, {weights}, #64",
                            ".endif",
                            "subs {left}, {left}, #1",
                            "b.ne 3b",
                            $(concat!("add {", stringify!($at), "}, {", stringify!($at), "}, {gap}"),)*
                            "subs {rows}, {rows}, #1",
                            "b.ne 2b",
                            $(
                                $at = inout(reg) tile.input.wrapping_add(tile.input_at[$place]) => _,
                                $values = out(vreg) _,
                                $a = inout(vreg) sums[$place][0],
                                $b = inout(vreg) sums[$place][1],
                                $c = inout(vreg) sums[$place][2],
                                $d = inout(vreg) sums[$place][3],
                            )*
                            even = out(vreg) _,
                            odd = out(vreg) _,
                            weights = inout(reg) weights,
                            left = out(reg) _,
                            steps = in(reg) steps,
                            gap = in(reg) stride.wrapping_sub(GRANULE * steps),
                            rows = inout(reg) rows => _,
                            quads = const QUADS,
                            options(readonly, nostack),
                        );
                    }
                    // SAFETY: the caller's.
                    unsafe { Requantized::new(tile, block).write_all(&sums) };
                }
            }
        }
    };
}

places!((0 at0 v0 a0 b0 c0 d0));
places!((0 at0 v0 a0 b0 c0 d0)(1 at1 v1 a1 b1 c1 d1));
places!((0 at0 v0 a0 b0 c0 d0)(1 at1 v1 a1 b1 c1 d1)(2 at2 v2 a2 b2 c2 d2));
places!((0 at0 v0 a0 b0 c0 d0)(1 at1 v1 a1 b1 c1 d1)(2 at2 v2 a2 b2 c2 d2)(3 at3 v3 a3 b3 c3 d3));
places!((0 at0 v0 a0 b0 c0 d0)(1 at1 v1 a1 b1 c1 d1)(2 at2 v2 a2 b2 c2 d2)(3 at3 v3 a3 b3 c3 d3)(4 at4 v4 a4 b4 c4 d4));
places!(
    (0 at0 v0 a0 b0 c0 d0)(1 at1 v1 a1 b1 c1 d1)(2 at2 v2 a2 b2 c2 d2)
    (3 at3 v3 a3 b3 c3 d3)(4 at4 v4 a4 b4 c4 d4)(5 at5 v5 a5 b5 c5 d5)
);
