//! What a kernel multiplies by: packed weights, and what a sum runs over.

/// The weights of some output channels, in the order in which a kernel reads them.
#[derive(Debug)]
pub struct Panel {
    /// The first of its output channels.
    pub first: usize,
    /// How many output channels it gives.
    pub channels: usize,
    /// Blocks of [`crate::kernel::Kernel::block`] channels; the last may have fewer.
    pub blocks: usize,
    /// In lines of 64 bytes, so that no load crosses one.
    pub weight: Vec<Line>,
    /// The lowest of its weights. Sums of two products fit into 16 bits unless it is -128.
    pub lowest: i8,
    /// Whether no sum times its multiplier leaves the range of an i32, so that values may be clamped after they are rounded.
    pub bounded: bool,
    /// Where every sum begins: the bias less what the zeros of the input bring. As many as its blocks have channels, and up to a
    /// multiple of [`PADDING`].
    pub bias: Vec<i32>,
    /// As many.
    pub multiplier: Vec<f32>,
}

/// Biases and multipliers are filled up to a multiple of this: sums that kernels requantize at once.
pub const PADDING: usize = 16;
/// The largest multiplier of a bounded panel: times any i32 it stays below 2^30.
pub const MAX_BOUNDED: f32 = 0.5;

/// 64 bytes, aligned so.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub struct Line(pub [u8; 64]);

/// What a sum runs over: `rows` runs of `steps` steps, each of which multiplies a granule of `columns` columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reduction {
    /// Runs.
    pub rows: usize,
    /// Steps in a run.
    pub steps: usize,
    /// Columns of the window in a step; see [`crate::kernel::Tiling`].
    pub columns: usize,
    /// Bytes in a run that have weights.
    pub run: usize,
    /// Bytes of the input from a run to the next.
    pub stride: usize,
}

impl Reduction {
    /// Returns how many granules a run has.
    pub fn granules(&self) -> usize {
        self.steps * self.columns
    }

    /// Returns where the weight of a byte of a run is packed: all columns of a granule of channels, then those of the next granule.
    pub fn position(&self, byte: usize, granule: usize) -> usize {
        let channels = self.run / self.columns;
        let (column, channel) = (byte / channels, byte % channels);
        (channel / granule * self.columns + column) * granule + channel % granule
    }
}
