//! From the key points of a face to its aligned face: a similarity transform and a warp, in integers only.
//!
//! Key points are rounded to 1/16 pixel when they enter. Everything after that is integer arithmetic, so that the same
//! picture and the same rounded points give the same bytes on every machine.

use core::fmt;

use crate::{FaceInput, View};

/// Where the eyes lie in an aligned face, in thousandths of its side: x and y, the eye on the picture's left first.
///
/// 40 % of the width apart at 37 % of the height: the framing of FER2013, whose pictures FER+ labels again.
pub const EYES: [[i32; 2]; 2] = [[300, 370], [700, 370]];

/// Where the centre of the mouth lies, in thousandths of the side.
///
/// 1.07 times the distance of the eyes below them: the median of what the detector finds in photographs of frontal
/// faces (quartiles 1.04 and 1.10), so that such a face is neither enlarged nor shrunk by its mouth.
pub const MOUTH: [i32; 2] = [500, 800];

/// The longest side of an aligned face, in pixels.
pub const LONGEST_SIDE: usize = 4096;

/// Beyond this many pixels from the picture's corner a key point is refused: it keeps every product inside 64 bits.
const FURTHEST: f32 = 32768.0;

/// Taps an axis that an output pixel is made of, at most; where more lie under it, evenly spaced ones are taken.
const MOST_TAPS: i64 = 64;

/// Bits after the binary point of positions in a picture.
const POINT: u32 = 16;

/// A place in a picture, in 1/16 pixel; the top left pixel reaches from 0 to 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    x: i32,
    y: i32,
}

impl Point {
    /// Rounds a place in pixels to 1/16 pixel, halves away from zero.
    ///
    /// `None` where it is not a number or further than 32768 pixels away.
    pub fn from_pixels(x: f32, y: f32) -> Option<Point> {
        // Scaling by 16 is exact and the cast truncates: IEEE 754 gives the same integer everywhere.
        let fixed = |v: f32| (v.abs() <= FURTHEST).then_some((v * 16.0 + 0.5f32.copysign(v)) as i32);
        Some(Point { x: fixed(x)?, y: fixed(y)? })
    }

    /// A place in 1/16 pixel, brought within 32768 pixels.
    pub fn from_sixteenths(x: i32, y: i32) -> Point {
        const MOST: i32 = FURTHEST as i32 * 16;
        Point { x: x.clamp(-MOST, MOST), y: y.clamp(-MOST, MOST) }
    }

    /// Moved by so many 1/16 pixels across and down, and kept within 32768 pixels.
    pub fn moved(self, [x, y]: [i32; 2]) -> Point {
        Point::from_sixteenths(self.x.saturating_add(x), self.y.saturating_add(y))
    }

    /// x in 1/16 pixel.
    pub fn x(self) -> i32 {
        self.x
    }

    /// y in 1/16 pixel.
    pub fn y(self) -> i32 {
        self.y
    }
}

/// The key points that an alignment is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPoints {
    /// The eyes, the one on the left of an upright picture (the person's right eye) first.
    pub eyes: [Point; 2],
    /// The centre of the mouth.
    pub mouth: Point,
}

/// Why a face could not be aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlignError {
    /// The points coincide, lie in a line, or are those of a mirrored face.
    Degenerate,
    /// The aligned face has no pixels, more than [`LONGEST_SIDE`] a side, or another length than the output.
    Size,
}

impl fmt::Display for AlignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AlignError::Degenerate => "the key points are not those of a face; skip this detection",
            AlignError::Size => "the size of the aligned face does not fit; take it from the bundle's manifest",
        })
    }
}

impl core::error::Error for AlignError {}

/// Makes the aligned face of the face with these key points: `u8 [channels, size, size]`, row-major.
///
/// The constants above hold for the square of `input.aligned` pixels; of it the centred `input.size` are kept, as in
/// [`FaceInput::aligned_face`]. What lies outside the picture continues its edge.
///
/// # Errors
/// `Degenerate` for points that are no face's, `Size` where `out` is not `input.len()` long or the sizes make no sense;
/// `out` is then as it was.
pub fn align(points: &KeyPoints, picture: View<'_>, input: FaceInput, out: &mut [u8]) -> Result<(), AlignError> {
    let FaceInput { channels, aligned, size } = input;
    if size > aligned
        || aligned > LONGEST_SIDE
        || !matches!(channels, 1 | 3)
        || input.is_empty()
        || out.len() != input.len()
    {
        return Err(AlignError::Size);
    }
    let margin = (aligned - size) / 2;
    let transform = Similarity::fit(points, aligned)?;
    transform.warp(picture, [margin, margin], [size, size], channels == 1, |x, y, c, value| {
        out[(c * size + y) * size + x] = value;
    });
    Ok(())
}

