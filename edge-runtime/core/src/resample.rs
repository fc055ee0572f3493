//! Pictures in memory, and resampling them in integers.

/// A borrowed picture: u8, row-major, with interleaved channels.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    data: &'a [u8],
    width: usize,
    height: usize,
    channels: usize,
    /// Index of the first byte of the top left pixel.
    origin: usize,
    /// Bytes from a pixel to its right neighbour; of a turned picture it may be negative, as two's complement.
    step: usize,
    /// Bytes from a row to the next, likewise.
    stride: usize,
}

/// How a picture is turned before it is looked at: by quarters of a circle, then mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    /// Quarters of a circle, clockwise: 0 to 3.
    pub quarters: u8,
    /// Left and right are exchanged after that.
    pub mirrored: bool,
}

impl Turn {
    /// Returns the turn by 0, 90, 180 or 270 degrees clockwise; `None` for other angles.
    pub const fn from_degrees(degrees: u16) -> Option<Turn> {
        match degrees {
            0 | 90 | 180 | 270 => Some(Turn { quarters: (degrees / 90) as u8, mirrored: false }),
            _ => None,
        }
    }

    /// Returns this turn with left and right exchanged afterwards.
    pub const fn flipped_horizontally(self) -> Turn {
        Turn { mirrored: !self.mirrored, ..self }
    }

    /// Returns this turn with top and bottom exchanged afterwards.
    pub const fn flipped_vertically(self) -> Turn {
        // A half turn and a mirror; a half turn is the same before and after a mirror.
        Turn { quarters: (self.quarters + 2) % 4, mirrored: !self.mirrored }
    }

    /// Returns this turn with another one after it.
    pub const fn then(self, other: Turn) -> Turn {
        // A mirror before a turn is the same as a turn the other way round before the mirror.
        let quarters = if self.mirrored { 4 - other.quarters % 4 } else { other.quarters };
        Turn { quarters: (self.quarters + quarters) % 4, mirrored: self.mirrored != other.mirrored }
    }

    /// Returns width and height of a turned picture, from those before.
    pub const fn size(self, [width, height]: [usize; 2]) -> [usize; 2] {
        if self.quarters % 2 == 1 { [height, width] } else { [width, height] }
    }
}

impl<'a> View<'a> {
    /// Views `data` as `height` rows of `width` pixels with `channels` bytes each (1: grey, 3: RGB). Rows start `stride` bytes
    /// apart.
    ///
    /// Returns `None` if a side is zero, `channels` is neither 1 nor 3, rows overlap, or `data` is too short.
    pub fn new(data: &'a [u8], width: usize, height: usize, channels: usize, stride: usize) -> Option<Self> {
        Self::spaced(data, width, height, channels, channels, stride)
    }

    /// Views `data` as a grey picture whose pixels lie `step` bytes apart, such as the luma of a YUYV frame (`step` 2).
    ///
    /// Returns `None` in the cases of [`View::new`], and if `step` is zero.
    pub fn luma_plane(data: &'a [u8], width: usize, height: usize, step: usize, stride: usize) -> Option<Self> {
        Self::spaced(data, width, height, 1, step, stride)
    }

    fn spaced(
        data: &'a [u8],
        width: usize,
        height: usize,
        channels: usize,
        step: usize,
        stride: usize,
    ) -> Option<Self> {
        let row = step.checked_mul(width.checked_sub(1)?)?.checked_add(channels)?;
        let needed = stride.checked_mul(height.checked_sub(1)?)?.checked_add(row)?;
        let valid = matches!(channels, 1 | 3) && step >= channels && stride >= row && data.len() >= needed;
        valid.then_some(Self { data, width, height, channels, origin: 0, step, stride })
    }

    /// Returns the width in pixels.
    #[inline]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the height in pixels.
    #[inline]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Returns the number of channels: 1 (grey) or 3 (RGB).
    #[inline]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Returns channel `c` of the pixel at column `x`, row `y`.
    ///
    /// # Panics
    /// May panic, or return another pixel's value, if `x`, `y` or `c` is out of range.
    #[inline]
    pub fn at(&self, x: usize, y: usize, c: usize) -> u8 {
        self.data[self.offset(x, y).wrapping_add(c)]
    }

