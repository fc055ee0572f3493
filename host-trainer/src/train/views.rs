//! Views of a face: the centre crop, its mirror image, and random ones, as affine maps from the crop to the aligned face.

use rand::{Rng, RngExt};
use tch::{Device, Kind, Tensor};

use crate::config::{Augment, Net};

/// An affine map of normalised coordinates (`-1..=1` over each side): of a place in the view, the place in the face.
pub type View = [f32; 6];

/// Draws views.
#[derive(Debug, Clone)]
pub struct Views<'a> {
    augment: &'a Augment,
    /// Share of the aligned face's side that the net's crop covers.
    crop: f32,
}

impl<'a> Views<'a> {
    /// For the crop of `net`.
    pub fn new(augment: &'a Augment, net: &Net) -> Views<'a> {
        Views { augment, crop: net.size as f32 / net.aligned as f32 }
    }

    /// The centre crop.
    pub fn centre(&self) -> View {
        [self.crop, 0.0, 0.0, 0.0, self.crop, 0.0]
    }

    /// The mirror image of the centre crop.
    pub fn mirror(&self) -> View {
        mirrored(self.centre())
    }

    /// A random view by the configured ranges.
    pub fn random(&self, rng: &mut impl Rng) -> View {
        let [a, b, right, c, d, down] = self.moved(1.0, rng);
        let mirror = if self.augment.mirror && rng.random::<bool>() { -self.crop } else { self.crop };
        [a * mirror, b * self.crop, right, c * mirror, d * self.crop, down]
    }

    /// `view`, seen through a random view by `share` of the configured ranges of rotation, scale and shift.
    pub fn jittered(&self, view: View, share: f64, rng: &mut impl Rng) -> View {
        if share == 0.0 {
            return view;
        }
        let ([a, b, right, c, d, down], [e, f, x, g, h, y]) = (view, self.moved(share, rng));
        let across = [a * e + b * g, a * f + b * h, a * x + b * y + right];
        let upright = [c * e + d * g, c * f + d * h, c * x + d * y + down];
        [across[0], across[1], across[2], upright[0], upright[1], upright[2]]
    }

    /// A random rotation, scale and shift of a square, by `share` of the configured ranges.
    fn moved(&self, share: f64, rng: &mut impl Rng) -> View {
        let mut within = |range: f64| (rng.random::<f32>() * 2.0 - 1.0) * (range * share) as f32;
        let (angle, size) = (within(self.augment.rotation).to_radians(), 1.0 + within(self.augment.scale));
        // A shift by a share of the side is twice that in coordinates that span two units.
        let (right, down) = (2.0 * within(self.augment.shift), 2.0 * within(self.augment.shift));
        let (sin, cos) = angle.sin_cos();
        [size * cos, -size * sin, right, size * sin, size * cos, down]
    }

    /// `per_sample` views of each of `samples`, one sample after the other: the `fixed` ones first, then random ones.
    pub fn of_samples(&self, samples: usize, per_sample: usize, fixed: &[View], rng: &mut impl Rng) -> Vec<View> {
        let places = (0..samples).flat_map(|_| 0..per_sample);
        places.map(|place| fixed.get(place).copied().unwrap_or_else(|| self.random(rng))).collect()
    }

    /// Half of the time the mirror image of `view`, where augmentation has mirror images.
    pub fn mirrored_at_random(&self, view: View, rng: &mut impl Rng) -> View {
        if self.augment.mirror && rng.random::<bool>() { mirrored(view) } else { view }
    }

    /// Brightness and contrast changed at random, a value each for every face of `[n, c, h, w]`.
    pub fn light(&self, faces: &Tensor, rng: &mut impl Rng) -> Tensor {
        if self.augment.brightness == 0.0 && self.augment.contrast == 0.0 {
            return faces.shallow_clone();
        }
        let count = faces.size()[0];
        let mut column = |range: f64, middle: f64| {
            let values: Vec<f32> =
                (0..count).map(|_| (middle + (2.0 * rng.random::<f64>() - 1.0) * range) as f32).collect();
            Tensor::from_slice(&values).view([count, 1, 1, 1]).to_device(faces.device())
        };
        let (brightness, contrast) = (column(self.augment.brightness, 0.0), column(self.augment.contrast, 1.0));
        let mean = faces.mean_dim([1i64, 2, 3].as_slice(), true, Kind::Float);
        (faces - &mean) * contrast + mean + brightness
    }

    /// Normalised faces `[n, c, h, w]` of which the configured share has a random rectangle blanked: 2 to 20 % of the area,
    /// up to three times as wide as high or as high as wide (Zhong et al., "Random Erasing Data Augmentation", AAAI 2020,
    /// arXiv 1708.04896).
    pub fn erase(&self, faces: &Tensor, rng: &mut impl Rng) -> Tensor {
        if self.augment.erase == 0.0 {
            return faces.shallow_clone();
        }
        let [count, _, height, width] = faces.size()[..] else { return faces.shallow_clone() };
        let mut kept = vec![1f32; (count * height * width) as usize];
        for face in kept.chunks_exact_mut((height * width) as usize) {
            if rng.random::<f64>() >= self.augment.erase {
                continue;
            }
            let area = rng.random_range(0.02..0.2) * (height * width) as f64;
            let ratio = rng.random_range(-1.0..1.0f64) * 3f64.ln();
            let sides = [(area * ratio.exp()).sqrt(), (area * (-ratio).exp()).sqrt()];
            let [high, wide] = [(sides[0], height), (sides[1], width)].map(|(side, most)| (side as i64).clamp(1, most));
            let (top, left) = (rng.random_range(0..=height - high), rng.random_range(0..=width - wide));
            for row in top..top + high {
                let first = (row * width + left) as usize;
                face[first..first + wide as usize].fill(0.0);
            }
        }
        faces * Tensor::from_slice(&kept).view([count, 1, height, width]).to_device(faces.device())
    }
}

/// The mirror image of a view.
pub fn mirrored([a, b, right, c, d, down]: View) -> View {
    [-a, b, right, -c, d, down]
}

/// The views of faces: f32 `[n, c, side, side]` of `[n, c, aligned, aligned]`, bilinear, edges repeated.
pub fn sample(faces: &Tensor, views: &[View], side: i64) -> Tensor {
    let (count, channels) = (faces.size()[0], faces.size()[1]);
    let theta = Tensor::from_slice(views.as_flattened()).view([count, 2, 3]).to_device(faces.device());
    let grid = Tensor::affine_grid_generator(&theta, [count, channels, side, side], false);
    const BILINEAR: i64 = 0;
    const BORDER: i64 = 1;
    faces.to_kind(Kind::Float).grid_sampler_2d(&grid, BILINEAR, BORDER, false)
}

/// The centre crop exactly, without interpolation: what the board computes.
pub fn centre(faces: &Tensor, side: i64) -> Tensor {
    let margin = (faces.size()[2] - side) / 2;
    faces.narrow(2, margin, side).narrow(3, margin, side)
}

/// A tensor of sample indices.
pub fn indices(batch: &[i64], device: Device) -> Tensor {
    Tensor::from_slice(batch).to_device(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centre_view_is_the_centre_crop_and_the_mirror_view_its_mirror_image() {
        let net = crate::config::Config::preset("smoke").unwrap();
        let mut config = net.net.clone();
        (config.aligned, config.size) = (8, 4);
        let views = Views::new(&net.augment, &config);
        let faces = Tensor::arange(64, (Kind::Float, Device::Cpu)).view([1, 1, 8, 8]);
        let crop = centre(&faces, 4);
        let close = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]) < 1e-4;
        assert!(close(&sample(&faces, &[views.centre()], 4), &crop));
        assert!(close(&sample(&faces, &[views.mirror()], 4), &crop.flip([3])));
    }