/// Turn, scale and shift from an aligned face to a picture.
///
/// The centre of the aligned face's pixel `(x, y)` lies at `(a x - b y + left, b x + a y + top)`, in 2^-16 pixels,
/// where the centre of the picture's top left pixel is the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Similarity {
    a: i64,
    b: i64,
    left: i64,
    top: i64,
}

impl Similarity {
    /// The transform that brings the canonical points of an aligned face of `side` pixels nearest to `points` (least
    /// squares).
    ///
    /// # Errors
    /// `Degenerate` where less than half of the points' spread is explained, or the face has fewer than 4 pixels a side
    /// or more than 16384 to each of the aligned face's; `Size` where `side` is 0 or above [`LONGEST_SIDE`].
    pub fn fit(points: &KeyPoints, side: usize) -> Result<Similarity, AlignError> {
        if !(1..=LONGEST_SIDE).contains(&side) {
            return Err(AlignError::Size);
        }
        let side = side as i128;
        let wide = |p: [i32; 2]| p.map(i128::from);
        let from = [EYES[0], EYES[1], MOUTH].map(wide);
        let to = [points.eyes[0], points.eyes[1], points.mouth].map(|p| wide([p.x, p.y]));
        // Thrice each point minus their sum: thrice the offset from the centroid, without a division.
        let sum = |points: &[[i128; 2]; 3], axis: usize| points.iter().map(|p| p[axis]).sum::<i128>();
        let centred = |points: &[[i128; 2]; 3]| points.map(|p| [0, 1].map(|axis| 3 * p[axis] - sum(points, axis)));
        let (u, v) = (centred(&from), centred(&to));
        let total = |term: fn([i128; 2], [i128; 2]) -> i128, p: &[[i128; 2]; 3], q: &[[i128; 2]; 3]| {
            (0..3).map(|i| term(p[i], q[i])).sum::<i128>()
        };
        let dot = |p: [i128; 2], q: [i128; 2]| p[0] * q[0] + p[1] * q[1];
        let cross = |p: [i128; 2], q: [i128; 2]| p[0] * q[1] - p[1] * q[0];
        let (cosine, sine) = (total(dot, &u, &v), total(cross, &u, &v));
        let (spread, found) = (total(dot, &u, &u), total(dot, &v, &v));
        let explained = cosine * cosine + sine * sine;
        if explained == 0 || 2 * explained < spread * found {
            return Err(AlignError::Degenerate);
        }
        // u is in thousandths of the side and v in 1/16 pixel: times 1000 / side, times 2^16 / 16.
        let ratio = |n: i128| rounded((n * 1000) << (POINT - 4), side * spread);
        let (a, b) = (ratio(cosine), ratio(sine));
        let square = a * a + b * b;
        if square * side * side < 16 << (2 * POINT) || square >= 1 << 60 {
            return Err(AlignError::Degenerate);
        }
        // The centroids lie on each other; the centre of pixel 0 is half a pixel inside, in both. One rounding at the
        // end.
        let (half, whole) = (1 << (POINT - 1), 3000 << POINT);
        let [x, y] = [0, 1].map(|axis| ((sum(&from, axis) * side) << POINT) - half * 3000);
        let shift = |axis, turned: i128| rounded(((sum(&to, axis) * 1000) << (2 * POINT - 4)) - turned, whole) - half;
        let (left, top) = (shift(0, a * x - b * y), shift(1, b * x + a * y));
        Ok(Similarity { a: a as i64, b: b as i64, left: left as i64, top: top as i64 })
    }

    /// Pixels of the picture to a pixel of the aligned face, in 2^-16, rounded down.
    pub fn scale(&self) -> u64 {
        // Below 2^60: `fit` sees to it.
        ((self.a * self.a + self.b * self.b) as u64).isqrt()
    }

