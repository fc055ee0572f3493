//! What a chain computes, written as plainly as it can be: the measure of every kernel.

use crate::layer::{Convolution, Layer, MaxPool, Shape, Window};

/// `clamp(round_half_even(f32(sum) * multiplier) + zero, 0, 255)`.
pub fn requantize(sum: i32, multiplier: f32, zero: u8) -> u8 {
    let zero = f32::from(zero);
    // Clamped before it is rounded, so that no value is beyond an i32.
    let value = (sum as f32 * multiplier).max(-zero).min(255.0 - zero);
    (value.round_ties_even() + zero) as u8
}

/// A convolution of a map `[channels, height, width]`.
///
/// # Panics
/// Where map and layer do not fit each other.
pub fn convolution(layer: &Convolution, shape: Shape, map: &[u8]) -> Vec<u8> {
    let window = &layer.window;
    let [height, width] = window.output([shape.height, shape.width]).expect("the window fits");
    let [rows, columns] = window.kernel;
    let mut output = Vec::with_capacity(layer.to * height * width);
    for channel in 0..layer.to {
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let mut sum = layer.bias[channel];
            for (from, row, column) in
                (0..layer.from).flat_map(|f| (0..rows).flat_map(move |r| (0..columns).map(move |c| (f, r, c))))
            {
                let weight = layer.weight[((channel * layer.from + from) * rows + row) * columns + column];
                let at = |place: usize, step: usize, offset: usize, before: usize, side: usize| {
                    (place * step + offset).checked_sub(before).filter(|at| *at < side)
                };
                let from_top = at(y, window.stride[0], row, window.before[0], shape.height);
                let from_left = at(x, window.stride[1], column, window.before[1], shape.width);
                let (Some(y), Some(x)) = (from_top, from_left) else { continue };
                let byte = map[(from * shape.height + y) * shape.width + x];
                let product = (i32::from(byte) - i32::from(layer.input_zero)) * i32::from(weight);
                sum = sum.wrapping_add(product);
            }
            output.push(requantize(sum, layer.multiplier[channel], layer.output_zero));
        }
    }
    output
}

/// A max-pool of a map `[channels, height, width]`.
///
/// # Panics
/// Where map and layer do not fit each other.
pub fn max_pool(layer: &MaxPool, shape: Shape, map: &[u8]) -> Vec<u8> {
    let Window { kernel, stride, before, .. } = layer.window;
    let [height, width] = layer.window.output([shape.height, shape.width]).expect("the window fits");
    let mut output = Vec::with_capacity(shape.channels * height * width);
    let span = |place: usize, axis: usize, side: usize| {
        let first = place * stride[axis];
        first.saturating_sub(before[axis])..(first + kernel[axis]).saturating_sub(before[axis]).min(side)
    };
    for channel in 0..shape.channels {
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let rows = span(y, 0, shape.height);
            let covered = rows.flat_map(|y| span(x, 1, shape.width).map(move |x| (y, x)));
            output.push(covered.map(|(y, x)| map[(channel * shape.height + y) * shape.width + x]).max().unwrap_or(0));
        }
    }
    output
}

/// A chain of layers on a map `[channels, height, width]`: the output map, in the same order.
///
/// # Panics
/// Where map and layers do not fit each other.
pub fn chain(layers: &[Layer], shape: Shape, map: &[u8]) -> Vec<u8> {
    let (mut shape, mut map) = (shape, map.to_vec());
    for layer in layers {
        let (next, window, channels) = match layer {
            Layer::Convolution(layer) => (convolution(layer, shape, &map), layer.window, layer.to),
            Layer::MaxPool(layer) => (max_pool(layer, shape, &map), layer.window, shape.channels),
        };
        let [height, width] = window.output([shape.height, shape.width]).expect("the window fits");
        (shape, map) = (Shape { channels, height, width }, next);
    }
    map
}
