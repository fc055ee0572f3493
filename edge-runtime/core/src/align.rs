//! Makes the aligned face from a face's key points: a similarity transform and a warp, in integers only.
//!
//! Key points are rounded to 1/16 pixel on entry. Everything after that is integer arithmetic, so the same picture and the same
//! rounded points give the same bytes on every machine.

mod filter;
mod tile;

use core::fmt;

use crate::{FaceInput, View};

/// The eyes' places in an aligned face, in thousandths of its side: x and y, the eye on the picture's left first.
///
/// They are 40 % of the width apart, at 37 % of the height: the framing of FER2013, whose pictures FER+ relabelled.
pub const EYES: [[i32; 2]; 2] = [[300, 370], [700, 370]];

/// The place of the mouth's centre in an aligned face, in thousandths of its side.
///
/// It lies below the eyes by 1.07 times their distance. That is the median of what the detector finds in photographs of frontal
/// faces (quartiles 1.04 and 1.10), so the mouth neither enlarges nor shrinks such a face.
pub const MOUTH: [i32; 2] = [500, 800];

/// The longest side of an aligned face, in pixels.
pub const MAX_SIDE: usize = 4096;

/// Key points further than this many pixels from the picture's corner are refused, which keeps every product within 64 bits.
const MAX_DISTANCE: f32 = 32768.0;

/// Fraction bits of positions in a picture.
const POINT: u32 = 16;

/// A place in a picture, in 1/16 pixel. The top left pixel extends from 0 to 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    x: i32,
    y: i32,
}

impl Point {
    /// Rounds a place in pixels to 1/16 pixel, halves away from zero.
    ///
    /// Returns `None` if a coordinate is not a number or its absolute value is above 32768 pixels.
    pub fn from_pixels(x: f32, y: f32) -> Option<Point> {
        // Scaling by 16 is exact and the cast truncates: IEEE 754 gives the same integer everywhere.
        let fixed = |v: f32| (v.abs() <= MAX_DISTANCE).then_some((v * 16.0 + 0.5f32.copysign(v)) as i32);
        Some(Point { x: fixed(x)?, y: fixed(y)? })
    }

    /// Creates a point from a place in 1/16 pixel, clamped to 32768 pixels.
    pub fn from_sixteenths(x: i32, y: i32) -> Point {
        const MAX: i32 = MAX_DISTANCE as i32 * 16;
        Point { x: x.clamp(-MAX, MAX), y: y.clamp(-MAX, MAX) }
    }

    /// Returns the point moved right and down by `[x, y]` in 1/16 pixel, clamped to 32768 pixels.
    pub fn moved(self, [x, y]: [i32; 2]) -> Point {
        Point::from_sixteenths(self.x.saturating_add(x), self.y.saturating_add(y))
    }

    /// Returns the x coordinate in 1/16 pixel.
    pub fn x(self) -> i32 {
        self.x
    }

    /// Returns the y coordinate in 1/16 pixel.
    pub fn y(self) -> i32 {
        self.y
    }
}

/// The key points that determine an alignment.
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
    /// The points coincide, lie on a line, or belong to a mirrored face.
    Degenerate,
    /// The aligned face has no pixels, has a side above [`MAX_SIDE`], or differs in length from the output.
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

