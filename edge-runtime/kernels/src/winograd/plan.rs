//! Planning: whether a layer's sums come out exact, its weights transformed.

use super::grid::{self, Tile};
use super::{Arithmetic, POSITIONS, SIDE, Sizes};
use crate::layer::{Convolution, Window};
use crate::map::Layout;
use crate::panel::Line;

/// The weight transform `G`, times 24. Of the last row only 6 is used, so that weights fit into 16 bits; the output transform
/// makes up for the missing factor of 4.
const TRANSFORM: [[i32; 3]; SIDE] = [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 6]];
/// Sums must lie below this: 64 times a sum fits into 32 bits.
const MAX_SUM: i64 = 1 << 25;
/// The smallest multiplier other than zero, of which a 64th loses no bits, and the largest, by which no sum leaves an i32.
const MULTIPLIERS: std::ops::RangeInclusive<f32> = 1e-30..=16.0;
/// Bytes of transformed inputs and sums that are worked on at once: what fits into a second-level cache beside the weights.
const BAND: usize = 128 << 10;
/// The same where weights are transformed for each band anew: all tiles of a map, if it is not a very large one.
const FRESH_BAND: usize = 2 << 20;

// Whatever the weights and inputs are, they fit into 16 bits once transformed: of each transform, this is the largest sum of a
// row's absolute values, once for rows and once for columns.
const _: () = assert!(12 * 12 * 128 <= i16::MAX as i32);
const _: () = assert!(10 * 10 * 255 <= i16::MAX as i32);

/// A planned layer.
pub struct Layer {
    /// Instruction set.
    pub(super) arithmetic: &'static dyn Arithmetic,
    /// Input channels.
    pub(super) from: usize,
    /// Input channels, filled up to whole steps of a product.
    pub(super) depth: usize,
    /// Output channels.
    pub(super) to: usize,
    pub(super) blocks: Vec<Block>,
    /// Transformed, or as they are if they are transformed in each run.
    weight: Vec<Line>,
    /// Whether weights are transformed in each run.
    fresh: bool,
    /// 64 times where each sum begins.
    pub(super) bias: Vec<i32>,
    /// A 64th of each multiplier.
    pub(super) multiplier: Vec<f32>,
    pub(super) tiles: Vec<Tile>,
    /// Where each sort of tiles ends, but for the last; see [`grid::tiles`].
    pub(super) sizes: [usize; 3],
    /// The most tiles that are worked on at once.
    pub(super) band: usize,
    /// Bytes from a row of the input to the next, and of the output.
    pub(super) input_row: usize,
    pub(super) output_row: usize,
    /// From a position's values to the next position's. A tile has [`POSITIONS`] of them.
    pub(super) values_step: usize,
    /// The same of sums.
    pub(super) sums_step: usize,
    pub(super) zero: u8,
    pub(super) flip: u8,
}

/// Output channels that are multiplied at once.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    /// The first of them.
    pub first: usize,
    /// Registers of sums.
    pub registers: usize,
    /// The line where its weights begin.
    line: usize,
}

/// Whether a layer is a convolution that Winograd's algorithm computes exactly. `flip` is exclusive-or of the bytes of its input
/// map; 128 makes them signed.
pub fn fits(layer: &Convolution, flip: u8) -> bool {
    let Window { kernel, stride, .. } = layer.window;
    let filters = layer.weight.chunks_exact((layer.from * 9).max(1));
    kernel == [3, 3]
        && stride == [1, 1]
        && layer.multiplier.iter().all(|multiplier| *multiplier == 0.0 || MULTIPLIERS.contains(&multiplier.abs()))
        && filters.zip(&layer.bias).all(|(filter, bias)| sum_is_bounded(filter, *bias, layer.input_zero, flip))
}

/// Whether no input makes a sum leave the range that division by 576 modulo 2^32 needs.
fn sum_is_bounded(filter: &[i8], bias: i32, input_zero: u8, flip: u8) -> bool {
    let total =
        |sign: i64| filter.iter().map(|weight| i64::from(*weight)).filter(|weight| weight * sign > 0).sum::<i64>();
    let (low, high) = (0 - i64::from(flip), 255 - i64::from(flip));
    let (negative, positive) = (total(-1), total(1));
    let bias = i64::from(bias) + (negative + positive) * (i64::from(flip) - i64::from(input_zero));
    let (least, most) = (high * negative + low * positive, high * positive + low * negative);
    -MAX_SUM < least + bias && most + bias < MAX_SUM
}

