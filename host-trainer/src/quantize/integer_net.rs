//! The integer net: the reference that every engine is held to, in our own arithmetic.

use expression_core::quantize::{MULTIPLIER_BITS, requantize};
use expression_engine::bundle::Output;

use super::calibrate::Range;
use super::float_net::{FloatNet, Layer};
use crate::config::{WeightScales, pooled};
use crate::error::ensure;
use crate::net::expression_net::{INPUT_UNIT, INPUT_ZERO};

/// Significant bits of the logits' scale: with them, its products with a multiplier stay exact in f32.
const OUTPUT_SCALE_BITS: i32 = 8;

/// A chain of integer convolutions: u8 activations, s8 weights, i32 sums.
#[derive(Debug, Clone)]
pub struct IntegerNet {
    /// Channels of the aligned face.
    pub channels: usize,
    /// Side of the net's input in pixels.
    pub size: usize,
    /// In the order they run.
    pub layers: Vec<IntegerLayer>,
}

/// A quantized layer. Real value of an activation: `scale * (u8 - zero)`; of a weight: `weight_scale * s8`.
#[derive(Debug, Clone)]
pub struct IntegerLayer {
    /// Name, for graphs.
    pub name: String,
    /// To, from, height, width.
    pub shape: [usize; 4],
    /// Row-major.
    pub weight: Vec<i8>,
    /// In units of `input_scale * weight_scale`.
    pub bias: Vec<i32>,
    /// Around the input, of its zero.
    pub padding: usize,
    /// Max-pool 3x3, stride 2, ceil mode.
    pub pool: bool,
    /// Of the input; a power of two.
    pub input_scale: f32,
    /// Of the input.
    pub input_zero: u8,
    /// One an output channel, or one for all.
    pub weight_scale: Vec<f32>,
    /// `input_scale * weight_scale / output_scale` in units of `2^-16`: one an output channel.
    pub multiplier: Vec<u32>,
    /// Of the output.
    pub output_scale: f32,
    /// Of the output; 0 after ReLU, so that the lower bound of u8 is the ReLU.
    pub output_zero: u8,
}

impl IntegerNet {
    /// Quantizes a net whose activation scales `equalize::round_scales` made powers of two. `ranges`: of every layer.
    ///
    /// # Errors
    /// Returns an error if a layer's range is empty.
    pub fn new(net: &FloatNet, ranges: &[Range], scales: WeightScales) -> crate::Result<IntegerNet> {
        let (mut input_scale, mut input_zero) = ((1.0 / INPUT_UNIT) as f32, INPUT_ZERO as u8);
        let mut layers = Vec::new();
        for (layer, range) in net.layers.iter().zip(ranges) {
            ensure!(range.high > range.low, "layer {} has no range on the calibration samples", layer.name);
            let (output_scale, output_zero) = if layer.relu {
                (2f32.powf((range.high / 255.0).log2().round()), 0)
            } else {
                let scale = round_up((range.high - range.low) / 255.0, OUTPUT_SCALE_BITS);
                (scale, (-range.low / scale).round().clamp(0.0, 255.0) as u8)
            };
            let quantized = IntegerLayer::new(layer, (input_scale, input_zero), (output_scale, output_zero), scales);
            quantized.check()?;
            (input_scale, input_zero) = (output_scale, output_zero);
            layers.push(quantized);
        }
        Ok(IntegerNet { channels: net.channels, size: net.size, layers })
    }

    /// How many classes.
    pub fn classes(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.shape[0])
    }

    /// Quantization of the integer scores.
    pub fn output(&self) -> Output {
        self.layers.last().map_or(Output { scale: 1.0, zero_point: 0 }, |layer| Output {
            scale: layer.output_scale,
            zero_point: layer.output_zero,
        })
    }

    /// Integer scores of one aligned face, u8 `[channels, size, size]`.
    pub fn scores(&self, face: &[u8]) -> Vec<u8> {
        // Inside, channels lie innermost: a filter's row is one stretch of memory.
        let mut side = self.size;
        let area = side * side;
        let mut maps: Vec<u8> =
            (0..area).flat_map(|pixel| (0..self.channels).map(move |c| face[c * area + pixel])).collect();
        for layer in &self.layers {
            (maps, side) = layer.run(&maps, side);
        }
        maps
    }
}

impl IntegerLayer {
    fn new(
        layer: &Layer,
        (input_scale, input_zero): (f32, u8),
        (output_scale, output_zero): (f32, u8),
        scales: WeightScales,
    ) -> IntegerLayer {
        let filters = layer.weight.chunks_exact(layer.weight.len() / layer.shape[0]);
        let tops: Vec<f32> =
            filters.clone().map(|filter| filter.iter().fold(0.0f32, |top, weight| top.max(weight.abs()))).collect();
        let whole = tops.iter().copied().fold(0.0, f32::max);
        let units = f64::from(1u32 << MULTIPLIER_BITS);
        let per_channel: Vec<u32> = tops
            .iter()
            .map(|top| {
                let top = f64::from(if scales == WeightScales::PerChannel { *top } else { whole });
                let ideal = f64::from(input_scale) * (top / 127.0) / f64::from(output_scale);
                // Rounded up, so that the largest weight still fits.
                ((ideal * units).ceil() as u32).max(1)
            })
            .collect();
        let step = |multiplier: u32| f64::from(multiplier) / units * f64::from(output_scale) / f64::from(input_scale);
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for ((filter, offset), multiplier) in filters.zip(&layer.bias).zip(&per_channel) {
            let step = step(*multiplier);
            weight.extend(filter.iter().map(|w| (f64::from(*w) / step).round_ties_even().clamp(-127.0, 127.0) as i8));
            bias.push((f64::from(*offset) / (step * f64::from(input_scale))).round_ties_even() as i32);
        }
        let kept = if scales == WeightScales::PerChannel { &per_channel[..] } else { &per_channel[..1] };
        IntegerLayer {
            name: layer.name.clone(),
            shape: layer.shape,
            weight,
            bias,
            padding: layer.padding,
            pool: layer.pool,
            input_scale,
            input_zero,
            weight_scale: kept.iter().map(|multiplier| step(*multiplier) as f32).collect(),
            multiplier: per_channel,
            output_scale,
            output_zero,
        }
    }

