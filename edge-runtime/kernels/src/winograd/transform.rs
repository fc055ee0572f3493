//! Winograd's transforms, written once for all instruction sets.
//!
//! Positions are numbered 0 to 5 along each side: the points 0, 1, -1, 2, -2 and infinity. A short side, F(2, 3), has no points
//! 2 and -2; its weights are those of F(4, 3) but for factors that its output transform makes up for.

use std::ops::Range;

use super::lanes::{Lanes, Pixels, Product};
use super::{Block, POSITIONS, Run, SIDE, Tile};
use crate::unroll::each;

/// Transforms the inputs of `tiles`.
///
/// # Safety
/// The processor has the instructions of `L`, and [`Run`]'s bounds hold.
#[inline(always)]
pub unsafe fn inputs<L: Lanes>(run: &Run, tiles: Range<usize>) {
    for (slot, tile) in tiles.enumerate() {
        let (tile, input) = run.input_of(tile);
        // SAFETY: the caller's.
        unsafe {
            match (tile.tall, tile.wide) {
                (true, true) => input_tile::<L, true, true>(run, input, slot),
                (true, false) => input_tile::<L, true, false>(run, input, slot),
                (false, true) => input_tile::<L, false, true>(run, input, slot),
                (false, false) => input_tile::<L, false, false>(run, input, slot),
            }
        }
    }
}

/// # Safety
/// As [`inputs`].
#[inline(always)]
unsafe fn input_tile<L: Lanes, const TALL: bool, const WIDE: bool>(run: &Run, input: *const u8, slot: usize) {
    let layer = run.layer;
    // Steps of pointers, for the address of a value to be a sum of two.
    let rows: [*const u8; SIDE] = std::array::from_fn(|row| input.wrapping_add(row * layer.input_row));
    for channel in (0..layer.from).step_by(L::WORDS) {
        let columns: [usize; SIDE] = std::array::from_fn(|column| column * layer.from + channel);
        // SAFETY: the caller's: a tile's inputs lie in the map, and a map has slack behind it for the last register.
        unsafe {
            let mut between = [[L::widen(input); SIDE]; SIDE];
            each!(COLUMN in 0 1 2 3 4 5 => {
                if WIDE || COLUMN < 4 {
                    let mut column = between[0];
                    each!(ROW in 0 1 2 3 4 5 => {
                        if TALL || ROW < 4 {
                            column[ROW] = L::widen(rows[ROW].add(columns[COLUMN]));
                        }
                    });
                    between[COLUMN] = forward::<L, TALL>(column);
                }
            });
            let mut into = run.values.add(slot * POSITIONS * layer.values_step + channel);
            each!(ROW in 0 1 2 3 4 5 => {
                if exists(TALL, ROW) {
                    let row = [
                        between[0][ROW], between[1][ROW], between[2][ROW], between[3][ROW], between[4][ROW], between[5][ROW],
                    ];
                    let row = forward::<L, WIDE>(row);
                    each!(COLUMN in 0 1 2 3 4 5 => {
                        if exists(WIDE, COLUMN) {
                            L::store_words(row[COLUMN], into);
                        }
                        into = into.add(layer.values_step);
                    });
                } else {
                    into = into.add(SIDE * layer.values_step);
                }
            });
        }
    }
}

/// Multiplies the transformed inputs of `tiles` by the weights of `block`, and transforms the sums into bytes.
///
/// # Safety
/// As [`inputs`], which has transformed these tiles.
#[inline(always)]
pub unsafe fn outputs<L: Lanes>(run: &Run, tiles: Range<usize>, block: &Block) {
    for row in 0..SIDE {
        // SAFETY: the caller's; a block has one of these sizes.
        unsafe {
            if run.layer.is_fresh() {
                each!(ROW in 0 1 2 3 4 5 => {
                    if row == ROW {
                        filters::<L, ROW>(run, block);
                    }
                });
            }
            match block.registers {
                4 => products::<L, 4>(run, &tiles, block, row),
                2 => products::<L, 2>(run, &tiles, block, row),
                _ => products::<L, 1>(run, &tiles, block, row),
            }
        }
    }
    for (slot, tile) in tiles.enumerate() {
        let (tile, output) = run.output_of(tile);
        // SAFETY: the caller's.
        unsafe {
            match (tile.tall, tile.wide) {
                (true, true) => output_tile::<L, true, true, 4>(run, tile, output, slot, block),
                (true, false) => output_tile::<L, true, false, 2>(run, tile, output, slot, block),
                (false, true) => output_tile::<L, false, true, 4>(run, tile, output, slot, block),
                (false, false) => output_tile::<L, false, false, 2>(run, tile, output, slot, block),
            }
        }
    }
}

