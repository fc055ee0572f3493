//! From the head to the picture: pose, perspective, alignment by eyes and mouth, background, blur, display curve, noise.

use image::{Rgb, RgbImage};

use super::shadow::DepthView;
use super::variation::{Dice, VARIATION, Variation};
use super::vector::{Vec3, add, dot, mix, scale, sub};

/// A camera in front of a head that has been turned.
pub struct Camera {
    distance: f32,
    /// Similarity from the image plane to the unit square: `[scale·cos, scale·sin, shift x, shift y]`.
    similarity: [f32; 4],
}

/// Turns the head: positions around the middle of the head, in the camera's directions.
pub fn turn(positions: &mut [Vec3], dice: &mut Dice) {
    turn_by(positions, dice.either_way(VARIATION.yaw), dice.either_way(VARIATION.pitch));
}

/// Turns the head by `yaw` to a side and nods it by `pitch`, degrees.
pub fn turn_by(positions: &mut [Vec3], yaw: f32, pitch: f32) {
    let (yaw, pitch) = (yaw.to_radians(), pitch.to_radians());
    let (sy, cy, sp, cp) = (yaw.sin(), yaw.cos(), pitch.sin(), pitch.cos());
    let rows = [[cy, 0.0, sy], [sp * sy, cp, -sp * cy], [-cp * sy, sp, cp * cy]];
    for position in positions {
        let offset = sub(*position, DepthView::MIDDLE);
        *position = add(DepthView::MIDDLE, rows.map(|row| dot(row, offset)));
    }
}

impl Camera {
    /// A camera whose picture is aligned by both eyes and the mouth, nearly as well as a face detector aligns it.
    /// The points are the right eye, the left eye and the mouth of the turned head; `zoom` is the face's size, 1 for an
    /// aligned one.
    pub fn aligned(points: [Vec3; 3], zoom: f32, dice: &mut Dice) -> Camera {
        let mut camera = Camera { distance: dice.within(VARIATION.distance), similarity: [1.0, 0.0, 0.0, 0.0] };
        let Variation { eye_line, mouth_line, inter_ocular, .. } = VARIATION;
        let wanted = [[0.5 - inter_ocular / 2.0, eye_line], [0.5 + inter_ocular / 2.0, eye_line], [0.5, mouth_line]];
        let seen = points.map(|point| camera.plane(point));
        let fit = fit_similarity(seen, wanted);
        let angle = dice.either_way(VARIATION.rotation).to_radians();
        let size = zoom * dice.within(VARIATION.scale);
        let shift = [0; 2].map(|_| dice.either_way(VARIATION.shift));
        // The alignment's error acts around the middle of the picture.
        let (cos, sin) = (size * angle.cos(), size * angle.sin());
        let [a, b, x, y] = fit;
        let (x, y) = (x - 0.5, y - 0.5);
        let turned = [cos * x - sin * y + 0.5 + shift[0], sin * x + cos * y + 0.5 + shift[1]];
        camera.similarity = [cos * a - sin * b, cos * b + sin * a, turned[0], turned[1]];
        camera
    }

    /// A camera `distance` dm from the middle of the head, which it shows in the middle of the unit square, `scale` of the
    /// square's side a dm and tilted by `roll` degrees.
    pub fn centred(distance: f32, scale: f32, roll: f32) -> Camera {
        let (sin, cos) = roll.to_radians().sin_cos();
        Camera { distance, similarity: [distance * scale * cos, distance * scale * sin, 0.5, 0.5] }
    }

    /// Where a point of the turned head appears in a picture of `size` pixels: x right, y down; z grows towards the camera.
    pub fn screen(&self, position: Vec3, size: f32) -> Vec3 {
        let [x, y] = self.plane(position);
        let [a, b, shift_x, shift_y] = self.similarity;
        [size * (a * x - b * y + shift_x), size * (b * x + a * y + shift_y), position[2]]
    }

    fn plane(&self, position: Vec3) -> [f32; 2] {
        let [x, y, z] = sub(position, DepthView::MIDDLE);
        let nearness = 1.0 / (self.distance - z).max(0.1);
        [x * nearness, -y * nearness]
    }
}

/// The similarity `[a, b, x, y]` that takes `from` nearest to `to` by least squares: p -> (a p.x - b p.y + x, b p.x + a p.y + y).
fn fit_similarity(from: [[f32; 2]; 3], to: [[f32; 2]; 3]) -> [f32; 4] {
    let mean = |points: [[f32; 2]; 3]| [0, 1].map(|axis| points.iter().map(|point| point[axis]).sum::<f32>() / 3.0);
    let (from_mean, to_mean) = (mean(from), mean(to));
    let (mut a, mut b, mut square) = (0.0, 0.0, 0.0);
    for (from, to) in from.iter().zip(&to) {
        let [px, py] = [from[0] - from_mean[0], from[1] - from_mean[1]];
        let [qx, qy] = [to[0] - to_mean[0], to[1] - to_mean[1]];
        a += px * qx + py * qy;
        b += px * qy - py * qx;
        square += px * px + py * py;
    }
    let (a, b) = (a / square.max(1e-12), b / square.max(1e-12));
    [a, b, to_mean[0] - a * from_mean[0] + b * from_mean[1], to_mean[1] - b * from_mean[0] - a * from_mean[1]]
}

