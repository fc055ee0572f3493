//! Kernels: one file per instruction set.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod dot;
#[cfg(target_arch = "aarch64")]
mod mmla;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod neon_output;
mod portable;
#[cfg(target_arch = "aarch64")]
mod short;
#[cfg(target_arch = "x86_64")]
mod vnni;

use crate::layer::Convolution;
use crate::panel::{Panel, Reduction};
use crate::winograd;

/// The most places that a tile has.
pub const MAX_PLACES: usize = 12;
/// The most output channels that a panel has.
pub const MAX_CHANNELS: usize = 64;

/// What one instruction set computes: a tile of a convolution, places times the channels of a panel.
pub trait Kernel: Send + Sync {
    /// Returns the name of the instruction set.
    fn name(&self) -> &'static str;
    /// Returns how many output channels lie next to each other in packed weights. At most [`MAX_CHANNELS`].
    fn block(&self) -> usize;
    /// Returns how many blocks of a panel its registers hold at most.
    fn max_blocks(&self) -> usize;
    /// Returns how many places a tile of so many blocks has at most. At most [`MAX_PLACES`].
    fn places(&self, blocks: usize) -> usize;
    /// Returns how many bytes of the input are multiplied at once; runs are filled up to a multiple of it.
    fn granule(&self) -> usize;
    /// Returns what every byte of a map that a convolution reads is exclusive-or: 128 if the instruction set multiplies s8 by
    /// s8, else 0.
    fn flip(&self) -> u8 {
        0
    }
    /// Returns where the tiles of a layer lie on a map whose rows have `width` places.
    fn tiling(&self, _layer: &Convolution, _width: usize) -> Tiling {
        Tiling::Anywhere
    }
    /// Returns weights in the order in which [`Kernel::tile`] reads them, from `[channel][granule][byte]`; by default
    /// `[granule][channel][byte]`. Each granule of a channel becomes as many bytes as all others.
    fn pack(&self, filters: &[i8], channels: usize, granules: usize) -> Vec<u8> {
        interleave(filters, channels, granules)
    }
    /// Computes a tile, or several where [`Kernel::tiling`] says that they lie in rows.
    ///
    /// # Safety
    /// The processor has the instruction set. The panel is of this kernel and the tile not larger than it allows. The window has at
    /// least one byte. At each place of each tile, the window that the reduction runs over can be read, and the panel's channels can be
    /// written. Tiles lie in rows if [`Kernel::tiling`] says so of the layer.
    unsafe fn tile(&self, tile: &Tile);
    /// Returns what computes 3x3 convolutions by Winograd's algorithm.
    fn winograd(&self) -> &'static dyn winograd::Arithmetic;
    /// Returns up to how many weights (pairs of an input and an output channel) per output pixel Winograd's algorithm is faster
    /// than [`Kernel::tile`]: transformed weights take eight times the memory, which pays only if enough pixels use them.
    /// `docs/exactness.md` says how it was measured. 0: never.
    fn max_winograd_weights(&self) -> usize;
    /// Returns from how many output pixels on Winograd's algorithm is faster than [`Kernel::tile`] with weights that are transformed in
    /// each run; `None`: never. Measured likewise.
    fn min_fresh_winograd_pixels(&self) -> Option<usize> {
        None
    }
}

/// Where the tiles of a layer lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tiling {
    /// Anywhere: the end of a row and the beginning of the next may share a tile. [`Kernel::tile`] gets one tile at a time.
    Anywhere,
    /// Within a row, place next to place. [`Kernel::tile`] gets several tiles that follow each other.
    Rows {
        /// Columns of the window that each step of a sum multiplies. A place shares them with its neighbours.
        columns: usize,
    },
}

/// A tile of a convolution.
pub struct Tile<'a> {
    /// The map that is read.
    pub input: *const u8,
    /// Where the window of each place begins in it. In a row, the places behind the tile are listed too.
    pub input_at: [usize; MAX_PLACES],
    /// The map that is written.
    pub output: *mut u8,
    /// Where the panel's channels of each place begin in it. In a row, the places behind the tile are listed too.
    pub output_at: [usize; MAX_PLACES],
    /// How many places there are.
    pub places: usize,
    /// How many tiles there are. In a row, each begins where the one before ends; else there is one.
    pub count: usize,
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
    /// Writes `bytes` from channel `channel` on of a place, but for those that the panel does not have.
    ///
    /// # Safety
    /// As [`Kernel::tile`].
    #[inline(always)]
    unsafe fn write<const BYTES: usize>(&self, place: usize, channel: usize, bytes: [u8; BYTES]) {
        let count = self.panel.channels.saturating_sub(channel);
        // SAFETY: the caller's: the panel's channels of each place can be written.
        unsafe {
            let into = self.output.add(self.output_at[place] + channel);
            if count >= BYTES {
                into.cast::<[u8; BYTES]>().write_unaligned(bytes);
            } else {
                into.copy_from_nonoverlapping(bytes.as_ptr(), count);
            }
        }
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
