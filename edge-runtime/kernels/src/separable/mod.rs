//! Depthwise-separable convolutions in single precision, as face detectors are made of.
//!
//! Every sum runs over its terms in one fixed order, each by a fused multiply-add, and lanes hold different channels: so the
//! floats are the same, bit by bit, on every processor and kernel.

mod block;
mod lanes;
mod map;
#[cfg(target_arch = "aarch64")]
mod neon;
mod row;

pub use map::Map;
pub use row::{Kernel, kernels};

use row::Finish;

/// Output channels that packed weights are filled up to a multiple of.
pub(crate) const BLOCK: usize = 24;
/// The channels of a map are a multiple of this many.
pub(crate) const LANES: usize = 8;

/// A 1x1 convolution, packed.
#[derive(Debug, Clone)]
pub struct Pointwise {
    from: usize,
    to: usize,
    /// `[block][from][BLOCK]`.
    weight: Vec<f32>,
    /// Filled up to a multiple of [`BLOCK`].
    bias: Vec<f32>,
}

impl Pointwise {
    /// From weights `[to][from]` and a bias for each output channel.
    ///
    /// # Panics
    /// Where the lengths do not fit each other, or a count is zero.
    pub fn new(weight: &[f32], bias: &[f32]) -> Pointwise {
        let to = bias.len();
        assert!(to > 0 && !weight.is_empty() && weight.len().is_multiple_of(to), "weights of a pointwise convolution");
        let from = weight.len() / to;
        let blocks = to.div_ceil(BLOCK);
        let mut packed = vec![0.0; blocks * from * BLOCK];
        for (channel, filter) in weight.chunks_exact(from).enumerate() {
            for (input, value) in filter.iter().enumerate() {
                packed[(channel / BLOCK * from + input) * BLOCK + channel % BLOCK] = *value;
            }
        }
        let mut bias = bias.to_vec();
        bias.resize(blocks * BLOCK, 0.0);
        Pointwise { from, to, weight: packed, bias }
    }

    /// Input channels.
    pub fn from(&self) -> usize {
        self.from
    }

    /// Output channels.
    pub fn to(&self) -> usize {
        self.to
    }

    /// Output channels with those that fill up the last block: how many floats a place of the output has.
    pub fn stored(&self) -> usize {
        self.bias.len()
    }
}

/// What is added to the output of a separable convolution: nothing, or its input, of which channels that it lacks are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// Nothing.
    None,
    /// The input; where the stride is 2, the largest of each two by two places.
    Input,
}

/// A depthwise 3x3 convolution with zero padding ("same"), then a pointwise one, a skip, and ReLU.
#[derive(Debug, Clone)]
pub struct Separable {
    /// `[9][channels]`.
    depthwise: Vec<f32>,
    pointwise: Pointwise,
    stride: usize,
    skip: Skip,
}

impl Separable {
    /// From depthwise filters `[channels][9]`. The channels are a multiple of 8.
    ///
    /// # Panics
    /// Where lengths do not fit each other, or the stride is neither 1 nor 2.
    pub fn new(depthwise: &[f32], pointwise: Pointwise, stride: usize, skip: Skip) -> Separable {
        let channels = pointwise.from;
        assert!(matches!(stride, 1 | 2) && channels.is_multiple_of(LANES), "a separable convolution");
        assert!(depthwise.len() == 9 * channels, "filters of a depthwise convolution");
        let turned = (0..9).flat_map(|tap| (0..channels).map(move |channel| depthwise[9 * channel + tap])).collect();
        Separable { depthwise: turned, pointwise, stride, skip }
    }

    /// Input channels.
    pub fn from(&self) -> usize {
        self.pointwise.from
    }

    /// Output channels.
    pub fn to(&self) -> usize {
        self.pointwise.to
    }

