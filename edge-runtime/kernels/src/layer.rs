//! What a chain is made of.

/// Size of a map: channels, height, width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Shape {
    /// How many values.
    pub fn len(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// How a window moves over a map. Each pair: rows, columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Size.
    pub kernel: [usize; 2],
    /// Step.
    pub stride: [usize; 2],
    /// Border above and left.
    pub before: [usize; 2],
    /// Border below and right. A pool in ceil mode has what its last window needs.
    pub after: [usize; 2],
}

impl Window {
    /// Rows and columns of what it gives on a map of `sides`; `None` where it does not fit.
    pub fn output(&self, sides: [usize; 2]) -> Option<[usize; 2]> {
        let side = |axis: usize| {
            let whole = sides[axis].checked_add(self.before[axis])?.checked_add(self.after[axis])?;
            let rest = whole.checked_sub(self.kernel[axis]).filter(|_| self.kernel[axis] > 0)?;
            Some(rest.checked_div(self.stride[axis])? + 1)
        };
        Some([side(0)?, side(1)?])
    }
}

/// A quantized convolution: u8 activations, s8 weights, 32-bit sums that wrap.
///
/// `output = clamp(round_half_even(f32(sum) * multiplier) + output_zero, 0, 255)` with
/// `sum = bias + sum of (input - input_zero) * weight`. It is onnxruntime's rule for QLinearConv; where multipliers are whole
/// numbers of 2^-16, as `host-trainer` exports them, it is exact integer arithmetic too (`docs/exactness.md`).
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution {
    /// Channels of its input.
    pub from: usize,
    /// Channels of its output.
    pub to: usize,
    /// How it moves. The border holds `input_zero`.
    pub window: Window,
    /// `[to, from, kernel rows, kernel columns]`, row-major.
    pub weight: Vec<i8>,
    /// One an output channel.
    pub bias: Vec<i32>,
    /// `input scale * weight scale / output scale`: one an output channel.
    pub multiplier: Vec<f32>,
    /// The byte that means zero in its input.
    pub input_zero: u8,
    /// The byte that means zero in its output.
    pub output_zero: u8,
}

/// A max-pool. Its border counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxPool {
    /// How it moves.
    pub window: Window,
}

/// One layer.
#[derive(Debug, Clone, PartialEq)]
pub enum Layer {
    /// A convolution; fully-connected layers are convolutions over the whole map.
    Convolution(Convolution),
    /// A max-pool.
    MaxPool(MaxPool),
}
