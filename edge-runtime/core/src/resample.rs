//! Pictures in memory, and resampling them in integers.

/// A borrowed picture: u8, row-major, with interleaved channels.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    data: &'a [u8],
    width: usize,
    height: usize,
    channels: usize,
    /// Bytes from one pixel to the next in the same row.
    step: usize,
    /// Bytes from one row to the next.
    stride: usize,
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
        valid.then_some(Self { data, width, height, channels, step, stride })
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
        self.data[y * self.stride + x * self.step + c]
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
        let [r, g, b] = [0, 1, 2].map(|c| u32::from(self.at(x, y, c)));
        ((77 * r + 150 * g + 29 * b + 128) >> 8) as u8
    }

    /// Returns the part of `width` x `height` pixels with its top left corner at `x`, `y`, or `None` if it extends outside.
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Option<View<'a>> {
        if x.checked_add(width)? > self.width || y.checked_add(height)? > self.height {
            return None;
        }
        let start = y * self.stride + x * self.step;
        View::spaced(self.data.get(start..)?, width, height, self.channels, self.step, self.stride)
    }

    /// Returns the largest centred square.
    pub fn centre_square(&self) -> View<'a> {
        let side = self.width.min(self.height);
        self.crop((self.width - side) / 2, (self.height - side) / 2, side, side).unwrap_or(*self)
    }
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
    }
}
