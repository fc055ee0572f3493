//! Weights as a kernel reads them.

use crate::kernel::{Kernel, MOST_CHANNELS};
use crate::layer::Convolution;

/// The weights of some output channels, in the order in which a kernel reads them.
#[derive(Debug)]
pub struct Panel {
    /// The first of its output channels.
    pub first: usize,
    /// How many output channels it gives.
    pub channels: usize,
    /// Blocks of [`Kernel::block`] channels; the last may have less.
    pub blocks: usize,
    /// In lines of 64 bytes, so that no load crosses one.
    pub weight: Vec<Line>,
    /// The lowest of its weights. Sums of two products fit into 16 bits unless it is -128.
    pub lowest: i8,
    /// Where every sum begins: the bias less what the zeros of the input bring. As many as its blocks have channels, and up to a
    /// multiple of [`TOGETHER`].
    pub bias: Vec<i32>,
    /// As many.
    pub multiplier: Vec<f32>,
}

/// Sums that kernels requantise at once.
pub const TOGETHER: usize = 16;

/// 64 bytes, aligned so.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub struct Line(pub [u8; 64]);

/// What a sum runs over: `rows` runs of `steps * granule` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reduction {
    /// Runs.
    pub rows: usize,
    /// Granules in a run.
    pub steps: usize,
    /// Bytes in a run that have weights.
    pub run: usize,
    /// Bytes of the input from a run to the next.
    pub stride: usize,
}

impl Reduction {
    /// Of a convolution over a map whose rows are `row` bytes apart. Runs that follow each other are one.
    pub fn new(layer: &Convolution, row: usize, granule: usize) -> Reduction {
        let [rows, columns] = layer.window.kernel;
        let run = columns * layer.from;
        let (rows, run) = if run == row { (1, rows * run) } else { (rows, run) };
        Reduction { rows, steps: run.div_ceil(granule), run, stride: row }
    }
}

impl Panel {
    /// The panels of a convolution.
    pub fn all(layer: &Convolution, reduction: &Reduction, kernel: &dyn Kernel) -> Vec<Panel> {
        let block = kernel.block();
        let blocks = layer.to.div_ceil(block);
        let panels = blocks.div_ceil(kernel.most_blocks().min(MOST_CHANNELS / block));
        // Even panels: 96 channels are 48 and 48, not 64 and 32.
        (0..panels)
            .map(|panel| {
                let (first, last) = (panel * blocks / panels, (panel + 1) * blocks / panels);
                Panel::new(layer, reduction, kernel, (first * block, (last * block).min(layer.to), last - first))
            })
            .collect()
    }

    fn new(
        layer: &Convolution,
        reduction: &Reduction,
        kernel: &dyn Kernel,
        (first, last, blocks): (usize, usize, usize),
    ) -> Panel {
        let [rows, columns] = layer.window.kernel;
        let area = rows * columns;
        let padded = blocks * kernel.block();
        let length = reduction.steps * kernel.granule();
        let mut filters = vec![0i8; padded * reduction.rows * length];
        let room = padded.next_multiple_of(TOGETHER);
        let (mut bias, mut multiplier) = (vec![0; room], vec![0.0; room]);
        for channel in first..last {
            let filter = &layer.weight[channel * layer.from * area..][..layer.from * area];
            let runs = &mut filters[(channel - first) * reduction.rows * length..][..reduction.rows * length];
            // A run as it lies in the input: kernel column, then channel. Where runs follow each other they are one.
            for (place, of_place) in (0..area).map(|place| (place, filter[place..].iter().step_by(area))) {
                let at = place * layer.from;
                let into = &mut runs[at / reduction.run * length + at % reduction.run..];
                into.iter_mut().zip(of_place).for_each(|(into, weight)| *into = *weight);
            }
            let sum = filter.iter().fold(0i32, |sum, weight| sum.wrapping_add(i32::from(*weight)));
            let offset = i32::from(kernel.flip()) - i32::from(layer.input_zero);
            bias[channel - first] = layer.bias[channel].wrapping_add(sum.wrapping_mul(offset));
            multiplier[channel - first] = layer.multiplier[channel];
        }
        let lowest = filters.iter().copied().min().unwrap_or(0);
        let bytes = kernel.pack(&filters, padded, reduction.rows * reduction.steps);
        let mut weight = vec![Line([0; 64]); bytes.len().div_ceil(64)];
        for (line, bytes) in weight.iter_mut().zip(bytes.chunks(64)) {
            line.0[..bytes.len()].copy_from_slice(bytes);
        }
        Panel { first, channels: last - first, blocks, weight, lowest, bias, multiplier }
    }
}