    /// Pixels from one place to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Computes `output` from `input`, row by row. `scratch` is grown as needed.
    ///
    /// # Panics
    /// Where `input` has other channels, or `output` is not [`Map::resize`]d to the input's size by the stride.
    pub fn run(&self, kernel: Kernel, input: &Map, output: &mut Map, scratch: &mut Vec<f32>) {
        let (channels, stride) = (self.from(), self.stride);
        assert!(input.channels() == channels && output.channels() == self.pointwise.stored(), "channels of a map");
        assert!(
            [output.width(), output.height()] == [input.width() / stride, input.height() / stride],
            "size of a map"
        );
        let stored = self.pointwise.stored();
        scratch.resize(output.width() * (channels + stored), 0.0);
        let (deep, skipped) = scratch.split_at_mut(output.width() * channels);
        for y in 0..output.height() {
            // "Same" pads one pixel before with stride 1, and after with stride 2 on even sides.
            let first = stride * y + 1 - usize::from(stride == 1);
            let rows = [0, 1, 2].map(|tap| input.row_from(first + tap, usize::from(stride == 2)));
            kernel.depthwise(rows, &self.depthwise, channels, stride, deep);
            let finish = match self.skip {
                Skip::None => Finish::Relu,
                Skip::Input if stride == 1 && channels == stored => Finish::AddRelu(input.row(y)),
                Skip::Input => {
                    row::skip(input, y, stride, skipped, stored);
                    Finish::AddRelu(skipped)
                }
            };
            kernel.pointwise(deep, &self.pointwise, finish, output.row_mut(y));
        }
    }
}

/// The scores or boxes of each place of `input`: a pointwise convolution alone. `output` is filled with
/// [`Pointwise::stored`] floats a place, row by row.
///
/// # Panics
/// Where `input` has other channels.
pub fn heads(kernel: Kernel, pointwise: &Pointwise, input: &Map, output: &mut Vec<f32>) {
    assert!(input.channels() == pointwise.from, "channels of a map");
    let row = input.width() * pointwise.stored();
    output.resize(input.height() * row, 0.0);
    for (y, out) in output.chunks_exact_mut(row).enumerate() {
        kernel.pointwise(input.row(y), pointwise, Finish::Plain, out);
    }
}

/// A first layer: a convolution of `side` x `side` pixels with stride 2 and ReLU over a picture of one channel, zero outside
/// ("same").
#[derive(Debug, Clone)]
pub struct Stem {
    side: usize,
    /// Over the pixels of the window.
    pointwise: Pointwise,
}

impl Stem {
    /// From filters `[to][side][side]` and a bias for each output channel.
    ///
    /// # Panics
    /// Where lengths do not fit each other.
    pub fn new(weight: &[f32], bias: &[f32], side: usize) -> Stem {
        assert!(side >= 2 && weight.len() == bias.len() * side * side, "filters of the first layer");
        Stem { side, pointwise: Pointwise::new(weight, bias) }
    }

    /// Output channels with those that fill up the last block.
    pub fn stored(&self) -> usize {
        self.pointwise.stored()
    }

    /// Output channels.
    pub fn to(&self) -> usize {
        self.pointwise.to
    }

    /// Computes `output` from a picture of twice its size, `height` rows of `width` floats.
    ///
    /// # Panics
    /// Where the sizes do not fit.
    pub fn run(&self, kernel: Kernel, picture: &[f32], output: &mut Map, scratch: &mut Vec<f32>) {
        let (width, height) = (2 * output.width(), 2 * output.height());
        assert!(picture.len() == width * height && output.channels() == self.pointwise.stored(), "first layer");
        let (side, before) = (self.side, (self.side - 2) / 2);
        scratch.resize(output.width() * side * side, 0.0);
        for y in 0..output.height() {
            scratch.fill(0.0);
            for (x, window) in scratch.chunks_exact_mut(side * side).enumerate() {
                // Of the window's columns, those inside the picture.
                let left = (2 * x).saturating_sub(before);
                let skipped = left + before - 2 * x;
                let count = (side - skipped).min(width - left);
                for (tap, taps) in window.chunks_exact_mut(side).enumerate() {
                    if let Some(row) = (2 * y + tap).checked_sub(before).filter(|row| *row < height) {
                        let pixels = &picture[row * width + left..][..count];
                        taps[skipped..skipped + count].copy_from_slice(pixels);
                    }
                }
            }
            kernel.pointwise(scratch, &self.pointwise, Finish::Relu, output.row_mut(y));
        }
    }
}