    /// Index of the first byte of a pixel. Steps may be negative, and so products wrap around; the sum does not.
    #[inline]
    fn offset(&self, x: usize, y: usize) -> usize {
        self.origin.wrapping_add(y.wrapping_mul(self.stride)).wrapping_add(x.wrapping_mul(self.step))
    }

    /// The picture turned: nothing is copied, its pixels are reached in another order.
    pub fn turned(mut self, turn: Turn) -> View<'a> {
        for _ in 0..turn.quarters % 4 {
            // The first pixel of the last row becomes the top left one.
            self.origin = self.offset(0, self.height - 1);
            (self.step, self.stride) = (self.stride.wrapping_neg(), self.step);
            (self.width, self.height) = (self.height, self.width);
        }
        if turn.mirrored {
            self.origin = self.offset(self.width - 1, 0);
            self.step = self.step.wrapping_neg();
        }
        self
    }

    /// Returns the grey value of the pixel at column `x`, row `y`: for RGB its ITU-R BT.601 luma, with weights in 256ths, rounded.
    ///
    /// # Panics
    /// As [`View::at`].
    #[inline]
    pub fn luma(&self, x: usize, y: usize) -> u8 {
        if self.channels == 1 {
            return self.at(x, y, 0);
        }
        grey([0, 1, 2].map(|c| self.at(x, y, c)))
    }

    /// Copies pixels of a row, from column `x` of row `y` on, as many as `out` has: channel `channel` of them, or their grey
    /// values.
    ///
    /// # Panics
    /// As [`View::at`].
    pub fn copy_row(&self, [x, y]: [usize; 2], channel: Option<usize>, out: &mut [u8]) {
        let from = &self.data[self.offset(x, y)..];
        match (self.channels, self.step, channel) {
            (1, 1, _) => out.copy_from_slice(&from[..out.len()]),
            (1, 2, _) => out.iter_mut().zip(from.chunks(2)).for_each(|(out, pixel)| *out = pixel[0]),
            (3, 3, None) => {
                out.iter_mut().zip(from.as_chunks().0).for_each(|(out, pixel)| *out = grey(*pixel));
            }
            (3, 3, Some(c)) => {
                out.iter_mut().zip(from.as_chunks::<3>().0).for_each(|(out, pixel)| *out = pixel[c]);
            }
            (_, _, None) => out.iter_mut().zip(x..).for_each(|(out, x)| *out = self.luma(x, y)),
            (_, _, Some(c)) => out.iter_mut().zip(x..).for_each(|(out, x)| *out = self.at(x, y, c)),
        }
    }

    /// Returns the part of `width` x `height` pixels with its top left corner at `x`, `y`, or `None` if it extends outside.
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Option<View<'a>> {
        if x.checked_add(width)? > self.width || y.checked_add(height)? > self.height {
            return None;
        }
        (width > 0 && height > 0).then(|| View { width, height, origin: self.offset(x, y), ..*self })
    }

    /// Returns the largest centred square.
    pub fn centre_square(&self) -> View<'a> {
        let side = self.width.min(self.height);
        self.crop((self.width - side) / 2, (self.height - side) / 2, side, side).unwrap_or(*self)
    }
}

/// Returns the luma of an RGB pixel.
#[inline]
fn grey(pixel: [u8; 3]) -> u8 {
    let [r, g, b] = pixel.map(u32::from);
    ((77 * r + 150 * g + 29 * b + 128) >> 8) as u8
}

/// One axis of a resampling: which input pixels contribute to an output pixel, and with which weights.
///
/// The filter is a triangle. It is as wide as an input pixel if the axis is enlarged (bilinear) and as wide as an output pixel if
/// it is reduced (which prevents aliasing). In units of `1 / (2 * output)` input pixels every distance is an integer.
#[derive(Clone, Copy)]
struct Axis {
    input: usize,
    output: usize,
}

