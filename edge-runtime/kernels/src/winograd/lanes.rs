//! The vector registers of an instruction set, as Winograd's transforms need them.

use crate::panel::Line;

/// A set of vector instructions.
///
/// Every method is inlined into a function that has the instruction set switched on; each file of this module that implements
/// the trait also holds those functions.
///
/// # Safety
/// Every method requires that the processor has the instruction set. Methods with pointers require that as many values as they
/// name can be read or written there; no alignment is required.
pub trait Lanes {
    /// A register of transformed inputs: [`Lanes::WORDS`] integers of 16 bits.
    type Words: Copy;
    /// A register of sums: [`Lanes::SUMS`] integers of 32 bits.
    type Sums: Copy;
    /// What requantizes a register of sums.
    type Scale: Copy;

    /// Input channels of a register.
    const WORDS: usize;
    /// Output channels of a register.
    const SUMS: usize;
    /// The largest block of output channels that is multiplied at once, in registers. Smaller blocks have half as many or one.
    const REGISTERS: usize;
    /// The most tiles that are multiplied at once. At most 6.
    const TILES: usize;
    /// Input channels whose weights lie next to each other for each output channel.
    const PAIR: usize;
    /// The number of input channels is filled up to a multiple of this.
    const DEPTH: usize;
    /// Whether the bytes of a map are signed.
    const SIGNED: bool;

    /// Widens [`Lanes::WORDS`] bytes.
    unsafe fn widen(bytes: *const u8) -> Self::Words;
    /// Widens [`Lanes::WORDS`] weights.
    unsafe fn widen_weights(weights: *const i8) -> Self::Words;
    /// Stores a register.
    unsafe fn store_words(words: Self::Words, into: *mut i16);
    /// `a + b`.
    unsafe fn add_words(a: Self::Words, b: Self::Words) -> Self::Words;
    /// `a - b`.
    unsafe fn sub_words(a: Self::Words, b: Self::Words) -> Self::Words;
    /// `a + 4 * b`.
    unsafe fn add_words_4(a: Self::Words, b: Self::Words) -> Self::Words;
    /// `a - 4 * b`.
    unsafe fn sub_words_4(a: Self::Words, b: Self::Words) -> Self::Words;

    /// Loads a register.
    unsafe fn load_sums(from: *const i32) -> Self::Sums;
    /// `a + b`, wrapping.
    unsafe fn add(a: Self::Sums, b: Self::Sums) -> Self::Sums;
    /// `a - b`, wrapping.
    unsafe fn sub(a: Self::Sums, b: Self::Sums) -> Self::Sums;
    /// `a + (b << SHIFT)`, wrapping.
    unsafe fn add_shifted<const SHIFT: i32>(a: Self::Sums, b: Self::Sums) -> Self::Sums;

    /// Multiplies transformed inputs by transformed weights and stores the sums over the input channels.
    unsafe fn multiply<const TILES: usize, const REGISTERS: usize>(product: Product);

    /// Reads biases and multipliers of a register of output channels. `zero` is the output's zero point; every byte that is
    /// written is exclusive-or `flip`.
    unsafe fn scale(bias: *const i32, multiplier: *const f32, zero: u8, flip: u8) -> Self::Scale;
    /// Turns a row of sums into bytes, by [`INVERSE`](super::INVERSE) and then by [`crate::reference::requantize`]'s rule, and
    /// writes the first `channels` bytes of each of the first `columns` pixels, which lie `step` bytes apart.
    unsafe fn write<const COLUMNS: usize>(sums: [Self::Sums; COLUMNS], scale: Self::Scale, target: Pixels);
}

/// Where a row of pixels is written.
#[derive(Clone, Copy)]
pub struct Pixels {
    /// The first pixel's bytes.
    pub first: *mut u8,
    /// Bytes from a pixel to the next.
    pub step: usize,
    /// Pixels that exist.
    pub columns: usize,
    /// Bytes of each pixel that exist.
    pub channels: usize,
}

/// A product of matrices: some tiles by some output channels, summed over the input channels.
#[derive(Clone, Copy)]
pub struct Product {
    /// Transformed inputs: for each tile, all input channels.
    pub values: *const i16,
    /// From a tile's inputs to the next tile's.
    pub values_step: usize,
    /// Transformed weights: `[channels / PAIR][output channel][PAIR]`.
    pub weights: *const i16,
    /// Sums: for each tile, the block's output channels.
    pub sums: *mut i32,
    /// From a tile's sums to the next tile's.
    pub sums_step: usize,
    /// Input channels, a multiple of [`Lanes::DEPTH`].
    pub channels: usize,
    /// Weights that are needed later, of which a line may be fetched for each pair of channels. It may lie beyond all weights.
    pub later: Option<*const Line>,
}
