//! Cross-layer equalization: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
//! ICCV 2019, arXiv 1906.04721, section 4.1.
//!
//! A factor on a channel passes through ReLU and max-pool, so it can be moved from a layer to the next one without
//! changing what the net computes.

use super::calibrate::Range;
use super::float_net::{FloatNet, Layer};
use crate::error::ensure;

/// Passes over all pairs of layers; the ranges hardly change after a few.
const PASSES: usize = 20;
/// Factors are kept within this and its inverse: a channel that hardly answers is not blown up.
const MAX_FACTOR: f32 = 64.0;

/// Gives each channel between two layers the same range of weights on both sides (equation 11).
pub fn equalize(net: &mut FloatNet) {
    for _ in 0..PASSES {
        for index in 1..net.layers.len() {
            let (before, after) = net.layers.split_at_mut(index);
            let (first, second) = (&mut before[index - 1], &mut after[0]);
            if !first.relu {
                continue;
            }
            for channel in 0..first.shape[0] {
                let (out, into) = (outgoing_range(first, channel), incoming_range(second, channel));
                if out > 0.0 && into > 0.0 {
                    move_factor(first, second, channel, (out / into).sqrt().clamp(1.0 / MAX_FACTOR, MAX_FACTOR));
                }
            }
        }
    }
}

/// Moves a factor for each layer into the next one, so that the u8 scale of every activation is a power of two.
///
/// `ranges`: of every layer's output. With such scales the multipliers of the int8 graph are exact in f32: see
/// `expression_core::quantize`.
///
/// # Errors
/// Returns an error if a layer never answers on the calibration samples: it is broken, and quantization would hide it.
pub fn round_scales(net: &mut FloatNet, ranges: &[Range]) -> crate::Result<()> {
    for index in 1..net.layers.len() {
        let (before, after) = net.layers.split_at_mut(index);
        let (first, second) = (&mut before[index - 1], &mut after[0]);
        let top = ranges[index - 1].high;
        ensure!(top > 0.0, "layer {} never answers on the calibration samples; train longer", first.name);
        let scale = top / 255.0;
        let factor = scale / 2f32.powf(scale.log2().round());
        for channel in 0..first.shape[0] {
            move_factor(first, second, channel, factor);
        }
    }
    Ok(())
}

/// Divides a channel's output by `factor`, and multiplies what the next layer makes of it.
fn move_factor(first: &mut Layer, second: &mut Layer, channel: usize, factor: f32) {
    let filter = first.weight.len() / first.shape[0];
    first.weight[channel * filter..(channel + 1) * filter].iter_mut().for_each(|weight| *weight /= factor);
    first.bias[channel] /= factor;
    for weight in incoming_mut(second, channel) {
        *weight *= factor;
    }
}

fn outgoing_range(layer: &Layer, channel: usize) -> f32 {
    let filter = layer.weight.len() / layer.shape[0];
    layer.weight[channel * filter..(channel + 1) * filter].iter().fold(0.0, |top, weight| top.max(weight.abs()))
}

fn incoming_range(layer: &Layer, channel: usize) -> f32 {
    let [_, from, height, width] = layer.shape;
    let area = height * width;
    let of_channel = layer.weight.chunks_exact(from * area).map(|filter| &filter[channel * area..(channel + 1) * area]);
    of_channel.flatten().fold(0.0, |top, weight| top.max(weight.abs()))
}

fn incoming_mut(layer: &mut Layer, channel: usize) -> impl Iterator<Item = &mut f32> {
    let [_, from, height, width] = layer.shape;
    let area = height * width;
    layer.weight.chunks_exact_mut(from * area).flat_map(move |filter| &mut filter[channel * area..(channel + 1) * area])
}