impl Axis {
    fn support(self) -> i64 {
        2 * self.input.max(self.output) as i64
    }

    fn weight(self, from: usize, to: usize) -> i64 {
        let distance = (2 * from as i64 + 1) * self.output as i64 - (2 * to as i64 + 1) * self.input as i64;
        (self.support() - distance.abs()).max(0)
    }

    /// Returns the range of input pixels with a weight above zero, as first and one past the last.
    fn taps(self, to: usize) -> (usize, usize) {
        let centre = (2 * to as i64 + 1) * self.input as i64;
        let step = 2 * self.output as i64;
        let first = (centre - self.support() - self.output as i64).div_euclid(step).max(0) as usize;
        let last = (centre + self.support() - self.output as i64).div_euclid(step) + 1;
        (first, (last.max(0) as usize).min(self.input))
    }
}

/// Resamples `from` to `width` x `height` pixels and passes each output byte to `put(x, y, channel, value)`, row by row.
///
/// With `grey` the output has one channel; otherwise it has three, and a grey input is repeated into each. The arithmetic is
/// integer only, so the bytes are the same on every machine.
pub fn resample(from: View<'_>, width: usize, height: usize, grey: bool, mut put: impl FnMut(usize, usize, usize, u8)) {
    let horizontal = Axis { input: from.width(), output: width };
    let vertical = Axis { input: from.height(), output: height };
    for y in 0..height {
        let (top, bottom) = vertical.taps(y);
        for x in 0..width {
            let (left, right) = horizontal.taps(x);
            let (mut sums, mut total) = ([0i64; 3], 0i64);
            for row in top..bottom {
                let vertical_weight = vertical.weight(row, y);
                for column in left..right {
                    let weight = vertical_weight * horizontal.weight(column, x);
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
            for (c, sum) in sums.iter().take(if grey { 1 } else { 3 }).enumerate() {
                put(x, y, c, ((sum + total / 2) / total) as u8);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resized<const N: usize>(from: &[u8], side: usize, to: usize) -> [u8; N] {
        let mut out = [0; N];
        let view = View::new(from, side, side, 1, side).unwrap();
        resample(view, to, to, true, |x, y, _, value| out[y * to + x] = value);
        out
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let picture: [u8; 25] = core::array::from_fn(|i| (i * 37 % 251) as u8);
        assert_eq!(resized::<25>(&picture, 5, 5), picture);
    }

    #[test]
    fn a_constant_stays_a_constant_up_and_down() {
        assert_eq!(resized::<49>(&[93; 25], 5, 7), [93; 49]);
        assert_eq!(resized::<4>(&[93; 25], 5, 2), [93; 4]);
        assert_eq!(resized::<1>(&[93; 25], 5, 1), [93; 1]);
    }

    #[test]
    fn twice_as_large_is_bilinear() {
        // Centres at 1/4 and 3/4 of an input pixel: weights 3:1.
        assert_eq!(resized::<16>(&[0, 100, 0, 100], 2, 4)[..4], [0, 25, 75, 100]);
    }

    #[test]
    fn shrinking_does_not_alias() {
        let stripes: [u8; 64 * 64] = core::array::from_fn(|i| if i % 2 == 0 { 0 } else { 200 });
        for value in resized::<64>(&stripes, 64, 8) {
            assert!((90..=110).contains(&value), "{value}");
        }
    }

    #[test]
    fn the_luma_of_interleaved_pixels_is_read_where_it_lies() {
        let yuyv: [u8; 16] = core::array::from_fn(|i| i as u8);
        let view = View::luma_plane(&yuyv, 4, 2, 2, 8).unwrap().crop(1, 0, 3, 2).unwrap();
        assert_eq!([view.at(0, 0, 0), view.luma(2, 0), view.luma(2, 1)], [2, 6, 14]);
    }

    #[test]
    fn turned_views_reach_the_same_pixels() {
        // 3x2 pixels of two bytes each, rows of 7 bytes.
        let data = [1, 0, 2, 0, 3, 0, 9, 4, 0, 5, 0, 6, 0];
        let view = View::luma_plane(&data, 3, 2, 2, 7).unwrap();
        let turn = |degrees| Turn::from_degrees(degrees).unwrap();
        let cases: [(Turn, &[&[u8]]); 9] = [
            (turn(0), &[&[1, 2, 3], &[4, 5, 6]]),
            (turn(90), &[&[4, 1], &[5, 2], &[6, 3]]),
            (turn(180), &[&[6, 5, 4], &[3, 2, 1]]),
            (turn(270), &[&[3, 6], &[2, 5], &[1, 4]]),
            (turn(0).flipped_horizontally(), &[&[3, 2, 1], &[6, 5, 4]]),
            (turn(0).flipped_vertically(), &[&[4, 5, 6], &[1, 2, 3]]),
            (turn(90).flipped_horizontally(), &[&[1, 4], &[2, 5], &[3, 6]]),
            (turn(90).flipped_vertically(), &[&[6, 3], &[5, 2], &[4, 1]]),
            (turn(180).flipped_horizontally().flipped_vertically(), &[&[1, 2, 3], &[4, 5, 6]]),
        ];
        for (turn, wanted) in cases {
            let turned = view.turned(turn);
            assert_eq!([turned.width(), turned.height()], [wanted[0].len(), wanted.len()], "{turn:?}");
            assert_eq!([turned.width(), turned.height()], turn.size([3, 2]), "{turn:?}");
            for (y, row) in wanted.iter().enumerate() {
                for (x, value) in row.iter().enumerate() {
                    assert_eq!(turned.luma(x, y), *value, "{turn:?} at {x}, {y}");
                }
            }
            // A part of it is a part of what is seen.
            let part = turned.crop(1, 1, 1, 1).unwrap();
            assert_eq!(part.luma(0, 0), wanted[1][1], "{turn:?}");
        }
        assert_eq!(Turn::from_degrees(45), None);
    }

    #[test]
    fn a_turn_after_another_one_is_one_turn() {
        let data = [1, 2, 3, 4, 5, 6];
        let view = View::luma_plane(&data, 3, 2, 1, 3).unwrap();
        let turns = || (0..8).map(|number| Turn { quarters: number % 4, mirrored: number > 3 });
        for (first, second) in turns().flat_map(|first| turns().map(move |second| (first, second))) {
            let (one, two) = (view.turned(first.then(second)), view.turned(first).turned(second));
            assert_eq!([one.width(), one.height()], [two.width(), two.height()], "{first:?} {second:?}");
            for (x, y) in (0..one.height()).flat_map(|y| (0..one.width()).map(move |x| (x, y))) {
                assert_eq!(one.luma(x, y), two.luma(x, y), "{first:?} {second:?} at {x}, {y}");
            }
        }
    }

    #[test]
    fn views_refuse_what_does_not_fit() {
        assert!(View::new(&[0; 11], 4, 3, 1, 4).is_none());
        assert!(View::new(&[0; 12], 4, 3, 2, 8).is_none());
        assert!(View::new(&[0; 12], 0, 3, 1, 4).is_none());
        assert!(View::new(&[0; 12], 4, 0, 1, 4).is_none());
        assert!(View::new(&[], usize::MAX, usize::MAX, 3, usize::MAX).is_none());
        assert!(View::luma_plane(&[0; 23], 4, 3, 2, 8).is_some());
        assert!(View::luma_plane(&[0; 22], 4, 3, 2, 8).is_none());
        assert!(View::luma_plane(&[0; 24], 4, 3, 0, 8).is_none());
        let view = View::new(&[0; 12], 4, 3, 1, 4).unwrap();
        assert!(view.crop(1, 1, 3, 2).is_some());
        assert!(view.crop(2, 1, 3, 2).is_none());
        assert!(view.crop(2, 1, 0, 2).is_none());
    }
}
