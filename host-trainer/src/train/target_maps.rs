//! The face net's target maps G(I), computed once and cached: stage one never runs the face net.

use std::path::Path;

use tch::{Device, Kind, Tensor};

use super::views::{self, View, Views};
use super::{cache, faces};
use crate::config::Config;
use crate::dataset::Sample;
use crate::net::FaceNet;
use crate::progress::Counter;
use crate::random::rng;

/// Faces that go through the face net at once.
const BATCH: usize = 32;

/// Target maps of samples, and the views they were computed for.
pub struct TargetMaps {
    /// f16 `[n * views, channels, s, s]`: s is the side of the expression net's maps.
    maps: Tensor,
    /// Of sample `i`, view `v` at `i * views + v`.
    views: Vec<View>,
    per_sample: usize,
    /// Of each channel, over all views and places: f32 `[channels]` each.
    mean: Tensor,
    deviation: Tensor,
    /// Mean of `|G(I) - mean|^p` over all values: the loss of a net that answers each channel's mean.
    spread: f64,
}

impl TargetMaps {
    /// Reads the maps cached at `path`, or computes and caches them.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read or written, the face net fails or the run is interrupted.
    pub fn load_or_compute(
        samples: &[Sample],
        face_net: &FaceNet,
        config: &Config,
        seed: u64,
        path: &Path,
        device: Device,
    ) -> crate::Result<TargetMaps> {
        let per_sample = config.stage_one.views;
        let side = config.net.map_size() as i64;
        let channels = face_net.channels(&config.face_net.layer)?;
        let shape = [(samples.len() * per_sample) as i64, channels, side, side];
        let ranges = Views::new(&config.augment, &config.net);
        let fixed = [ranges.centre(), ranges.mirror()];
        let views = ranges.of_samples(samples.len(), per_sample, &fixed, &mut rng(seed, "target maps", 0));
        let key = cache::key(samples, face_net, config, &views)?;
        let compute = || compute(samples, face_net, config, &views, shape, device);
        let maps = cache::or_computed(path, &key, (&shape, Kind::Half), compute)?.to_device(device);
        let (mean, deviation, spread) = statistics(&maps, config.stage_one.power);
        Ok(TargetMaps { maps, views, per_sample, mean, deviation, spread })
    }

    /// Views a sample.
    pub fn per_sample(&self) -> usize {
        self.per_sample
    }

    /// Mean and deviation of each channel, f32 `[channels]` each.
    pub fn channels(&self) -> (&Tensor, &Tensor) {
        (&self.mean, &self.deviation)
    }

    /// Mean of `|G(I) - mean of the channel|^p` over all values.
    pub fn spread(&self) -> f64 {
        self.spread
    }

    /// The view, and the target map's row, of a sample's view.
    pub fn view(&self, sample: i64, view: usize) -> (View, i64) {
        let row = sample * self.per_sample as i64 + view as i64;
        (self.views[row as usize], row)
    }

    /// Target maps of rows: f32 `[n, channels, s, s]`.
    pub fn rows(&self, rows: &[i64]) -> Tensor {
        self.maps.index_select(0, &views::indices(rows, self.maps.device())).to_kind(Kind::Float)
    }
}

fn compute(
    samples: &[Sample],
    face_net: &FaceNet,
    config: &Config,
    views: &[View],
    shape: [i64; 4],
    device: Device,
) -> crate::Result<Tensor> {
    let maps = Tensor::zeros(shape, (Kind::Half, Device::Cpu));
    let mut counter = Counter::new(samples.len(), "target maps");
    let per_sample = config.stage_one.views;
    let side = shape[3];
    for (number, chunk) in samples.chunks(BATCH).enumerate() {
        crate::interrupt::check()?;
        let pictures: Vec<_> = chunk.iter().map(|sample| &sample.picture).collect();
        let input = faces::face_net_input(&pictures, config.face_net.size, device)?;
        for view in 0..per_sample {
            let first = number * BATCH;
            let of_chunk: Vec<View> =
                (first..first + chunk.len()).map(|sample| views[sample * per_sample + view]).collect();
            let seen = views::sample(&input, &of_chunk, config.face_net.size);
            let out = face_net.maps(&seen, &config.face_net.layer, config.run.precision.kind())?;
            // The expression net's maps may be smaller than the face net's: each of their places answers for an area.
            let out = out.adaptive_avg_pool2d([side, side]).to_device(Device::Cpu).to_kind(Kind::Half);
            let rows: Vec<i64> =
                (first..first + chunk.len()).map(|sample| (sample * per_sample + view) as i64).collect();
            let _ = maps.shallow_clone().index_copy_(0, &Tensor::from_slice(&rows), &out);
        }
        counter.add(chunk.len());
    }
    Ok(maps)
}

/// Mean and deviation of each channel, and the mean of `|G - mean|^p` over all values, of maps f16 `[n, channels, s, s]`.
fn statistics(maps: &Tensor, p: f64) -> (Tensor, Tensor, f64) {
    /// Maps that are taken to f32 at once.
    const CHUNK: i64 = 1024;
    let chunks = maps.split(CHUNK, 0);
    let places = maps.numel() as f64 / maps.size()[1] as f64;
    let sum = |values: &dyn Fn(Tensor) -> Tensor| -> Tensor {
        let of = |chunk: &Tensor| {
            values(chunk.to_kind(Kind::Float)).sum_dim_intlist([0i64, 2, 3].as_slice(), true, Kind::Double)
        };
        chunks.iter().map(of).reduce(|a, b| a + b).unwrap_or_else(|| Tensor::zeros([1], (Kind::Double, maps.device())))
    };
    let mean: Tensor = (sum(&|values| values) / places).to_kind(Kind::Float);
    let deviation = (sum(&|values| (values - &mean).square()) / places).sqrt().to_kind(Kind::Float);
    let spread = sum(&|values| (values - &mean).abs().pow_tensor_scalar(p)).sum(Kind::Double).double_value(&[]);
    (mean.flatten(0, -1), deviation.flatten(0, -1), spread / maps.numel() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_channels() {
        let values = Tensor::from_slice(&[1f32, 3.0, 10.0, 10.0, 5.0, 7.0, 10.0, 10.0]).view([2, 2, 1, 2]);
        let (mean, deviation, spread) = statistics(&values.to_kind(Kind::Half), 2.0);
        assert_eq!(Vec::<f32>::try_from(mean).unwrap(), [4.0, 10.0]);
        assert_eq!(Vec::<f32>::try_from(deviation).unwrap(), [5f32.sqrt(), 0.0]);
        assert!((spread - 2.5).abs() < 1e-6);
        let (_, _, absolute) = statistics(&values.to_kind(Kind::Half), 1.0);
        assert!((absolute - 1.0).abs() < 1e-6);
    }
}
