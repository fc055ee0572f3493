//! AArch64 with dot products of bytes (Cortex-A55, A76, A78): four products are added to a 32-bit sum at once.

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

use super::neon::blocks;
use super::neon_output::Requantized;
use super::{Kernel, MAX_CHANNELS, Tile, Tiling};
use crate::layer::{Convolution, Window};
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
/// Columns of a window that places share.
const COLUMNS: usize = 3;
/// The shortest rows that are tiled one by one if places share columns.
const MIN_SHARED: usize = 3;
/// The shortest rows that are tiled one by one else.
const MIN_ROW: usize = 16;
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
        // 20 sums, the bytes of seven columns and the weights of a quad fit into 32 registers.
        5
    }

    fn granule(&self) -> usize {
        GRANULE
    }

    fn flip(&self) -> u8 {
        128
    }

    fn tiling(&self, layer: &Convolution, width: usize) -> Tiling {
        let Window { kernel: [_, columns], stride: [_, right], .. } = layer.window;
        let shares = columns == COLUMNS && right == 1 && layer.from.is_multiple_of(GRANULE);
        // Tiles of a shorter row are smaller than those that go on in the next row, by more than shared columns make up for.
        match width {
            MIN_SHARED.. if shares => Tiling::Rows { columns: COLUMNS },
            MIN_ROW.. => Tiling::Rows { columns: 1 },
            _ => Tiling::Anywhere,
        }
    }

    /// `[block][quad][channel of the block][4]`.
    fn pack(&self, filters: &[i8], channels: usize, granules: usize) -> Vec<u8> {
        blocks(filters, channels, granules * GRANULE / QUAD, BLOCK)
    }

    unsafe fn tile(&self, tile: &Tile) {
        macro_rules! by_places {
            ($quads:literal, $columns:literal) => {
                match tile.places {
                    // SAFETY: the caller's.
                    1 => unsafe { Places::<1>::tile::<$quads, $columns>(tile) },
                    // SAFETY: the caller's.
                    2 => unsafe { Places::<2>::tile::<$quads, $columns>(tile) },
                    // SAFETY: the caller's.
                    3 => unsafe { Places::<3>::tile::<$quads, $columns>(tile) },
                    // SAFETY: the caller's.
                    4 => unsafe { Places::<4>::tile::<$quads, $columns>(tile) },
                    // SAFETY: the caller's.
                    5 => unsafe { Places::<5>::tile::<$quads, $columns>(tile) },
                    _ => {}
                }
            };
        }
        // A window of 3x3 over one channel has three quads in all.
        let Reduction { rows, steps, run, columns, .. } = tile.reduction;
        if columns == COLUMNS {
            by_places!(4, 3)
        } else if rows * steps == 1 && run.div_ceil(QUAD) == 3 {
            by_places!(3, 1)
        } else {
            by_places!(4, 1)
        }
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

/// The instructions that multiply quad `$quad` of places by the weights of a block. Each place has its sums in four registers and its
/// bytes in `$values`.
macro_rules! quad {
    ($quad:literal: $($a:tt $b:tt $c:tt $d:tt $values:literal)*) => {
        concat!(
            "ld1 {{v28.16b, v29.16b, v30.16b, v31.16b}}, [{weights}], #64\n",
            $("sdot ", $a, ".4s, v28.16b, v", $values, ".4b[", $quad, "]\n",)*
            $("sdot ", $b, ".4s, v29.16b, v", $values, ".4b[", $quad, "]\n",)*
            $("sdot ", $c, ".4s, v30.16b, v", $values, ".4b[", $quad, "]\n",)*
            $("sdot ", $d, ".4s, v31.16b, v", $values, ".4b[", $quad, "]\n",)*
        )
    };
}

/// The instructions that multiply the quads of a granule.
macro_rules! granule {
    ($($places:tt)*) => {
        concat!(
            quad!(0: $($places)*),
            quad!(1: $($places)*),
            quad!(2: $($places)*),
            ".if {quads} == 4\n",
            quad!(3: $($places)*),
            ".else\n",
            "add {weights}, {weights}, #64\n",
            ".endif\n",
        )
    };
}

/// The instructions of a step: they load the registers of bytes, which `places` describes, multiply them, and leave the pointer at the
/// next granule.
macro_rules! step {
    (
        $(($a:tt $b:tt $c:tt $d:tt: $first:literal $second:literal $third:literal))*
        loads $(($load:literal $distance:ident))*
        shared $(($shared:literal $shared_distance:ident))*
    ) => {
        concat!(
            $("ldr q", $load, ", [{at}, {", stringify!($distance), "}]\n",)*
            ".if {columns} == 3\n",
            $("ldr q", $shared, ", [{at}, {", stringify!($shared_distance), "}]\n",)*
            ".endif\n",
            "ldr q20, [{at}], #16\n",
            granule!($($a $b $c $d $first)*),
            ".if {columns} == 3\n",
            granule!($($a $b $c $d $second)*),
            granule!($($a $b $c $d $third)*),
            ".endif\n",
        )
    };
}

/// Implements `Places::tile` for some places.
///
/// - Of each place: its number, the registers of its sums, and those of its bytes in three columns.
/// - `loads`: of each register of bytes but v20, its number, a name for its distance from v20 in memory, and the place whose first column
///   it holds.
/// - `shared`: the same of registers that are only loaded if places share columns.
macro_rules! places {
    (
        $(($place:literal $a:tt $b:tt $c:tt $d:tt: $first:literal $second:literal $third:literal))*
        loads $(($load:literal $distance:ident $load_at:literal))*
        shared $(($shared:literal $shared_distance:ident $shared_at:literal))*
    ) => {
        impl Places<{ [$($place),*].len() }> {
            /// Each step multiplies 4 quads of `COLUMNS` columns, 1 or 3. If `QUADS` is 3, the only step multiplies 3 quads of one column.
            ///
            /// Inline assembly: the compiler would spill some of the 20 sums.
            ///
            /// # Safety
            /// As [`Kernel::tile`].
            #[target_feature(enable = "neon,dotprod")]
            unsafe fn tile<const QUADS: usize, const COLUMNS: usize>(tile: &Tile) {
                const PLACES: usize = [$($place),*].len();
                let (panel, Reduction { rows, steps, stride, .. }) = (tile.panel, tile.reduction);
                assert!(rows > 0 && steps > 0, "a window has bytes");
                let distance = |place: usize| tile.input_at[place].wrapping_sub(tile.input_at[0]);
                let mut next: *const u8 = panel.weight.as_ptr().cast();
                for block in 0..panel.blocks {
                    let weights = next;
                    let bias = panel.bias.as_ptr().wrapping_add(BLOCK * block);
                    // SAFETY: the caller's.
                    let requantized = unsafe { Requantized::new(tile, block) };
                    let (mut input, mut output) = (tile.input.wrapping_add(tile.input_at[0]), tile.output);
                    for _ in 0..tile.count {
                        let mut sums = [[vdupq_n_s32(0); REGISTERS]; PLACES];
                        // SAFETY: the caller's: the processor has the instructions; the block has biases; at each place, `rows` runs
                        // of `steps` steps can be read, `stride` apart, and as many weights for each channel of the block.
                        unsafe {
                            asm!(
                                $(concat!("ld1 {{", $a, ".4s, ", $b, ".4s, ", $c, ".4s, ", $d, ".4s}}, [{bias}]"),)*
                                ".if {quads} == 4",
                                // Two steps a round. If their number is odd, the first round begins with its second half.
                                "2:",
                                "mov {left}, {steps}",
                                "tbnz {steps}, #0, 4f",
                                "3:",
                                step!(
                                    $(($a $b $c $d: $first $second $third))*
                                    loads $(($load $distance))*
                                    shared $(($shared $shared_distance))*
                                ),
                                "4:",
                                ".endif",
                                step!(
                                    $(($a $b $c $d: $first $second $third))*
                                    loads $(($load $distance))*
                                    shared $(($shared $shared_distance))*
                                ),
                                ".if {quads} == 4",
                                "subs {left}, {left}, #2",
                                "b.gt 3b",
                                "add {at}, {at}, {gap}",
                                "subs {rows}, {rows}, #1",
                                "b.ne 2b",
                                ".endif",
                                $(
                                    out($a) sums[$place][0],
                                    out($b) sums[$place][1],
                                    out($c) sums[$place][2],
                                    out($d) sums[$place][3],
                                )*
                                out("v20") _, out("v21") _, out("v22") _, out("v23") _, out("v24") _, out("v25") _, out("v26") _,
                                out("v27") _, out("v28") _, out("v29") _, out("v30") _, out("v31") _,
                                $($distance = in(reg) distance($load_at),)*
                                $($shared_distance = in(reg) distance($shared_at),)*
                                bias = in(reg) bias,
                                at = inout(reg) input => _,
                                weights = inout(reg) weights => next,
                                left = out(reg) _,
                                steps = in(reg) steps,
                                gap = in(reg) stride.wrapping_sub(GRANULE * steps),
                                rows = inout(reg) rows => _,
                                quads = const QUADS,
                                columns = const COLUMNS,
                                options(readonly, nostack),
                            );
                        }
                        // SAFETY: the caller's.
                        unsafe { requantized.write_all((output, &tile.output_at), &sums) };
                        input = input.wrapping_add(tile.input_at[PLACES]);
                        output = output.wrapping_add(tile.output_at[PLACES]);
                    }
                }
            }
        }
    };
}

places! {
    (0 "v0" "v1" "v2" "v3": 20 21 22)
    loads
    shared (21 to1 1) (22 to2 2)
}
places! {
    (0 "v0" "v1" "v2" "v3": 20 21 22)
    (1 "v4" "v5" "v6" "v7": 21 22 23)
    loads (21 to1 1)
    shared (22 to2 2) (23 to3 3)
}
places! {
    (0 "v0" "v1" "v2" "v3": 20 21 22)
    (1 "v4" "v5" "v6" "v7": 21 22 23)
    (2 "v8" "v9" "v10" "v11": 22 23 24)
    loads (21 to1 1) (22 to2 2)
    shared (23 to3 3) (24 to4 4)
}
places! {
    (0 "v0" "v1" "v2" "v3": 20 21 22)
    (1 "v4" "v5" "v6" "v7": 21 22 23)
    (2 "v8" "v9" "v10" "v11": 22 23 24)
    (3 "v12" "v13" "v14" "v15": 23 24 25)
    loads (21 to1 1) (22 to2 2) (23 to3 3)
    shared (24 to4 4) (25 to5 5)
}
places! {
    (0 "v0" "v1" "v2" "v3": 20 21 22)
    (1 "v4" "v5" "v6" "v7": 21 22 23)
    (2 "v8" "v9" "v10" "v11": 22 23 24)
    (3 "v12" "v13" "v14" "v15": 23 24 25)
    (4 "v16" "v17" "v18" "v19": 24 25 26)
    loads (21 to1 1) (22 to2 2) (23 to3 3) (24 to4 4)
    shared (25 to5 5) (26 to6 6)
}
