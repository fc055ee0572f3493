//! Disturbances of pictures: what cameras, rooms and codecs do to a face. Each gives the same picture for the same seed.

use expression_engine::Picture;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, GrayImage, RgbImage};
use rand::{Rng, RngExt};

use crate::error::Context;

/// A disturbance of a picture. Lengths are in pixels of the aligned face, whatever the size of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Disturbance {
    /// Gaussian blur of this standard deviation.
    Blur(f32),
    /// Reduced until the face has this many pixels a side, and enlarged again.
    Through(u32),
    /// Multiplied by the first number; then noise of this standard deviation in grey levels is added to each value.
    Dark(f32, f32),
    /// Values, as shares of 255, to this power.
    Gamma(f32),
    /// Compressed as JPEG of this quality, 1 to 100.
    Jpeg(u8),
    /// Turned clockwise by this many degrees.
    Turned(f32),
    /// Mirrored from left to right.
    Mirrored,
    /// Moved to the right.
    Shifted(f32),
    /// Enlarged by this factor.
    Scaled(f32),
}

impl Disturbance {
    /// The rows of a robustness table.
    pub const ALL: [Disturbance; 15] = [
        Disturbance::Blur(0.8),
        Disturbance::Blur(1.2),
        Disturbance::Through(32),
        Disturbance::Through(24),
        Disturbance::Dark(0.4, 0.0),
        Disturbance::Dark(0.25, 4.0),
        Disturbance::Gamma(0.5),
        Disturbance::Gamma(2.0),
        Disturbance::Jpeg(30),
        Disturbance::Turned(10.0),
        Disturbance::Turned(-10.0),
        Disturbance::Mirrored,
        Disturbance::Shifted(1.0),
        Disturbance::Scaled(0.9),
        Disturbance::Scaled(1.1),
    ];

    /// Its name in tables.
    pub fn name(self) -> String {
        match self {
            Disturbance::Blur(sigma) => format!("blur, sigma {sigma} px"),
            Disturbance::Through(side) => format!("through {side} px"),
            Disturbance::Dark(gain, 0.0) => format!("dark, x{gain}"),
            Disturbance::Dark(gain, noise) => format!("dark, x{gain}, noise {noise}"),
            Disturbance::Gamma(power) => format!("gamma {power}"),
            Disturbance::Jpeg(quality) => format!("JPEG, quality {quality}"),
            Disturbance::Turned(degrees) => format!("turned by {degrees:+} degrees"),
            Disturbance::Mirrored => "mirrored".into(),
            Disturbance::Shifted(by) => format!("shifted by {by} px"),
            Disturbance::Scaled(by) => format!("scaled by {:+.0} %", 100.0 * (by - 1.0)),
        }
    }

    /// Returns the disturbed picture, of the same size. `unit`: pixels of the picture per pixel of the aligned face. `aligned`: side
    /// of the aligned face in pixels.
    ///
    /// # Errors
    /// Returns an error if the picture is empty.
    pub fn of(self, picture: &Picture, unit: f32, aligned: usize, rng: &mut impl Rng) -> crate::Result<Picture> {
        let (width, height) = (picture.width as u32, picture.height as u32);
        let image = || match picture.channels {
            1 => GrayImage::from_raw(width, height, picture.data.clone()).map(DynamicImage::ImageLuma8),
            _ => RgbImage::from_raw(width, height, picture.data.clone()).map(DynamicImage::ImageRgb8),
        };
        let image = || image().filter(|_| width > 0 && height > 0).context("an empty picture");
        let values = |change: &mut dyn FnMut(f32) -> f32| {
            let data = picture.data.iter().map(|value| change(f32::from(*value)).round().clamp(0.0, 255.0) as u8);
            Ok(Picture { data: data.collect(), ..picture.clone() })
        };
        let changed = match self {
            Disturbance::Blur(sigma) => image()?.blur(sigma * unit),
            Disturbance::Through(side) => {
                let factor = side as f32 / (unit * aligned as f32);
                // A face that is that small already is not enlarged.
                let [w, h] = [width, height].map(|length| ((length as f32 * factor).round() as u32).clamp(1, length));
                image()?.resize_exact(w, h, FilterType::Triangle).resize_exact(width, height, FilterType::Triangle)
            }
            Disturbance::Dark(gain, noise) => {
                return values(&mut |value| value * gain + if noise > 0.0 { noise * normal(rng) } else { 0.0 });
            }
            Disturbance::Gamma(power) => return values(&mut |value| 255.0 * (value / 255.0).powf(power)),
            Disturbance::Jpeg(quality) => {
                let mut bytes = Vec::new();
                JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(&image()?)?;
                image::load_from_memory(&bytes)?
            }
            Disturbance::Mirrored => image()?.fliph(),
            Disturbance::Turned(degrees) => return Ok(moved(picture, degrees, 1.0, 0.0)),
            Disturbance::Shifted(by) => return Ok(moved(picture, 0.0, 1.0, by * unit)),
            Disturbance::Scaled(by) => return Ok(moved(picture, 0.0, by, 0.0)),
        };
        let data = if picture.channels == 1 { changed.into_luma8().into_raw() } else { changed.into_rgb8().into_raw() };
        Ok(Picture { data, ..picture.clone() })
    }
}

/// A number from the standard normal distribution (Box and Muller).
fn normal(rng: &mut impl Rng) -> f32 {
    let (radius, angle) = (1.0 - rng.random::<f32>(), rng.random::<f32>());
    (-2.0 * radius.ln()).sqrt() * (std::f32::consts::TAU * angle).cos()
}