    /// Makes the part of the aligned face that starts at `origin` (x, y) and has `size` (width, height) pixels, handing
    /// each byte to `put(x, y, channel, value)` row by row, where x and y count from `origin`.
    ///
    /// A triangle filter like that of [`crate::resample::resample`], turned with the face: as wide as a pixel of the
    /// picture where the face is enlarged (bilinear when it is upright), as wide as a pixel of the face where it
    /// shrinks. Where an output pixel covers more than 32 pixels of the picture, evenly spaced ones of them are taken.
    /// `grey` makes one channel of any picture; otherwise a grey one is repeated into three.
    pub fn warp(
        &self,
        from: View<'_>,
        origin: [usize; 2],
        size: [usize; 2],
        grey: bool,
        mut put: impl FnMut(usize, usize, usize, u8),
    ) {
        let filter = Filter::new(self);
        let channels = if grey { 1 } else { 3 };
        let (right, bottom) = (from.width() as i64 - 1, from.height() as i64 - 1);
        for y in 0..size[1] {
            for x in 0..size[0] {
                let (face_x, face_y) = ((origin[0] + x) as i64, (origin[1] + y) as i64);
                let centre_x = self.a * face_x - self.b * face_y + self.left;
                let centre_y = self.b * face_x + self.a * face_y + self.top;
                let (mut sums, mut total) = ([0i64; 3], 0i64);
                let columns = filter.taps(centre_x);
                for row in filter.taps(centre_y) {
                    let mut distance = filter.distance((columns.first << POINT) - centre_x, (row << POINT) - centre_y);
                    let row = row.clamp(0, bottom) as usize;
                    for column in columns {
                        let weight = filter.weight(distance);
                        distance = filter.next(distance);
                        if weight == 0 {
                            continue;
                        }
                        let column = column.clamp(0, right) as usize;
                        total += weight;
                        if grey {
                            sums[0] += weight * i64::from(from.luma(column, row));
                        } else {
                            for (c, sum) in sums.iter_mut().enumerate() {
                                *sum += weight * i64::from(from.at(column, row, c.min(from.channels() - 1)));
                            }
                        }
                    }
                }
                for (c, sum) in sums.iter().take(channels).enumerate() {
                    // The pixel nearest to the centre always has a weight; `max` only spares a proof a division by 0.
                    put(x, y, c, ((sum + total / 2) / total.max(1)) as u8);
                }
            }
        }
    }
}

/// Evenly spaced pixels of a row or column.
#[derive(Clone, Copy)]
struct Taps {
    first: i64,
    last: i64,
    step: i64,
}

impl Iterator for Taps {
    type Item = i64;

    #[inline]
    fn next(&mut self) -> Option<i64> {
        let next = self.first;
        self.first += self.step;
        (next <= self.last).then_some(next)
    }
}

/// The triangle filter of a similarity transform, turned with it.
struct Filter {
    a: i64,
    b: i64,
    /// Weight at the centre, before `shift`: the radius in the units of a product of a position and `a`.
    support: i64,
    /// Brings a weight down to 14 bits, so that two of them, a byte and a sum fit 64.
    shift: u32,
    /// How far a tap may lie from the centre along an axis of the picture, in 2^-16 pixels.
    reach: i64,
    /// Pixels from one tap to the next.
    step: i64,
}

impl Filter {
    fn new(&Similarity { a, b, .. }: &Similarity) -> Filter {
        let square = a * a + b * b;
        let scale = square.isqrt().max(1);
        // scale * max(1, scale), because distances below are `scale` times too large.
        let (support, reach) = match scale >= 1 << POINT {
            true => (square, a.abs() + b.abs()),
            false => (scale << POINT, ((a.abs() + b.abs()) << POINT) / scale),
        };
        let shift = (i64::BITS - support.leading_zeros()).saturating_sub(15);
        Filter { a, b, support, shift, reach, step: ((2 * scale) >> POINT) / MOST_TAPS + 1 }
    }

    /// The pixels along one axis that may have a weight.
    fn taps(&self, centre: i64) -> Taps {
        Taps { first: (centre - self.reach) >> POINT, last: (centre + self.reach) >> POINT, step: self.step }
    }

    /// How far a pixel that lies `x`, `y` (2^-16 pixels) from the centre lies along and across the face, times the scale.
    fn distance(&self, x: i64, y: i64) -> [i64; 2] {
        [self.a * x + self.b * y, self.a * y - self.b * x]
    }

    /// The distance of the next tap in the same row.
    fn next(&self, [along, across]: [i64; 2]) -> [i64; 2] {
        [along + ((self.a * self.step) << POINT), across - ((self.b * self.step) << POINT)]
    }

    /// Weight of a pixel at this distance.
    fn weight(&self, distance: [i64; 2]) -> i64 {
        let [along, across] = distance.map(|distance| (self.support - distance.abs()).max(0) >> self.shift);
        along * across
    }
}

/// `n / d` for positive `d`, to the nearest integer, halves away from zero: the same for a turned picture.
fn rounded(n: i128, d: i128) -> i128 {
    (n + n.signum() * (d / 2)) / d
}

#[cfg(test)]
mod tests;