/// # Safety
/// As [`outputs`].
#[inline(always)]
unsafe fn products<L: Lanes, const REGISTERS: usize>(run: &Run, tiles: &Range<usize>, block: &Block, row: usize) {
    let layer = run.layer;
    let step = layer.weights_step(block);
    for column in 0..SIDE {
        let position = row * SIDE + column;
        let slots = run.slots(tiles, position);
        let weights = if layer.is_fresh() {
            run.weights.cast_const().wrapping_add(column * step)
        } else {
            layer.weights(block).cast::<i16>().wrapping_add(position * step)
        };
        let groups = slots.len().div_ceil(L::TILES);
        for group in 0..groups {
            // Even groups: 9 tiles are 5 and 4, not 6 and 3.
            let split = |group: usize| slots.start + group * slots.len() / groups;
            let (first, count) = (split(group), split(group + 1) - split(group));
            let later = layer.later(block, position).filter(|_| group == 0);
            // SAFETY: the caller's: the buffers hold `band` tiles, the weights all positions of each block.
            unsafe {
                let product = Product {
                    values: run.values.add((first * POSITIONS + position) * layer.values_step),
                    values_step: POSITIONS * layer.values_step,
                    weights,
                    later,
                    sums: run.sums.add((first * POSITIONS + position) * layer.sums_step),
                    sums_step: POSITIONS * layer.sums_step,
                    channels: layer.depth,
                };
                match count {
                    1 => L::multiply::<1, REGISTERS>(product),
                    2 => L::multiply::<2, REGISTERS>(product),
                    3 => L::multiply::<3, REGISTERS>(product),
                    4 => L::multiply::<4, REGISTERS>(product),
                    5 => L::multiply::<5, REGISTERS>(product),
                    _ => L::multiply::<6, REGISTERS>(product),
                }
            }
        }
    }
}

/// Transforms a block's weights at a row of positions.
///
/// # Safety
/// As [`outputs`].
#[inline(always)]
unsafe fn filters<L: Lanes, const ROW: usize>(run: &Run, block: &Block) {
    let step = run.layer.weights_step(block);
    let mut from = run.layer.weights(block).cast::<i8>();
    // SAFETY: the caller's; weights and buffer are whole registers.
    unsafe {
        for at in (0..step).step_by(L::WORDS) {
            let mut columns = [L::widen_weights(from); 3];
            each!(COLUMN in 0 1 2 => {
                let mut taps = columns;
                each!(TAP in 0 1 2 => {
                    taps[TAP] = L::widen_weights(from.add((3 * TAP + COLUMN) * L::WORDS));
                });
                columns[COLUMN] = filter::<L>(taps)[ROW];
            });
            let points = filter::<L>(columns);
            each!(COLUMN in 0 1 2 3 4 5 => {
                L::store_words(points[COLUMN], run.weights.add(COLUMN * step + at));
            });
            from = from.add(9 * L::WORDS);
        }
    }
}

/// # Safety
/// As [`outputs`].
#[inline(always)]
unsafe fn output_tile<L: Lanes, const TALL: bool, const WIDE: bool, const COLUMNS: usize>(
    run: &Run,
    tile: &Tile,
    output: *mut u8,
    slot: usize,
    block: &Block,
) {
    let layer = run.layer;
    // Copies: what is written could otherwise be the layer's own fields, as far as the compiler knows.
    let (to, row_step, zero, flip) = (layer.to, layer.output_row, layer.zero, layer.flip);
    let (bias, multiplier) = (layer.bias.as_ptr(), layer.multiplier.as_ptr());
    let (rows, columns) = (tile.rows, tile.columns);
    let registers = block.registers.min((to - block.first).div_ceil(L::SUMS));
    // Known to the compiler: `layer.sums_step`.
    let step = L::REGISTERS * L::SUMS;
    for register in 0..registers {
        let channel = block.first + register * L::SUMS;
        // SAFETY: the caller's: sums of every position that a tile of this size has; biases and multipliers are filled up to
        // whole blocks; a tile's existing pixels lie in the output.
        unsafe {
            let from = run.sums.add(slot * POSITIONS * step + register * L::SUMS);
            let mut between = [[L::load_sums(from); SIDE]; 4];
            each!(COLUMN in 0 1 2 3 4 5 => {
                if exists(WIDE, COLUMN) {
                    let mut column = between[0];
                    each!(ROW in 0 1 2 3 4 5 => {
                        if exists(TALL, ROW) {
                            column[ROW] = L::load_sums(from.add((ROW * SIDE + COLUMN) * step));
                        }
                    });
                    let column = backward::<L, TALL>(column);
                    each!(ROW in 0 1 2 3 => {
                        between[ROW][COLUMN] = column[ROW];
                    });
                }
            });
            let scale = L::scale(bias.add(channel), multiplier.add(channel), zero, flip);
            let pixels =
                Pixels { first: output.add(channel), step: to, columns, channels: (to - channel).min(L::SUMS) };
            each!(ROW in 0 1 2 3 => {
                if (TALL || ROW < 2) && ROW < rows {
                    let sums = backward::<L, WIDE>(between[ROW]);
                    let mut row = [sums[0]; COLUMNS];
                    row.copy_from_slice(&sums[..COLUMNS]);
                    L::write(row, scale, Pixels { first: pixels.first.add(ROW * row_step), ..pixels });
                }
            });
        }
    }
}

