//! Packs weights as a kernel reads them.

use crate::kernel::{Kernel, MAX_CHANNELS, Tiling};
use crate::layer::Convolution;
use crate::panel::{Line, MAX_BOUNDED, PADDING, Panel, Reduction};

/// What the sums of a convolution run over, on a map whose rows are `row` bytes apart, to one whose rows have `width` places. Runs
/// that follow each other are one.
pub fn reduction(layer: &Convolution, row: usize, width: usize, kernel: &dyn Kernel) -> Reduction {
    let [rows, columns] = layer.window.kernel;
    let run = columns * layer.from;
    let columns = match kernel.tiling(layer, width) {
        Tiling::Rows { columns } if run < row => columns,
        _ => 1,
    };
    let (rows, run) = if run == row { (1, rows * run) } else { (rows, run) };
    Reduction { rows, steps: run.div_ceil(columns * kernel.granule()), columns, run, stride: row }
}

/// The panels of a convolution.
pub fn panels(layer: &Convolution, reduction: &Reduction, kernel: &dyn Kernel) -> Vec<Panel> {
    let block = kernel.block();
    let blocks = layer.to.div_ceil(block);
    let count = blocks.div_ceil(kernel.max_blocks().min(MAX_CHANNELS / block));
    // Even panels: 96 channels are 48 and 48, not 64 and 32.
    (0..count)
        .map(|index| {
            let (first, last) = (index * blocks / count, (index + 1) * blocks / count);
            panel(layer, reduction, kernel, (first * block, (last * block).min(layer.to), last - first))
        })
        .collect()
}

fn panel(
    layer: &Convolution,
    reduction: &Reduction,
    kernel: &dyn Kernel,
    (first, last, blocks): (usize, usize, usize),
) -> Panel {
    let [rows, columns] = layer.window.kernel;
    let area = rows * columns;
    let padded = blocks * kernel.block();
    let length = reduction.granules() * kernel.granule();
    let mut filters = vec![0i8; padded * reduction.rows * length];
    let room = padded.next_multiple_of(PADDING);
    let (mut bias, mut multiplier) = (vec![0; room], vec![0.0; room]);
    for channel in first..last {
        let filter = &layer.weight[channel * layer.from * area..][..layer.from * area];
        let runs = &mut filters[(channel - first) * reduction.rows * length..][..reduction.rows * length];
        // In the input, a run has the channels of the first column, then those of the next. Runs that follow each other are one.
        for (place, of_place) in (0..area).map(|place| (place, filter[place..].iter().step_by(area))) {
            for (byte, weight) in (place * layer.from..).zip(of_place) {
                let run = byte / reduction.run * length;
                runs[run + reduction.position(byte % reduction.run, kernel.granule())] = *weight;
            }
        }
        let sum = filter.iter().fold(0i32, |sum, weight| sum.wrapping_add(i32::from(*weight)));
        let offset = i32::from(kernel.flip()) - i32::from(layer.input_zero);
        bias[channel - first] = layer.bias[channel].wrapping_add(sum.wrapping_mul(offset));
        multiplier[channel - first] = layer.multiplier[channel];
    }
    let lowest = filters.iter().copied().min().unwrap_or(0);
    let bytes = kernel.pack(&filters, padded, reduction.rows * reduction.granules());
    let mut weight = vec![Line([0; 64]); bytes.len().div_ceil(64)];
    for (line, bytes) in weight.iter_mut().zip(bytes.chunks(64)) {
        line.0[..bytes.len()].copy_from_slice(bytes);
    }
    let bounded = multiplier.iter().all(|multiplier: &f32| multiplier.abs() <= MAX_BOUNDED);
    Panel { first, channels: last - first, blocks, weight, lowest, bounded, bias, multiplier }
}
