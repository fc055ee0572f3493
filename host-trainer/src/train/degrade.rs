//! What cameras, rooms and codecs do to faces, on tensors: low resolution, blur, gain, gamma, noise and JPEG, each at random.
//!
//! The views that these faces come from are the teacher's too; it answers to the clean ones, so that the net learns to answer to a
//! bad picture what the teacher answers to the good one.

use rand::{Rng, RngExt};
use tch::{Device, Kind, Tensor};

use crate::config::Degrade;

/// The luminance table of JPEG, annex K.1.
const JPEG_LUMINANCE: [f32; 64] = [
    16.0, 11.0, 10.0, 16.0, 24.0, 40.0, 51.0, 61.0, 12.0, 12.0, 14.0, 19.0, 26.0, 58.0, 60.0, 55.0, 14.0, 13.0, 16.0,
    24.0, 40.0, 57.0, 69.0, 56.0, 14.0, 17.0, 22.0, 29.0, 51.0, 87.0, 80.0, 62.0, 18.0, 22.0, 37.0, 56.0, 68.0, 109.0,
    103.0, 77.0, 24.0, 35.0, 55.0, 64.0, 81.0, 104.0, 113.0, 92.0, 49.0, 64.0, 78.0, 87.0, 103.0, 121.0, 120.0, 101.0,
    72.0, 92.0, 95.0, 98.0, 112.0, 100.0, 103.0, 99.0,
];
/// Side of JPEG's blocks.
const BLOCK: i64 = 8;

/// Returns faces `[n, c, h, w]` in `0..=255`, f32, of which each suffers each of the configured disturbances with the configured
/// probability, in the order in which a camera brings them about.
pub fn degraded(faces: &Tensor, config: &Degrade, rng: &mut impl Rng) -> Tensor {
    let draw = Draw { count: faces.size()[0], share: config.share, device: faces.device() };
    let mut faces = faces.to_kind(Kind::Float);
    if config.gain != [1.0, 1.0] {
        // Evenly by the logarithm: half as bright is as likely as twice as bright.
        let [from, to] = config.gain.map(f64::ln);
        faces = &faces * draw.values(rng, 1.0, |rng| (from + (to - from) * rng.random::<f64>()).exp());
    }
    if config.gamma != [1.0, 1.0] {
        let [from, to] = config.gamma.map(f64::ln);
        let power = draw.values(rng, 1.0, |rng| (from + (to - from) * rng.random::<f64>()).exp());
        faces = (faces.clamp(0.0, 255.0) / 255.0).pow(&power) * 255.0;
    }
    if config.blur > 0.0 {
        let sigma = draw.numbers(rng, 0.0, |rng| config.blur * rng.random::<f64>());
        faces = blurred(&faces, &sigma);
    }
    if config.low_resolution < 1.0 {
        let share = draw.numbers(rng, 1.0, |rng| rng.random_range(config.low_resolution..1.0));
        faces = resampled(&faces, &share);
    }
    if config.noise > 0.0 {
        let sigma = draw.values(rng, 0.0, |rng| config.noise * rng.random::<f64>());
        // torch's generator is seeded for each epoch.
        faces = &faces + faces.randn_like() * sigma;
    }
    if config.jpeg < 100 {
        let quality = draw.numbers(rng, 100.0, |rng| f64::from(rng.random_range(config.jpeg..100)));
        faces = compressed(&faces, &quality);
    }
    faces.clamp(0.0, 255.0)
}

/// Draws a number for each face.
struct Draw {
    count: i64,
    share: f64,
    device: Device,
}

impl Draw {
    /// Numbers of which the configured share is drawn and the others are `none`.
    fn numbers<R: Rng>(&self, rng: &mut R, none: f64, mut drawn: impl FnMut(&mut R) -> f64) -> Vec<f32> {
        let one = |_| if rng.random::<f64>() < self.share { drawn(rng) } else { none } as f32;
        (0..self.count).map(one).collect()
    }

    /// The same as a tensor `[n, 1, 1, 1]`.
    fn values<R: Rng>(&self, rng: &mut R, none: f64, drawn: impl FnMut(&mut R) -> f64) -> Tensor {
        column(&self.numbers(rng, none, drawn), self.device)
    }
}

fn column(values: &[f32], device: Device) -> Tensor {
    Tensor::from_slice(values).view([-1, 1, 1, 1]).to_device(device)
}