    /// What exactness rests on: sums stay within i32, and scales within the 24 bits of f32 (`docs/exactness.md`).
    fn check(&self) -> crate::Result<()> {
        let filters = self.weight.chunks_exact(self.weight.len() / self.shape[0]);
        let most = filters.zip(&self.bias).map(|(filter, bias)| {
            let weights: i64 = filter.iter().map(|weight| i64::from(weight.unsigned_abs())).sum();
            i64::from(bias.unsigned_abs()) + 255 * weights
        });
        ensure!(
            most.max().is_some_and(|most| most <= i64::from(i32::MAX)),
            "layer {}: its sums may leave 32 bits; make the layer or the maps before it smaller",
            self.name
        );
        ensure!(
            self.multiplier.iter().all(|multiplier| *multiplier < 1 << 16),
            "layer {}: a channel grows more than its input's scale allows; train longer",
            self.name
        );
        Ok(())
    }

    /// Maps `[side, side, from]` to maps `[side', side', to]`, and their side.
    fn run(&self, maps: &[u8], side: usize) -> (Vec<u8>, usize) {
        let [to, from, kernel, _] = self.shape;
        let out = side + 2 * self.padding + 1 - kernel;
        let weight = self.channels_innermost();
        let mut result = vec![0; out * out * to];
        let mut patch = vec![0i16; kernel * kernel * from];
        for (pixel, values) in result.chunks_exact_mut(to).enumerate() {
            self.gather(maps, side, (pixel / out, pixel % out), &mut patch);
            for (channel, (value, filter)) in values.iter_mut().zip(weight.chunks_exact(patch.len())).enumerate() {
                let products = patch.iter().zip(filter).map(|(a, w)| i32::from(*a) * i32::from(*w));
                *value =
                    requantize(self.bias[channel] + products.sum::<i32>(), self.multiplier[channel], self.output_zero);
            }
        }
        if self.pool { (max_pool(&result, out, to), pooled(out)) } else { (result, out) }
    }

    /// The input under a filter at an output pixel, less the input's zero; zeros where it reaches outside.
    fn gather(&self, maps: &[u8], side: usize, (row, column): (usize, usize), patch: &mut [i16]) {
        let [_, from, kernel, _] = self.shape;
        for (index, values) in patch.chunks_exact_mut(from).enumerate() {
            let y = (row + index / kernel).checked_sub(self.padding).filter(|y| *y < side);
            let x = (column + index % kernel).checked_sub(self.padding).filter(|x| *x < side);
            match (y, x) {
                (Some(y), Some(x)) => {
                    let pixel = &maps[(y * side + x) * from..][..from];
                    for (value, byte) in values.iter_mut().zip(pixel) {
                        *value = i16::from(*byte) - i16::from(self.input_zero);
                    }
                }
                _ => values.fill(0),
            }
        }
    }

    /// The weights as `[to, height, width, from]`.
    fn channels_innermost(&self) -> Vec<i16> {
        let [to, from, height, width] = self.shape;
        let area = height * width;
        let mut weight = vec![0; self.weight.len()];
        for channel in 0..to {
            for place in 0..area {
                for source in 0..from {
                    weight[(channel * area + place) * from + source] =
                        i16::from(self.weight[(channel * from + source) * area + place]);
                }
            }
        }
        weight
    }
}

fn max_pool(maps: &[u8], side: usize, channels: usize) -> Vec<u8> {
    let out = pooled(side);
    let mut result = vec![0; out * out * channels];
    for (pixel, values) in result.chunks_exact_mut(channels).enumerate() {
        let (top, left) = (pixel / out * 2, pixel % out * 2);
        for y in top..(top + 3).min(side) {
            for x in left..(left + 3).min(side) {
                for (value, byte) in values.iter_mut().zip(&maps[(y * side + x) * channels..]) {
                    *value = (*value).max(*byte);
                }
            }
        }
    }
    result
}

/// The least number of `bits` significant bits that is at least `value`.
fn round_up(value: f32, bits: i32) -> f32 {
    let unit = 2f64.powi(value.log2().floor() as i32 + 1 - bits);
    ((f64::from(value) / unit).ceil() * unit) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_rounded_up_to_few_bits() {
        assert_eq!(round_up(1.0, 8), 1.0);
        assert_eq!(round_up(1.001, 8), 1.0 + 1.0 / 128.0);
        for value in [0.037f32, 0.5, 3.3, 1e-4] {
            let rounded = round_up(value, 8);
            assert!(rounded >= value && rounded < value * 1.01 && rounded.to_bits().trailing_zeros() >= 16);
        }
    }

    #[test]
    fn max_pool_is_in_ceil_mode() {
        let maps: Vec<u8> = (0..16).collect();
        assert_eq!(max_pool(&maps, 4, 1), [10, 11, 14, 15]);
    }
}