/// Makes the aligned face of the face with these key points, and writes it to `out` as `u8 [channels, size, size]`, row-major.
///
/// [`EYES`] and [`MOUTH`] hold for a square of `input.aligned` pixels a side, of which the centred `input.size` are kept, as in
/// [`FaceInput::aligned_face`]. Outside the picture its edge is repeated.
///
/// # Errors
/// Returns [`AlignError::Degenerate`] if the points are not those of a face, and [`AlignError::Size`] if `out` is not
/// `input.len()` bytes long or the sizes contradict each other. `out` is then unchanged.
pub fn align(points: &KeyPoints, picture: View<'_>, input: FaceInput, out: &mut [u8]) -> Result<(), AlignError> {
    let FaceInput { channels, aligned, size } = input;
    if size > aligned
        || aligned > MAX_SIDE
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

/// A rotation, scaling and shift from an aligned face to a picture.
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
    /// Returns the transform that maps the canonical points of an aligned face of `side` pixels as closely as possible to
    /// `points` (least squares).
    ///
    /// # Errors
    /// Returns [`AlignError::Degenerate`] if the transform explains less than half of the points' spread, if the face has fewer
    /// than 4 pixels a side, or if it has more than 16384 pixels per pixel of the aligned face. Returns [`AlignError::Size`] if
    /// `side` is 0 or above [`MAX_SIDE`].
    pub fn fit(points: &KeyPoints, side: usize) -> Result<Similarity, AlignError> {
        if !(1..=MAX_SIDE).contains(&side) {
            return Err(AlignError::Size);
        }
        let side = side as i128;
        let wide = |p: [i32; 2]| p.map(i128::from);
        let from = [EYES[0], EYES[1], MOUTH].map(wide);
        let to = [points.eyes[0], points.eyes[1], points.mouth].map(|p| wide([p.x, p.y]));
        // Three times each point minus their sum is three times the offset from the centroid, without a division.
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
        // The centroids coincide, and in both pictures the centre of pixel 0 is half a pixel inside. Rounds once, at the end.
        let (half, whole) = (1 << (POINT - 1), 3000 << POINT);
        let [x, y] = [0, 1].map(|axis| ((sum(&from, axis) * side) << POINT) - half * 3000);
        let shift = |axis, turned: i128| rounded(((sum(&to, axis) * 1000) << (2 * POINT - 4)) - turned, whole) - half;
        let (left, top) = (shift(0, a * x - b * y), shift(1, b * x + a * y));
        Ok(Similarity { a: a as i64, b: b as i64, left: left as i64, top: top as i64 })
    }

    /// Returns where the centre of a pixel of the aligned face lies in the picture.
    fn place(&self, [x, y]: [usize; 2]) -> [i64; 2] {
        let (x, y) = (x as i64, y as i64);
        [self.a * x - self.b * y + self.left, self.b * x + self.a * y + self.top]
    }

    /// Returns how many pixels of the picture make one pixel of the aligned face, in units of 2^-16, rounded down.
    pub fn scale(&self) -> u64 {
        // `fit` keeps this below 2^60.
        ((self.a * self.a + self.b * self.b) as u64).isqrt()
    }

    /// Makes the part of the aligned face that starts at `origin` (x, y) and has `size` (width, height) pixels. Passes each byte
    /// to `put(x, y, channel, value)` once, in no particular order, with x and y relative to `origin`.
    ///
    /// The filter is a triangle like that of [`crate::resample::resample`], rotated with the face: as wide as a pixel of the
    /// picture if the face is enlarged (bilinear if it is upright), and as wide as a pixel of the face if it is reduced. If an
    /// output pixel covers more than 32 pixels of the picture, evenly spaced ones of them are used. With `grey` the output has
    /// one channel; otherwise it has three, and a grey picture is repeated into each.
    pub fn warp(
        &self,
        from: View<'_>,
        origin: [usize; 2],
        size: [usize; 2],
        grey: bool,
        put: impl FnMut(usize, usize, usize, u8),
    ) {
        match tile::Filter::new(self) {
            Some(filter) if grey => filter.warp::<1>(from, origin, size, put),
            Some(filter) => filter.warp::<3>(from, origin, size, put),
            None => self.warp_any(from, origin, size, grey, put),
        }
    }
}

/// Returns `n / d` for positive `d`, rounded to the nearest integer, halves away from zero so that a rotated picture gives the
/// same.
fn rounded(n: i128, d: i128) -> i128 {
    (n + n.signum() * (d / 2)) / d
}

#[cfg(test)]
mod tests;
