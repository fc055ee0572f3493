//! Winograd's transforms, written once for all instruction sets.
//!
//! Positions are numbered 0 to 5 along each side: the points 0, 1, -1, 2, -2 and infinity. A short side, F(2, 3), has no points
//! 2 and -2; its weights are those of F(4, 3) but for factors that its output transform makes up for.

use std::ops::Range;

use super::lanes::{Lanes, Pixels, Product};
use super::{Block, POSITIONS, Run, SIDE, Tile};

/// Repeats a block with a constant as the index, so that arrays indexed by it stay in registers.
macro_rules! each {
    ($index:ident in $($value:literal)* => $body:block) => {
        $({
            const $index: usize = $value;
            $body
        })*
    };
}

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
    for channel in (0..layer.from).step_by(L::WORDS) {
        // SAFETY: the caller's: a tile's inputs lie in the map, and a map has slack behind it for the last register.
        unsafe {
            let zero = L::widen(input);
            let mut between = [[zero; SIDE]; SIDE];
            each!(COLUMN in 0 1 2 3 4 5 => {
                if WIDE || COLUMN < 4 {
                    let mut column = [zero; SIDE];
                    each!(ROW in 0 1 2 3 4 5 => {
                        if TALL || ROW < 4 {
                            let at = ROW * layer.input_row + COLUMN * layer.from + channel;
                            column[ROW] = L::widen(input.add(at));
                        }
                    });
                    between[COLUMN] = forward::<L, TALL>(column);
                }
            });
            let into = run.values.add(slot * layer.values_step + channel);
            each!(ROW in 0 1 2 3 4 5 => {
                if exists(TALL, ROW) {
                    let row = [
                        between[0][ROW], between[1][ROW], between[2][ROW], between[3][ROW], between[4][ROW], between[5][ROW],
                    ];
                    let row = forward::<L, WIDE>(row);
                    each!(COLUMN in 0 1 2 3 4 5 => {
                        if exists(WIDE, COLUMN) {
                            let position = ROW * SIDE + COLUMN;
                            L::store_words(row[COLUMN], into.add(position * layer.values_position));
                        }
                    });
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
    // SAFETY: the caller's; a block has one of these sizes.
    unsafe {
        match block.registers {
            4 => products::<L, 4>(run, &tiles, block),
            2 => products::<L, 2>(run, &tiles, block),
            _ => products::<L, 1>(run, &tiles, block),
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
unsafe fn products<L: Lanes, const REGISTERS: usize>(run: &Run, tiles: &Range<usize>, block: &Block) {
    let layer = run.layer;
    for position in 0..POSITIONS {
        let slots = run.slots(tiles, position);
        let groups = slots.len().div_ceil(L::TILES);
        for group in 0..groups {
            // Even groups: 9 tiles are 5 and 4, not 6 and 3.
            let split = |group: usize| slots.start + group * slots.len() / groups;
            let (first, count) = (split(group), split(group + 1) - split(group));
            // SAFETY: the caller's: the buffers hold `band` tiles, the weights all positions of each block.
            unsafe {
                let product = Product {
                    values: run.values.add(position * layer.values_position + first * layer.values_step),
                    values_step: layer.values_step,
                    weights: layer.weights(block, position),
                    sums: run.sums.add(position * layer.sums_position + first * layer.sums_step),
                    sums_step: layer.sums_step,
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
    for register in 0..block.registers {
        let channel = block.first + register * L::SUMS;
        if channel >= layer.to {
            break;
        }
        // SAFETY: the caller's: sums of every position that a tile of this size has; biases and multipliers are filled up to
        // whole blocks; a tile's existing pixels lie in the output.
        unsafe {
            let from = run.sums.add(slot * layer.sums_step + register * L::SUMS);
            let zero = L::load_sums(from);
            let mut between = [[zero; SIDE]; 4];
            each!(COLUMN in 0 1 2 3 4 5 => {
                if exists(WIDE, COLUMN) {
                    let mut column = [zero; SIDE];
                    each!(ROW in 0 1 2 3 4 5 => {
                        if exists(TALL, ROW) {
                            column[ROW] = L::load_sums(from.add((ROW * SIDE + COLUMN) * layer.sums_position));
                        }
                    });
                    let column = backward::<L, TALL>(column);
                    each!(ROW in 0 1 2 3 => {
                        between[ROW][COLUMN] = column[ROW];
                    });
                }
            });
            let scale = L::scale(
                layer.bias.as_ptr().add(channel),
                layer.multiplier.as_ptr().add(channel),
                layer.zero,
                layer.flip,
            );
            let first = output.add(channel);
            each!(ROW in 0 1 2 3 => {
                if (TALL || ROW < 2) && ROW < tile.rows {
                    let sums = backward::<L, WIDE>(between[ROW]);
                    let mut row = [sums[0]; COLUMNS];
                    row.copy_from_slice(&sums[..COLUMNS]);
                    let pixels = Pixels {
                        first: first.add(ROW * layer.output_row),
                        step: layer.to,
                        columns: tile.columns,
                        channels: (layer.to - channel).min(L::SUMS),
                    };
                    L::write(row, scale, pixels);
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