/// The picture turned clockwise, enlarged around its centre and moved to the right: bilinear, edges repeated.
fn moved(picture: &Picture, degrees: f32, scale: f32, right: f32) -> Picture {
    let Picture { width, height, channels, ref data } = *picture;
    let (sin, cos) = degrees.to_radians().sin_cos();
    let centre = [width, height].map(|length| (length as f32 - 1.0) / 2.0);
    let mut out = Vec::with_capacity(data.len());
    for y in 0..height {
        for x in 0..width {
            let (dx, dy) = ((x as f32 - centre[0] - right) / scale, (y as f32 - centre[1]) / scale);
            let from = [centre[0] + dx * cos + dy * sin, centre[1] - dx * sin + dy * cos];
            let [fx, fy] = [(from[0], width), (from[1], height)].map(|(at, length)| at.clamp(0.0, length as f32 - 1.0));
            let (left, top) = (fx as usize, fy as usize);
            let (next, below) = ((left + 1).min(width - 1), (top + 1).min(height - 1));
            let (u, v) = (fx.fract(), fy.fract());
            for channel in 0..channels {
                let at = |x: usize, y: usize| f32::from(data[(y * width + x) * channels + channel]);
                let upper = at(left, top) * (1.0 - u) + at(next, top) * u;
                let lower = at(left, below) * (1.0 - u) + at(next, below) * u;
                out.push((upper * (1.0 - v) + lower * v).round() as u8);
            }
        }
    }
    Picture { data: out, ..picture.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::rng;

    fn picture(channels: usize) -> Picture {
        let (width, height) = (40, 36);
        let value = |place: usize| {
            let (x, y) = (place / channels % width, place / channels / width);
            (60 + 3 * x + if (x / 5 + y / 5) % 2 == 0 { 50 } else { 0 } + 7 * (place % channels)) as u8
        };
        Picture { width, height, channels, data: (0..width * height * channels).map(value).collect() }
    }

    fn of(disturbance: Disturbance, picture: &Picture) -> Picture {
        disturbance.of(picture, 1.0, 36, &mut rng(1, "disturb", 0)).unwrap()
    }

    fn mean(picture: &Picture) -> f64 {
        picture.data.iter().map(|value| f64::from(*value)).sum::<f64>() / picture.data.len() as f64
    }

    /// Mean absolute difference of neighbours in a row.
    fn edges(picture: &Picture) -> f64 {
        let pairs = picture.data.chunks(picture.width).flat_map(|row| row.windows(2));
        pairs.map(|pair| f64::from(pair[0].abs_diff(pair[1]))).sum::<f64>() / picture.data.len() as f64
    }

    #[test]
    fn each_keeps_the_size_changes_the_picture_and_repeats_itself() {
        for channels in [1, 3] {
            let picture = picture(channels);
            for disturbance in Disturbance::ALL {
                let disturbed = of(disturbance, &picture);
                assert_eq!((disturbed.width, disturbed.height, disturbed.channels), (40, 36, channels));
                assert_eq!(disturbed.data.len(), picture.data.len());
                assert_ne!(disturbed.data, picture.data, "{}", disturbance.name());
                assert_eq!(disturbed.data, of(disturbance, &picture).data, "{}", disturbance.name());
            }
        }
        let names: std::collections::BTreeSet<_> = Disturbance::ALL.map(Disturbance::name).into();
        assert_eq!(names.len(), Disturbance::ALL.len());
    }

    #[test]
    fn each_does_what_it_says() {
        let picture = picture(1);
        let ratio =
            |disturbance, measure: &dyn Fn(&Picture) -> f64| measure(&of(disturbance, &picture)) / measure(&picture);
        assert!((ratio(Disturbance::Dark(0.4, 0.0), &mean) - 0.4).abs() < 0.01);
        assert!((ratio(Disturbance::Dark(0.25, 4.0), &mean) - 0.25).abs() < 0.01);
        assert!(ratio(Disturbance::Gamma(0.5), &mean) > 1.2 && ratio(Disturbance::Gamma(2.0), &mean) < 0.8);
        let [little, much] = [0.8, 1.2].map(|sigma| ratio(Disturbance::Blur(sigma), &edges));
        assert!(much < little && little < 0.9, "{little} {much}");
        let [little, much] = [32, 24].map(|side| ratio(Disturbance::Through(side), &edges));
        assert!(much < little && little < 1.0, "{little} {much}");
        assert_eq!(ratio(Disturbance::Through(72), &edges), 1.0, "nothing is enlarged");
        let shifted = of(Disturbance::Shifted(2.0), &picture);
        assert_eq!(shifted.data[2..40], picture.data[..38]);
        let twice = of(Disturbance::Mirrored, &of(Disturbance::Mirrored, &picture));
        assert_eq!(twice.data, picture.data);
        assert_eq!(of(Disturbance::Turned(0.0), &picture).data, picture.data);
    }

    #[test]
    fn turning_is_clockwise_and_scaling_enlarges() {
        // A dot above the centre goes to its right.
        let mut picture = Picture { width: 21, height: 21, channels: 1, data: vec![0; 441] };
        picture.data[2 * 21 + 10] = 255;
        assert_eq!(of(Disturbance::Turned(90.0), &picture).data[10 * 21 + 18], 255);
        assert!(of(Disturbance::Scaled(1.25), &picture).data[10] > 0, "from 8 pixels above the centre to 10");
    }

    #[test]
    fn an_empty_picture_is_an_error() {
        let empty = Picture { width: 0, height: 0, channels: 1, data: Vec::new() };
        assert!(Disturbance::Blur(1.0).of(&empty, 1.0, 48, &mut rng(1, "disturb", 0)).is_err());
    }
}