/// Faces blurred by Gaussians of standard deviations `sigma`, in pixels, one for each face; edges repeated.
fn blurred(faces: &Tensor, sigma: &[f32]) -> Tensor {
    let most = sigma.iter().copied().fold(0.0, f32::max);
    let [count, channels, height, width] = faces.size()[..] else { return faces.shallow_clone() };
    // The pad cannot be as long as a side, and a kernel of one is none.
    let radius = ((3.0 * most).ceil() as i64).min(height.min(width) - 1);
    if radius < 1 {
        return faces.shallow_clone();
    }
    let kernel: Vec<f32> = sigma
        .iter()
        .flat_map(|sigma| {
            let weight = |at: i64| (-0.5 * (at as f32 / sigma.max(1e-3)).powi(2)).exp();
            let sum: f32 = (-radius..=radius).map(weight).sum();
            (-radius..=radius).map(move |at| weight(at) / sum).collect::<Vec<_>>()
        })
        .collect();
    let kernel = Tensor::from_slice(&kernel).view([count, 2 * radius + 1]).to_device(faces.device());
    let kernel = kernel.repeat_interleave_self_int(channels, 0, None);
    // Each face has a kernel of its own: faces become the channels of one picture.
    let groups = count * channels;
    let planes = faces.view([1, groups, height, width]);
    let bias: Option<&Tensor> = None;
    let rows = planes.replication_pad2d([radius, radius, 0, 0]).conv2d(
        &kernel.view([groups, 1, 1, -1]),
        bias,
        1,
        0,
        1,
        groups,
    );
    let both =
        rows.replication_pad2d([0, 0, radius, radius]).conv2d(&kernel.view([groups, 1, -1, 1]), bias, 1, 0, 1, groups);
    both.view([count, channels, height, width])
}

/// Faces reduced to shares of their sides and enlarged again, one share for each face.
fn resampled(faces: &Tensor, share: &[f32]) -> Tensor {
    let [_, _, height, width] = faces.size()[..] else { return faces.shallow_clone() };
    let parts: Vec<Tensor> = share
        .iter()
        .enumerate()
        .map(|(number, share)| {
            let face = faces.narrow(0, number as i64, 1);
            let [h, w] = [height, width].map(|side| ((side as f32 * share).round() as i64).clamp(1, side));
            if (h, w) == (height, width) {
                return face;
            }
            let small = face.internal_upsample_bilinear2d_aa([h, w], false, None, None);
            small.upsample_bilinear2d([height, width], false, None, None)
        })
        .collect();
    Tensor::cat(&parts, 0)
}

