//! Resamples a picture to the size of the detector's input, in integers.

use expression_core::View;

use super::Face;

/// The sides of the canvas are multiples of this many pixels, because the net halves them five times.
const MULTIPLE: usize = 32;
/// The number of fraction bits of a weight.
const BITS: u32 = 14;

/// Horizontal sums take this many weights at once.
const LANES: usize = 8;

/// Working memory of [`Letterbox::fill`].
#[derive(Debug, Default)]
pub struct Rows {
    /// The last rows of the picture.
    pixels: Vec<u8>,
    /// The vertical sums of a row of the canvas, for each column of the picture.
    sums: Vec<i32>,
    /// The same in 2^-7 grey levels.
    row: Vec<i16>,
}

/// How a picture is placed in the detector's input: scaled to fit and centred, with mid-grey around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Letterbox {
    /// The width and height of the canvas in pixels.
    pub canvas: [usize; 2],
    /// The width and height of the picture in the canvas, in pixels.
    pub size: [usize; 2],
    /// The left and top edge of the picture in the canvas, in pixels.
    pub edge: [usize; 2],
    /// Pixels of the picture per pixel of the canvas, horizontally and vertically.
    scale: [f32; 2],
}

impl Letterbox {
    /// Scales the picture's longer side to `longest` pixels and leaves at least `margin` pixels around it.
    pub fn new(picture: View<'_>, longest: usize, margin: usize) -> Letterbox {
        let from = [picture.width(), picture.height()];
        let most = from[0].max(from[1]);
        let size = from.map(|n| ((n * longest + most / 2) / most).max(1));
        let canvas = size.map(|n| (n + 2 * margin).next_multiple_of(MULTIPLE));
        let scale = [0, 1].map(|axis| from[axis] as f32 / size[axis] as f32);
        Letterbox { canvas, size, edge: [0, 1].map(|axis| (canvas[axis] - size[axis]) / 2), scale }
    }

    /// Fills `input` with `canvas` floats from -1 to 1, row by row, 0 around the picture.
    pub fn fill(&self, picture: View<'_>, input: &mut Vec<f32>, rows: &mut Rows) {
        let ([width, height], from) = (self.size, picture.width());
        input.clear();
        input.resize(self.canvas[0] * self.canvas[1], 0.0);
        let (across, down) = (Taps::new(from, width, LANES), Taps::new(picture.height(), height, 1));
        // Rows of the picture are copied once, and kept while rows of the canvas need them.
        let kept = down.longest() + 1;
        rows.pixels.resize(kept * from, 0);
        rows.sums.resize(from, 0);
        // Taps are filled up with zeros, which may multiply what lies behind the row.
        rows.row.clear();
        rows.row.resize(from + across.longest(), 0);
        let mut next = 0;
        for y in 0..height {
            let (first, weights) = down.taps(y);
            let last = first + weights.len();
            for at in next.max(first)..last {
                picture.copy_row([0, at], None, &mut rows.pixels[at % kept * from..][..from]);
            }
            next = next.max(last);
            // Seven fraction bits are kept, so the horizontal sum stays within 31 bits.
            rows.sums.fill(1 << (BITS - 8));
            for (at, weight) in (first..last).zip(weights) {
                let pixels = &rows.pixels[at % kept * from..][..from];
                let terms = pixels.iter().map(|pixel| i32::from(*weight) * i32::from(*pixel));
                rows.sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
            }
            rows.row.iter_mut().zip(&rows.sums).for_each(|(value, sum)| *value = (sum >> (BITS - 7)) as i16);
            let out = &mut input[(self.edge[1] + y) * self.canvas[0] + self.edge[0]..][..width];
            for (x, out) in out.iter_mut().enumerate() {
                let (left, weights) = across.taps(x);
                let values = rows.row[left..].as_chunks::<LANES>().0;
                let terms = weights.as_chunks::<LANES>().0.iter().zip(values).map(|(weights, values)| {
                    weights
                        .iter()
                        .zip(values)
                        .map(|(weight, value)| i32::from(*weight) * i32::from(*value))
                        .sum::<i32>()
                });
                // One grey level is 2^21 units.
                *out = terms.sum::<i32>() as f32 / (f32::from(255u8) * (1 << (BITS + 6)) as f32) - 1.0;
            }
        }
    }

    /// Converts a face from pixels of the canvas to pixels of the picture.
    pub fn to_picture(&self, face: Face) -> Face {
        let at = |place: [f32; 2]| [0, 1].map(|axis| (place[axis] - self.edge[axis] as f32) * self.scale[axis]);
        let [left, top, width, height] = face.bounds;
        let [left, top] = at([left, top]);
        let bounds = [left, top, width * self.scale[0], height * self.scale[1]];
        Face { bounds, points: face.points.map(at), ..face }
    }
}