/// What is behind the head: a gradient with some blobs out of focus.
pub struct Background {
    corners: [Vec3; 2],
    slope: [f32; 2],
    blobs: Vec<([f32; 3], Vec3)>,
}

impl Background {
    /// Draws one.
    pub fn draw(dice: &mut Dice) -> Background {
        let mut colour = || {
            let grey = dice.within(0.0..0.8).powi(2);
            [0; 3].map(|_| grey * dice.within(0.7..1.3))
        };
        let corners = [colour(), colour()];
        let colours = [colour(), colour(), colour(), colour()];
        let blobs =
            colours.map(|colour| ([dice.within(0.0..1.0), dice.within(0.0..1.0), dice.within(0.08..0.4)], colour));
        let slope = [dice.either_way(0.7), dice.either_way(0.7)];
        Background { corners, slope, blobs: blobs.to_vec() }
    }

    /// Linear RGB at a place of the unit square.
    fn at(&self, x: f32, y: f32) -> Vec3 {
        let along = (0.5 + self.slope[0] * (x - 0.5) + self.slope[1] * (y - 0.5)).clamp(0.0, 1.0);
        let mut colour = mix(self.corners[0], self.corners[1], along);
        for ([cx, cy, radius], blob) in &self.blobs {
            let distance = ((x - cx).powi(2) + (y - cy).powi(2)) / (radius * radius);
            colour = mix(colour, *blob, (1.0 - distance).max(0.0));
        }
        colour
    }
}

/// Makes the picture of `size` pixels from the shaded pixels of one that is `fine` times as large.
/// `skin` is the skin's linear colour, which the exposure is set for.
pub fn develop(shaded: &[Option<Vec3>], size: usize, fine: usize, skin: Vec3, dice: &mut Dice) -> RgbImage {
    let background = Background::draw(dice);
    let mut picture = Vec::with_capacity(size * size);
    for y in 0..size {
        for x in 0..size {
            let behind = background.at(x as f32 / size as f32, y as f32 / size as f32);
            let pixels = (0..fine * fine).map(|k| shaded[(y * fine + k / fine) * size * fine + x * fine + k % fine]);
            let sum = pixels.fold([0.0; 3], |sum, pixel| add(sum, pixel.unwrap_or(behind)));
            picture.push(scale(sum, 1.0 / (fine * fine) as f32));
        }
    }
    blur(&mut picture, size, dice.within(VARIATION.blur) * size as f32 / 112.0);
    let exposure = dice.within(VARIATION.exposure) * usual_exposure(skin);
    let gamma = dice.within(VARIATION.gamma) / 2.2;
    let noise = dice.within(VARIATION.noise);
    let mut image = RgbImage::new(size as u32, size as u32);
    for (pixel, colour) in image.pixels_mut().zip(&picture) {
        let grain = dice.normal(noise);
        *pixel =
            Rgb(colour.map(|value| (display(value * exposure, gamma) + grain + dice.normal(0.3 * noise) + 0.5) as u8));
    }
    image
}

/// The exposure for a skin of this linear colour. It follows the skin half-way: cameras even out some of the difference in
/// tone.
pub fn usual_exposure(skin: Vec3) -> f32 {
    let brightness = dot(skin, [0.21, 0.72, 0.07]).max(1e-3);
    1.25 * (0.25 / brightness).sqrt()
}

/// The display curve: from linear light, where 1 is white, to 0 to 255.
pub fn display(value: f32, gamma: f32) -> f32 {
    let value = value.max(0.0);
    let shoulder = value * (1.0 + 0.12 * value) / (1.0 + 0.55 * value * value).sqrt(); // bends highlights under 1
    255.0 * shoulder.min(1.0).powf(gamma)
}

/// Gaussian blur, rows then columns; the border repeats.
fn blur(picture: &mut [Vec3], size: usize, deviation: f32) {
    if deviation < 0.1 || size == 0 {
        return;
    }
    let reach = (2.5 * deviation).ceil() as usize;
    let mut kernel: Vec<f32> = (0..=reach).map(|k| (-0.5 * (k as f32 / deviation).powi(2)).exp()).collect();
    let total = 2.0 * kernel.iter().sum::<f32>() - kernel[0];
    kernel.iter_mut().for_each(|weight| *weight /= total);
    for [step, other] in [[1, size], [size, 1]] {
        let source = picture.to_vec();
        for line in 0..size {
            for place in 0..size {
                let at = |k: usize| source[line * other + k * step];
                let pairs = kernel.iter().enumerate().skip(1).map(|(k, weight)| {
                    let both = add(at(place.saturating_sub(k)), at((place + k).min(size - 1)));
                    scale(both, *weight)
                });
                picture[line * other + place * step] = pairs.fold(scale(at(place), kernel[0]), add);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_a_similarity() {
        let from = [[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]];
        let to = from.map(|[x, y]| [3.0 - 2.0 * y, 4.0 + 2.0 * x]); // a quarter turn, twice the size, a shift
        let found = fit_similarity(from, to);
        for (found, wanted) in found.iter().zip([0.0, 2.0, 3.0, 4.0]) {
            assert!((found - wanted).abs() < 1e-5, "{found} {wanted}");
        }
    }

    #[test]
    fn blur_keeps_brightness() {
        let mut picture = vec![[0.25; 3]; 64];
        blur(&mut picture, 8, 1.2);
        assert!(picture.iter().all(|pixel| (pixel[0] - 0.25).abs() < 1e-5));
    }
}