    #[test]
    fn the_mirror_image_of_any_view_is_what_it_shows_mirrored() {
        let net = crate::config::Config::preset("smoke").unwrap();
        let views = Views::new(&net.augment, &net.net);
        let faces = Tensor::rand([6, 1, 12, 12], (Kind::Float, Device::Cpu));
        let drawn = views.of_samples(3, 2, &[views.centre()], &mut crate::random::rng(1, "mirror", 0));
        let of_drawn: Vec<View> = drawn.iter().copied().map(mirrored).collect();
        let difference = sample(&faces, &of_drawn, 12) - sample(&faces, &drawn, 12).flip([3]);
        assert!(difference.abs().max().double_value(&[]) < 1e-5);
        assert!(drawn[2] == views.centre() && drawn[1] != drawn[3], "the centre first, then random ones");
    }

    #[test]
    fn jitter_stays_near_a_view_and_moves_what_it_shows() {
        let mut preset = crate::config::Config::preset("smoke").unwrap();
        let augment = &mut preset.augment;
        (augment.rotation, augment.scale, augment.shift) = (20.0, 0.2, 0.1);
        let views = Views::new(&preset.augment, &preset.net);
        let mut rng = crate::random::rng(1, "jitter", 0);
        let view = mirrored(views.random(&mut rng));
        assert_eq!(views.jittered(view, 0.0, &mut rng), view);
        // 2 degrees, 2 % and 1 % of the side: no corner of the square moves by more than the sum of these.
        let drawn: Vec<View> = (0..500).map(|_| views.jittered(view, 0.1, &mut rng)).collect();
        let corner = |[a, b, right, c, d, down]: View, x: f32, y: f32| (a * x + b * y + right, c * x + d * y + down);
        let (unit, most) = (view[0].hypot(view[3]), 2f32.sqrt() * (2f32.to_radians() * 1.02 + 0.02 + 0.02));
        let far = |view: View, other: View| {
            let apart = |(x, y)| {
                let ((a, b), (c, d)) = (corner(view, x, y), corner(other, x, y));
                (a - c).hypot(b - d)
            };
            [(1.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (-1.0, -1.0)].map(apart).into_iter().fold(0f32, f32::max)
        };
        let moves: Vec<f32> = drawn.iter().map(|other| far(view, *other)).collect();
        let farthest = moves.iter().copied().fold(0f32, f32::max);
        assert!(farthest < unit * most && farthest > unit * most / 2.0, "{farthest} of {}", unit * most);
        // Seen through a view of a view: the same as one after the other.
        let faces = Tensor::arange(144, (Kind::Float, Device::Cpu)).view([1, 1, 12, 12]);
        let mut again = crate::random::rng(2, "jitter", 0);
        let both = views.jittered(views.centre(), 0.1, &mut again);
        let small = views.moved(0.1, &mut crate::random::rng(2, "jitter", 0));
        let shown = |view: View| f64::try_from(sample(&faces, &[view], 12).mean(Kind::Float)).unwrap();
        let [a, b, right, c, d, down] = small;
        let crop = views.crop;
        let expected = [a * crop, b * crop, right * crop, c * crop, d * crop, down * crop];
        assert!((shown(both) - shown(expected)).abs() < 1e-3);
    }

    #[test]
    fn the_configured_share_of_faces_loses_a_rectangle() {
        let preset = crate::config::Config::preset("smoke").unwrap();
        let faces = Tensor::ones([400, 2, 20, 24], (Kind::Float, Device::Cpu));
        for (share, expected) in [(0.0, 0..=0), (0.5, 160..=240), (1.0, 400..=400)] {
            let augment = Augment { erase: share, ..preset.augment.clone() };
            let mut rng = crate::random::rng(1, "erase", 0);
            let erased = Views::new(&augment, &preset.net).erase(&faces, &mut rng);
            let blank: Vec<f32> =
                (1f32 - erased.mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float)).try_into().unwrap();
            let touched: Vec<&f32> = blank.iter().filter(|share| **share > 1e-6).collect();
            assert!(expected.contains(&touched.len()), "{share}: {}", touched.len());
            assert!(touched.iter().all(|area| **area < 0.201));
            // The same rectangle in every channel.
            assert!((erased.select(1, 0) - erased.select(1, 1)).abs().max().double_value(&[]) == 0.0);
        }
    }
}