/// For each output pixel of an axis, the input pixels that contribute and their weights in 2^-14. The filter is a triangle, as
/// wide as an output pixel if the axis is reduced and as wide as an input pixel if it is enlarged.
struct Taps {
    /// The first input pixel of each output pixel, and the range of its weights.
    ranges: Vec<(usize, usize, usize)>,
    weights: Vec<i16>,
}

impl Taps {
    /// The number of weights of each output pixel is filled up with zeros to a multiple of `multiple`.
    fn new(from: usize, to: usize, multiple: usize) -> Taps {
        let (mut ranges, mut weights) = (Vec::with_capacity(to), Vec::new());
        let (from, to) = (from as i64, to as i64);
        // In units of 1 / (2 to) input pixels all distances are integers.
        let support = 2 * from.max(to);
        for at in 0..to {
            let centre = (2 * at + 1) * from;
            let first = (centre - support - to).div_euclid(2 * to).max(0);
            let last = ((centre + support - to).div_euclid(2 * to) + 1).min(from);
            let raw = |pixel: i64| (support - ((2 * pixel + 1) * to - centre).abs()).max(0);
            let total: i64 = (first..last).map(raw).sum();
            let begin = weights.len();
            weights.extend((first..last).map(|pixel| ((raw(pixel) << BITS) / total.max(1)) as i16));
            // What rounding down lost is added in the middle, so that a constant picture stays constant.
            let middle = begin + (weights.len() - begin) / 2;
            let missing = (1 << BITS) - weights[begin..].iter().sum::<i16>();
            if let Some(weight) = weights.get_mut(middle) {
                *weight += missing;
            }
            weights.resize(begin + (weights.len() - begin).next_multiple_of(multiple), 0);
            ranges.push((first as usize, begin, weights.len()));
        }
        Taps { ranges, weights }
    }

    /// Returns the first input pixel of an output pixel, and the weights from there on.
    fn taps(&self, at: usize) -> (usize, &[i16]) {
        let (first, begin, end) = self.ranges[at];
        (first, &self.weights[begin..end])
    }

    /// Returns the largest number of weights of an output pixel.
    fn longest(&self) -> usize {
        self.ranges.iter().map(|(_, begin, end)| end - begin).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letterbox_leads_back_to_the_picture() {
        for (width, height) in [(640, 480), (48, 64), (1, 1000), (256, 256), (333, 1)] {
            for (longest, margin) in [(256, 0), (128, 16)] {
                let data = vec![255; width * height];
                let picture = View::new(&data, width, height, 1, width).unwrap();
                let letterbox = Letterbox::new(picture, longest, margin);
                let ([w, h], [across, down]) = (letterbox.size, letterbox.canvas);
                assert!(across % 32 == 0 && down % 32 == 0 && across >= w + 2 * margin && down >= h + 2 * margin);
                let mut input = Vec::new();
                letterbox.fill(picture, &mut input, &mut Rows::default());
                assert_eq!(input.iter().filter(|v| **v == 1.0).count(), w * h);
                assert_eq!(input.iter().filter(|v| **v == 0.0).count(), across * down - w * h);
                let [left, top] = letterbox.edge.map(|n| n as f32);
                let bounds = [left, top, w as f32, h as f32];
                let whole = Face { score: 1.0, bounds, upside_down: false, points: [[left, top]; 6] };
                let found = letterbox.to_picture(whole).bounds;
                let expected = [0.0, 0.0, width as f32, height as f32];
                assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3), "{found:?}");
            }
        }
    }

    #[test]
    fn it_differs_from_the_exact_resampling_by_less_than_a_grey_level() {
        for (width, height) in [(640, 480), (37, 91), (300, 20)] {
            let data: Vec<u8> = (0..width * height).map(|i| (i * 7919 % 251) as u8).collect();
            let picture = View::new(&data, width, height, 1, width).unwrap();
            let letterbox = Letterbox::new(picture, 256, 0);
            let mut input = Vec::new();
            letterbox.fill(picture, &mut input, &mut Rows::default());
            let ([w, h], [left, top]) = (letterbox.size, letterbox.edge);
            expression_core::resample::resample(picture, w, h, true, |x, y, _, value| {
                let found = (input[(top + y) * letterbox.canvas[0] + left + x] + 1.0) * 127.5;
                assert!((found - f32::from(value)).abs() < 0.75, "{found} {value}");
            });
        }
    }
}