/// Whether a side has this position: a short one has no points 2 and -2.
#[inline(always)]
pub const fn exists(long: bool, position: usize) -> bool {
    long || (position != 3 && position != 4)
}

/// The weight transform of one side, `24 G g` with 6 in its last row: see `plan.rs`.
///
/// # Safety
/// The processor has the instructions of `L`.
#[inline(always)]
unsafe fn filter<L: Lanes>(g: [L::Words; 3]) -> [L::Words; SIDE] {
    // SAFETY: the caller's.
    unsafe {
        let none = L::sub_words(g[0], g[0]);
        let ends = L::add_words(g[0], g[2]);
        let (weighted, middle) = (L::add_words_4(g[0], g[2]), L::add_words(g[1], g[1]));
        [
            L::add_words_4(L::add_words(g[0], g[0]), g[0]),
            L::sub_words_4(none, L::add_words(ends, g[1])),
            L::sub_words_4(none, L::sub_words(ends, g[1])),
            L::add_words(weighted, middle),
            L::sub_words(weighted, middle),
            L::add_words_4(L::add_words(g[2], g[2]), g[2]),
        ]
    }
}

/// The input transform of one side, `B^T d`. A short side ignores the last two values and leaves positions 3 and 4 undefined.
///
/// # Safety
/// The processor has the instructions of `L`.
#[inline(always)]
unsafe fn forward<L: Lanes, const LONG: bool>(d: [L::Words; SIDE]) -> [L::Words; SIDE] {
    // SAFETY: the caller's.
    unsafe {
        let first = L::sub_words(d[0], d[2]);
        let odd = L::sub_words(d[3], d[1]);
        if LONG {
            let even = L::sub_words(d[4], d[2]);
            let (wide, narrow) = (L::sub_words_4(d[4], d[2]), L::sub_words_4(d[3], d[1]));
            let twice = L::add_words(odd, odd);
            [
                L::add_words_4(even, first),
                L::add_words(wide, narrow),
                L::sub_words(wide, narrow),
                L::add_words(even, twice),
                L::sub_words(even, twice),
                L::sub_words_4(L::sub_words(d[5], d[3]), odd),
            ]
        } else {
            [first, L::add_words(d[1], d[2]), L::sub_words(d[1], d[2]), first, first, odd]
        }
    }
}

/// The output transform of one side, `24 A^T m`. A short side gives two sums, twice.
///
/// # Safety
/// The processor has the instructions of `L`.
#[inline(always)]
unsafe fn backward<L: Lanes, const LONG: bool>(m: [L::Sums; SIDE]) -> [L::Sums; 4] {
    // SAFETY: the caller's.
    unsafe {
        let (sum, difference) = (L::add(m[1], m[2]), L::sub(m[1], m[2]));
        if LONG {
            let (sum_2, difference_2) = (L::add(m[3], m[4]), L::sub(m[3], m[4]));
            [
                L::add(L::add(m[0], sum), sum_2),
                L::add_shifted::<1>(difference, difference_2),
                L::add_shifted::<2>(sum, sum_2),
                L::add_shifted::<2>(L::add_shifted::<3>(difference, difference_2), m[5]),
            ]
        } else {
            // 4 m0 - 3 (m1 - m2), and 4 m5 - 3 (m1 + m2).
            let first = L::add_shifted::<2>(difference, L::sub(m[0], difference));
            let last = L::add_shifted::<2>(sum, L::sub(m[5], sum));
            [first, last, first, last]
        }
    }
}