/// Faces after JPEG's cosine transform and quantization of qualities 1 to 100, one for each face. 100 leaves a face as it is. Each
/// channel is treated as luminance; a last block that is not whole is filled up with the edge.
fn compressed(faces: &Tensor, quality: &[f32]) -> Tensor {
    let [count, channels, height, width] = faces.size()[..] else { return faces.shallow_clone() };
    let tables: Vec<f32> = quality
        .iter()
        .flat_map(|quality| {
            // The scaling of the Independent JPEG Group.
            let scale = if *quality < 50.0 { 5000.0 / quality.max(1.0) } else { 200.0 - 2.0 * quality };
            JPEG_LUMINANCE.map(|step| ((step * scale + 50.0) / 100.0).floor().clamp(1.0, 255.0))
        })
        .collect();
    let table = Tensor::from_slice(&tables).view([count, 1, 1, 1, BLOCK, BLOCK]).to_device(faces.device());
    let cosine: Vec<f32> = (0..BLOCK * BLOCK)
        .map(|place| {
            let (frequency, at) = ((place / BLOCK) as f32, (place % BLOCK) as f32);
            let scale: f32 = if frequency == 0.0 { 0.125 } else { 0.25 };
            scale.sqrt() * ((2.0 * at + 1.0) * frequency * std::f32::consts::PI / 16.0).cos()
        })
        .collect();
    let cosine = Tensor::from_slice(&cosine).view([BLOCK, BLOCK]).to_device(faces.device());
    let [down, right] = [height, width].map(|side| (BLOCK - side % BLOCK) % BLOCK);
    let padded = faces.replication_pad2d([0, right, 0, down]);
    let (rows, columns) = ((height + down) / BLOCK, (width + right) / BLOCK);
    let blocks = (padded - 128.0).view([count, channels, rows, BLOCK, columns, BLOCK]).transpose(3, 4);
    let coefficients = cosine.matmul(&blocks).matmul(&cosine.transpose(0, 1));
    let kept = (coefficients / &table).round() * &table;
    let blocks = cosine.transpose(0, 1).matmul(&kept).matmul(&cosine) + 128.0;
    let whole = blocks.transpose(3, 4).reshape([count, channels, height + down, width + right]);
    let changed = whole.narrow(2, 0, height).narrow(3, 0, width).clamp(0.0, 255.0);
    let lossy = column(quality, faces.device()).lt(100.0);
    changed.where_self(&lossy, faces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::rng;

    /// Disturbs nothing.
    const NONE: Degrade = Degrade {
        share: 1.0,
        blur: 0.0,
        low_resolution: 1.0,
        gain: [1.0, 1.0],
        gamma: [1.0, 1.0],
        noise: 0.0,
        jpeg: 100,
    };

    /// Grey faces of 20 x 21 pixels with edges in them.
    fn faces(count: i64) -> Tensor {
        let values: Vec<f32> =
            (0..20 * 21).map(|at| (70 + (at % 21) * 3 + (at / 21 / 4 + at % 21 / 5) % 2 * 60) as f32).collect();
        Tensor::from_slice(&values).view([1, 1, 20, 21]).expand([count, 1, 20, 21], false).contiguous()
    }

    fn of(config: Degrade, count: i64) -> Tensor {
        tch::manual_seed(1);
        degraded(&faces(count), &config, &mut rng(1, "degrade", 0))
    }

    /// Mean of each face.
    fn means(faces: &Tensor) -> Vec<f32> {
        faces.mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float).try_into().unwrap()
    }

    /// Mean absolute difference of neighbours, of each face.
    fn edges(faces: &Tensor) -> Vec<f32> {
        means(&(faces.narrow(3, 1, 20) - faces.narrow(3, 0, 20)).abs())
    }

    fn changed(after: &Tensor) -> usize {
        let before = faces(after.size()[0]);
        means(&(after - before).abs()).iter().filter(|difference| **difference > 1e-3).count()
    }

    #[test]
    fn nothing_configured_changes_nothing() {
        assert_eq!(of(NONE, 5), faces(5));
        assert_eq!(changed(&of(Degrade { share: 0.0, blur: 2.0, noise: 9.0, jpeg: 10, ..NONE }, 50)), 0);
    }

    #[test]
    fn the_configured_share_of_faces_suffers_and_the_seed_decides_which() {
        for config in [
            Degrade { gain: [0.2, 0.5], ..NONE },
            Degrade { gamma: [2.0, 3.0], ..NONE },
            Degrade { noise: 20.0, ..NONE },
            Degrade { blur: 3.0, ..NONE },
            Degrade { low_resolution: 0.3, ..NONE },
            Degrade { jpeg: 10, ..NONE },
        ] {
            let half = Degrade { share: 0.5, ..config.clone() };
            let count = changed(&of(half.clone(), 400));
            // Mild draws round to nothing for some.
            assert!((130..=250).contains(&count), "{half:?}: {count} of 400");
            // Noise comes from torch's generator, which tests beside this one use too.
            if half.noise == 0.0 {
                assert_eq!(of(half.clone(), 30), of(half.clone(), 30));
            }
            let other = degraded(&faces(30), &half, &mut rng(2, "degrade", 0));
            assert_ne!(other, of(half, 30));
            assert!(changed(&of(config.clone(), 100)) > 85, "{config:?}");
        }
    }

    #[test]
    fn each_does_what_it_says() {
        let (mean, sharp) = (means(&faces(1))[0], edges(&faces(1))[0]);
        let gains: Vec<f32> =
            means(&of(Degrade { gain: [0.25, 1.0], ..NONE }, 300)).iter().map(|it| it / mean).collect();
        assert!(gains.iter().all(|gain| (0.249..=1.001).contains(gain)));
        let below = gains.iter().filter(|gain| **gain < 0.5).count();
        assert!((115..=185).contains(&below), "half of the logarithms lie below the middle: {below}");
        assert!(means(&of(Degrade { gamma: [2.0, 2.0], ..NONE }, 3)).iter().all(|it| *it < 0.8 * mean));
        for config in [Degrade { blur: 2.0, ..NONE }, Degrade { low_resolution: 0.3, ..NONE }] {
            let blurred = of(config.clone(), 200);
            assert!(edges(&blurred).iter().all(|it| *it < 1.01 * sharp), "{config:?}");
            assert!(edges(&blurred).iter().sum::<f32>() / 200.0 < 0.85 * sharp, "{config:?}");
            assert!(means(&blurred).iter().all(|it| (it / mean - 1.0).abs() < 0.05), "{config:?}");
        }
        let noise = of(Degrade { noise: 10.0, ..NONE }, 200) - faces(200);
        let deviation = noise.std(true).double_value(&[]);
        assert!((deviation - 10.0 / 3f64.sqrt()).abs() < 0.5, "of sigmas from 0 to 10: {deviation}");
        assert!(edges(&of(Degrade { noise: 20.0, ..NONE }, 50)).iter().sum::<f32>() / 50.0 > sharp);
    }

    #[test]
    fn jpeg_keeps_flat_faces_and_loses_detail_by_its_quality() {
        let flat = Tensor::full([1, 1, 20, 21], 100.0, (Kind::Float, Device::Cpu));
        let kept = compressed(&flat, &[50.0]);
        assert!((kept - &flat).abs().max().double_value(&[]) < 1.1);
        let loss = |quality| (compressed(&faces(1), &[quality]) - faces(1)).abs().mean(Kind::Float).double_value(&[]);
        let [low, middle, high] = [10.0, 50.0, 95.0].map(loss);
        assert!(low > middle && middle > high && high > 0.0 && high < 2.5, "{low} {middle} {high}");
        assert_eq!(loss(100.0), 0.0);
    }
}