impl Layer {
    /// Plans a convolution that [`fits`] from a map of `input` to one of `output`. The input has a border that holds what
    /// [`grid::reach`] says. `flips` are exclusive-or of the bytes of the input and of the output. `fresh`: weights are transformed
    /// in each run and not stored so.
    pub fn new(
        layer: &Convolution,
        (arithmetic, fresh): (&'static dyn Arithmetic, bool),
        (input, output): (&Layout, &Layout),
        flips: [u8; 2],
    ) -> Layer {
        let sizes = arithmetic.sizes();
        assert_eq!(sizes.signed, flips[0] == 128, "signs of a map's bytes");
        let depth = layer.from.next_multiple_of(sizes.depth);
        let (blocks, weight) = pack(layer, sizes, depth, fresh);
        let padded = blocks.last().map_or(0, |block: &Block| block.first + block.registers * sizes.sums);
        let (mut bias, mut multiplier) = (vec![0; padded], vec![0.0; padded]);
        for (channel, filter) in layer.weight.chunks_exact(layer.from * 9).enumerate() {
            let sum: i32 = filter.iter().map(|weight| i32::from(*weight)).sum();
            let offset = i32::from(flips[0]) - i32::from(layer.input_zero);
            bias[channel] = layer.bias[channel].wrapping_add(sum.wrapping_mul(offset)).wrapping_mul(64);
            multiplier[channel] = layer.multiplier[channel] / 64.0;
        }
        let (tiles, ends) = grid::tiles(input, output);
        let values_step = layer.from.next_multiple_of(sizes.words).max(depth);
        let sums_step = sizes.registers * sizes.sums;
        let each = POSITIONS * (2 * values_step + 4 * sums_step);
        // Whole groups of tiles.
        let band = (if fresh { FRESH_BAND } else { BAND } / each / sizes.tiles).max(1) * sizes.tiles;
        Layer {
            arithmetic,
            from: layer.from,
            depth,
            to: layer.to,
            blocks,
            weight,
            fresh,
            bias,
            multiplier,
            tiles,
            sizes: ends,
            band,
            input_row: input.row(),
            output_row: output.row(),
            values_step,
            sums_step,
            zero: layer.output_zero,
            flip: flips[1],
        }
    }

    /// Blocks of output channels.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Tiles of one image.
    pub fn tiles(&self) -> usize {
        self.tiles.len()
    }

    /// Tiles that are multiplied at once at most.
    pub fn group(&self) -> usize {
        self.arithmetic.sizes().tiles
    }

    /// Integers of 16 bits that [`super::Run::values`] has room for.
    pub fn values(&self) -> usize {
        self.band * POSITIONS * self.values_step
    }

    /// Integers of 32 bits that [`super::Run::sums`] has room for.
    pub fn sums(&self) -> usize {
        self.band * POSITIONS * self.sums_step
    }

    /// Integers of 16 bits that [`super::Run::weights`] has room for: a row of positions, if they are transformed in each run.
    pub fn fresh_weights(&self) -> usize {
        let largest = self.blocks.iter().map(|block| self.weights_step(block)).max();
        if self.fresh { SIDE * largest.unwrap_or(0) } else { 0 }
    }

    /// Whether weights are transformed in each run.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Bytes of its weights.
    pub fn weight_bytes(&self) -> usize {
        self.weight.len() * size_of::<Line>()
    }

    /// From a block's weights at a position to those at the next, integers of 16 bits.
    #[inline(always)]
    pub(super) fn weights_step(&self, block: &Block) -> usize {
        let sizes = self.arithmetic.sizes();
        (self.depth * block.registers * sizes.sums).next_multiple_of(sizes.words)
    }

    /// The weights of a block: at all positions, or as they are.
    #[inline(always)]
    pub(super) fn weights(&self, block: &Block) -> *const Line {
        self.weight.as_ptr().wrapping_add(block.line)
    }

    /// Those of the next block's weights that are fetched while a block is multiplied at a position: a line for each pair of channels at
    /// every other position. Weights that are transformed in each run are read in bursts, too short to wait for them.
    #[inline(always)]
    pub(super) fn later(&self, block: &Block, position: usize) -> Option<*const Line> {
        let next = self.weights(block).wrapping_add((9 * self.weights_step(block)).div_ceil(size_of::<Line>()));
        (self.fresh && position.is_multiple_of(2)).then(|| next.wrapping_add(position / 2 * self.depth / 2))
    }
}

/// Blocks of output channels and their weights. Transformed: `[block][position][input channel / PAIR][output channel][PAIR]` in 16
/// bits. As they are, with the last three axes as one that is cut into registers: `[block][register][row][column][WORDS]` in 8.
fn pack(layer: &Convolution, sizes: Sizes, depth: usize, fresh: bool) -> (Vec<Block>, Vec<Line>) {
    let (mut blocks, mut weight) = (Vec::new(), Vec::new());
    let mut first = 0;
    while first < layer.to {
        let left = (layer.to - first).div_ceil(sizes.sums);
        let registers = [4, 2, 1].into_iter().find(|size| *size <= left.min(sizes.registers)).unwrap_or(1);
        let width = registers * sizes.sums;
        let step = (depth * width).next_multiple_of(sizes.words);
        let mut block = vec![0u8; step * if fresh { 9 } else { 2 * POSITIONS }];
        for (output, input) in
            (first..(first + width).min(layer.to)).flat_map(|to| (0..layer.from).map(move |from| (to, from)))
        {
            let filter = &layer.weight[(output * layer.from + input) * 9..][..9];
            let at = (input / sizes.pair * width + output - first) * sizes.pair + input % sizes.pair;
            if fresh {
                for (tap, weight) in filter.iter().enumerate() {
                    block[(at / sizes.words * 9 + tap) * sizes.words + at % sizes.words] = weight.cast_unsigned();
                }
            } else {
                for (position, value) in transformed(filter).into_iter().enumerate() {
                    block[2 * (position * step + at)..][..2].copy_from_slice(&value.to_ne_bytes());
                }
            }
        }
        blocks.push(Block { first, registers, line: weight.len() });
        weight.extend(block.chunks(64).map(|bytes| {
            let mut line = Line([0; 64]);
            line.0[..bytes.len()].copy_from_slice(bytes);
            line
        }));
        first += width;
    }
    (blocks, weight)
}

/// `G g G^T` of one filter of 3x3.
fn transformed(filter: &[i8]) -> [i16; POSITIONS] {
    let rows: [[i32; 3]; SIDE] = TRANSFORM.map(|points| {
        std::array::from_fn(|column| (0..3).map(|row| points[row] * i32::from(filter[3 * row + column])).sum())
    });
    std::array::from_fn(|position| {
        let (row, points) = (rows[position / SIDE], TRANSFORM[position % SIDE]);
        // Within 16 bits, as the assertion above says.
        (0..3).map(|column| row[column] * points[column]).sum::<i32>() as i16
    })
}
