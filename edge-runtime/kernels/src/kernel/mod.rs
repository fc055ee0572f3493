//! Kernels: one file an instruction set. The only unsafe code of this crate lies here.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod dot;
#[cfg(target_arch = "aarch64")]
mod mmla;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
mod vnni;

use crate::pack::{Panel, Reduction};

/// The most places that a tile has.
pub const MOST_PLACES: usize = 12;
/// The most output channels that a panel has.
pub const MOST_CHANNELS: usize = 64;

/// What one instruction set computes: a tile of a convolution, places times the channels of a panel.
pub trait Kernel: Send + Sync {
    /// Name of the instruction set.
    fn name(&self) -> &'static str;
    /// Output channels that lie next to each other in packed weights. At most [`MOST_CHANNELS`].
    fn block(&self) -> usize;
    /// The most blocks of a panel that its registers hold.
    fn most_blocks(&self) -> usize;
    /// The most places of a tile with so many blocks. At most [`MOST_PLACES`].
    fn places(&self, blocks: usize) -> usize;
    /// Bytes of the input that are multiplied at once; runs are filled up to a multiple of it.
    fn granule(&self) -> usize;
    /// Exclusive-or of every byte of a map that a convolution reads: 128 where the instruction set multiplies s8 by s8, else 0.
    fn flip(&self) -> u8 {
        0
    }
    /// Weights in the order in which [`Kernel::tile`] reads them, from `[channel][granule][byte]`; `[granule][channel][byte]`
    /// where a kernel wants nothing else.
    fn pack(&self, filters: &[i8], channels: usize, granules: usize) -> Vec<u8> {
        interleave(filters, channels, granules)
    }
    /// Computes a tile.
    ///
    /// # Panics
    /// Where the tile reaches beyond its input, output or weights.
    fn tile(&self, tile: &mut Tile);
}

/// A tile of a convolution.
pub struct Tile<'a> {
    /// The map that is read.
    pub input: &'a [u8],
    /// Where the window of each place begins in it.
    pub input_at: [usize; MOST_PLACES],
    /// The map that is written.
    pub output: &'a mut [u8],
    /// Where the panel's channels of each place begin in it.
    pub output_at: [usize; MOST_PLACES],
    /// How many places there are.
    pub places: usize,
    /// Weights and what belongs to them.
    pub panel: &'a Panel,
    /// What each sum runs over.
    pub reduction: Reduction,
    /// Output zero.
    pub zero: u8,
    /// Exclusive-or of every byte that is written.
    pub flip: u8,
}

impl Tile<'_> {
    /// Panics where the tile reaches beyond its input, output or weights; `bytes`: of packed weights for a granule of one
    /// channel.
    fn check(&self, kernel: &dyn Kernel, bytes: usize) {
        let Reduction { rows, steps, stride, .. } = self.reduction;
        let reach = (rows - 1) * stride + steps * kernel.granule();
        let top = |places: &[usize; MOST_PLACES]| places[..self.places].iter().copied().max();
        assert!(top(&self.input_at).is_none_or(|place| place + reach <= self.input.len()), "input of a tile");
        assert!(top(&self.output_at).is_none_or(|place| place + self.panel.channels <= self.output.len()), "output");
        let channels = self.panel.blocks * kernel.block();
        assert!(self.places <= kernel.places(self.panel.blocks) && self.panel.blocks <= kernel.most_blocks(), "tile");
        assert!(rows * steps * channels * bytes <= self.panel.weight.len() * 64, "weights of a tile");
        assert!(channels <= self.panel.bias.len() && channels <= self.panel.multiplier.len(), "panel");
    }

    /// Writes the channels of a place from `bytes`, as many as the panel's blocks have.
    #[inline(always)]
    fn write(&mut self, place: usize, bytes: &[u8]) {
        let at = self.output_at[place];
        let channels = self.panel.channels;
        // A length that is known needs no call.
        if channels == 32
            && let (Some(into), Some(bytes)) = (self.output[at..].first_chunk_mut::<32>(), bytes.first_chunk::<32>())
        {
            *into = *bytes;
            return;
        }
        self.output[at..at + channels].copy_from_slice(&bytes[..channels]);
    }
}

/// `[granule][channel][byte]` of `[channel][granule][byte]`.
fn interleave(filters: &[i8], channels: usize, granules: usize) -> Vec<u8> {
    let granule = filters.len() / (channels * granules).max(1);
    let mut packed = Vec::with_capacity(filters.len());
    for step in 0..granules {
        for channel in 0..channels {
            let first = (channel * granules + step) * granule;
            packed.extend(filters[first..first + granule].iter().map(|weight| weight.cast_unsigned()));
        }
    }
    packed
}

/// The kernels that this processor runs, best first. The last is the portable one.
pub fn all() -> Vec<&'static dyn Kernel> {
    let mut kernels: Vec<&'static dyn Kernel> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        kernels.extend(vnni::available());
        kernels.extend(avx2::available());
    }
    #[cfg(target_arch = "aarch64")]
    {
        kernels.extend(mmla::available());
        kernels.extend(dot::available());
        kernels.extend(neon::available());
    }
    kernels.push(&portable::Portable);
    kernels
}

/// The best kernel for this processor.
pub fn best() -> &'static dyn Kernel {
    all()[0]
}
