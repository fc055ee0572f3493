//! Convolutions of 3x3 with stride 1 by Winograd's minimal filtering, F(4x4, 3x3), in integers: exactly the sums of the direct
//! convolution with a quarter of the multiplications.
//!
//! `docs/exactness.md` says why it is exact. The transforms of `transform` are written once; `lanes` is what each instruction
//! set gives them.

mod grid;
mod lanes;
mod plan;
mod portable;
mod transform;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
pub use avx2::{AVX_VNNI, AVX2, AVX512_VL};
#[cfg(target_arch = "x86_64")]
pub use avx512::AVX512;
pub use grid::{Tile, reach};
#[cfg(target_arch = "aarch64")]
pub use neon::NEON;
pub use plan::{Block, Layer, fits};
pub use portable::PORTABLE;

use lanes::Lanes;

/// Positions along one side of a transformed tile.
const SIDE: usize = 6;
/// Positions of a transformed tile.
const POSITIONS: usize = SIDE * SIDE;
/// The inverse of 9 modulo 2^32. The output transform gives 576 times a sum; times this it is 64 times the sum.
const INVERSE: i32 = 0x38E3_8E39;

/// What one instruction set computes.
pub trait Arithmetic: Send + Sync {
    /// The sizes of its registers and blocks.
    fn sizes(&self) -> Sizes;
    /// Transforms the inputs of `tiles` into the run's values.
    ///
    /// # Safety
    /// The processor has the instruction set, the bounds of [`Run`] hold, and `tiles` are at most as many as the layer's band.
    unsafe fn inputs(&self, run: &Run, tiles: Range<usize>);
    /// Multiplies the values of `tiles` by the weights of `block`, and writes the output's bytes.
    ///
    /// # Safety
    /// As [`Arithmetic::inputs`], which has run for these tiles.
    unsafe fn outputs(&self, run: &Run, tiles: Range<usize>, block: &Block);
}

/// The sizes of an instruction set's registers and blocks; see [`Lanes`].
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    words: usize,
    sums: usize,
    registers: usize,
    tiles: usize,
    pair: usize,
    depth: usize,
    signed: bool,
}

impl Sizes {
    const fn of<L: Lanes>() -> Sizes {
        Sizes {
            words: L::WORDS,
            sums: L::SUMS,
            registers: L::REGISTERS,
            tiles: L::TILES,
            pair: L::PAIR,
            depth: L::DEPTH,
            signed: L::SIGNED,
        }
    }
}

/// A layer at work on some images.
///
/// Bounds: `input` and `output` hold `images` maps as the layer was planned for, `input` with slack behind; `values`, `sums` and
/// `weights` are as long as [`Layer::values`], [`Layer::sums`] and [`Layer::fresh_weights`] say. Nothing else writes the pixels and
/// channels that are written.
pub struct Run<'a> {
    /// The layer.
    pub layer: &'a Layer,
    /// Images.
    pub images: usize,
    /// The maps that are read, and bytes from one to the next.
    pub input: (*const u8, usize),
    /// The maps that are written, and bytes from one to the next.
    pub output: (*mut u8, usize),
    /// Room for transformed inputs: `[tile][position][channel]`.
    pub values: *mut i16,
    /// Room for sums of a block: `[tile][position][channel]`.
    pub sums: *mut i32,
    /// Room for a block's weights at a row of positions, if they are transformed in each run.
    pub weights: *mut i16,
}

impl Run<'_> {
    /// Tiles of all images.
    pub fn tiles(&self) -> usize {
        self.layer.tiles.len() * self.images
    }

    /// Computes `tiles` of all images for `blocks` of output channels.
    ///
    /// # Safety
    /// The processor has the layer's instruction set, and the bounds of the run hold.
    pub unsafe fn compute(&self, tiles: Range<usize>, blocks: Range<usize>) {
        let bands = tiles.len().div_ceil(self.layer.band);
        for band in 0..bands {
            let split = |band: usize| tiles.start + band * tiles.len() / bands;
            let tiles = split(band)..split(band + 1);
            // SAFETY: the caller's; a band's tiles are not more than the layer's band.
            unsafe {
                self.layer.arithmetic.inputs(self, tiles.clone());
                for block in &self.layer.blocks[blocks.clone()] {
                    self.layer.arithmetic.outputs(self, tiles.clone(), block);
                }
            }
        }
    }

    /// The image and the tile that a number means: of each sort, all tiles of an image, then those of the next.
    #[inline(always)]
    fn find(&self, number: usize) -> (usize, &Tile) {
        let [narrow, tall, wide] = self.layer.sizes;
        let sorts = [(0, narrow), (narrow, tall), (tall, wide), (wide, self.layer.tiles.len())];
        let inside = |(_, end): &(usize, usize)| number < end * self.images;
        let (start, end) = sorts.into_iter().find(inside).unwrap_or(sorts[3]);
        let (number, count) = (number - start * self.images, end - start);
        (number / count, &self.layer.tiles[start + number % count])
    }

    /// A tile, and where its inputs begin.
    #[inline(always)]
    fn input_of(&self, number: usize) -> (&Tile, *const u8) {
        let (image, tile) = self.find(number);
        (tile, self.input.0.wrapping_add(image * self.input.1 + tile.input))
    }

    /// A tile, and where its outputs begin.
    #[inline(always)]
    fn output_of(&self, number: usize) -> (&Tile, *mut u8) {
        let (image, tile) = self.find(number);
        (tile, self.output.0.wrapping_add(image * self.output.1 + tile.output))
    }

    /// Those of `tiles` that have a position, numbered within `tiles`.
    #[inline(always)]
    fn slots(&self, tiles: &Range<usize>, position: usize) -> Range<usize> {
        let [narrow, tall, wide] = self.layer.sizes.map(|tiles| tiles * self.images);
        let from = if transform::exists(false, position % SIDE) { 0 } else { narrow };
        let to = match (transform::exists(false, position / SIDE), transform::exists(false, position % SIDE)) {
            (true, true) => self.tiles(),
            (true, false) => wide,
            (false, _) => tall,
        };
        let (from, to) = (from.clamp(tiles.start, tiles.end), to.clamp(tiles.start, tiles.end));
        from - tiles.start..to.max(from) - tiles.start
    }
}
