//! Calibration: the range of every layer's output on samples held out from training.

use tch::{Kind, Tensor};

use super::float_net::FloatNet;

/// Faces that go through the net at once.
const BATCH: i64 = 32;
/// Bins of a histogram over a layer's whole range.
const BINS: i64 = 8192;

/// The range of a layer's output that u8 covers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// At most 0.
    pub low: f32,
    /// At least 0.
    pub high: f32,
}

/// The range of every layer's output. After ReLU the given percentile of the answers above zero is covered; the logits,
/// which have no ReLU, are covered whole.
pub fn ranges(net: &FloatNet, faces: &Tensor, percentile: f64) -> Vec<Range> {
    let batches: Vec<Tensor> = faces.split(BATCH, 0);
    let mut whole = vec![Range { low: 0.0, high: 0.0 }; net.layers.len()];
    for batch in &batches {
        for (range, output) in whole.iter_mut().zip(net.outputs(batch)) {
            range.low = range.low.min(output.min().double_value(&[]) as f32);
            range.high = range.high.max(output.max().double_value(&[]) as f32);
        }
    }
    let zeros = || Tensor::zeros([BINS], (Kind::Double, tch::Device::Cpu));
    let mut histograms: Vec<Tensor> = net.layers.iter().map(|_| zeros()).collect();
    for batch in &batches {
        for ((histogram, output), range) in histograms.iter_mut().zip(net.outputs(batch)).zip(&whole) {
            if range.high > 0.0 {
                *histogram += output.clamp_min(0.0).histc_min_max(range.high).to_kind(Kind::Double);
            }
        }
    }
    net.layers
        .iter()
        .zip(&whole)
        .zip(&histograms)
        .map(
            |((layer, range), histogram)| {
                if layer.relu { Range { low: 0.0, high: covering(histogram, range.high, percentile) } } else { *range }
            },
        )
        .collect()
}

trait Histogram {
    /// Counts in [`BINS`] bins from 0 to `high`.
    fn histc_min_max(&self, high: f32) -> Tensor;
}

impl Histogram for Tensor {
    fn histc_min_max(&self, high: f32) -> Tensor {
        // One bin a value: tch's `histc` takes no range.
        let bins = (self / f64::from(high) * BINS as f64).clamp(0.0, (BINS - 1) as f64).to_kind(Kind::Int64);
        bins.flatten(0, -1).bincount::<Tensor>(None, BINS)
    }
}

/// The upper edge of the bin that ends the percentile of all counts but those of the first bin, which are mostly zeros.
fn covering(histogram: &Tensor, high: f32, percentile: f64) -> f32 {
    let counts: Vec<f64> = Vec::try_from(histogram).unwrap_or_default();
    let total: f64 = counts.iter().skip(1).sum();
    let mut covered = 0.0;
    for (bin, count) in counts.iter().enumerate().skip(1) {
        covered += count;
        if covered >= total * percentile / 100.0 {
            return high * (bin + 1) as f32 / BINS as f32;
        }
    }
    high
}
