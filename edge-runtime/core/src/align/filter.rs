//! The filter of a warp, and the loop that serves every scale.

use super::{POINT, Similarity};
use crate::View;

/// The most taps per axis of an output pixel. If more input pixels lie under it, evenly spaced ones are used.
const MAX_TAPS: i64 = 64;

impl Similarity {
    /// Does what [`Similarity::warp`] does, at any scale, in 64-bit integers.
    pub(super) fn warp_any(
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
                let [centre_x, centre_y] = self.place([origin[0] + x, origin[1] + y]);
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

/// The triangle filter of a similarity transform, rotated with it.
pub(super) struct Filter {
    pub a: i64,
    pub b: i64,
    /// Weight at the centre, before `shift`: the radius in the units of a product of a position and `a`.
    pub support: i64,
    /// Reduces a weight to 14 bits, so that the sum of products of two weights and a byte fits 64.
    pub shift: u32,
    /// The largest distance of a tap from the centre along an axis of the picture, in 2^-16 pixels.
    pub reach: i64,
    /// Pixels from one tap to the next.
    step: i64,
}

impl Filter {
    pub fn new(&Similarity { a, b, .. }: &Similarity) -> Filter {
        let square = a * a + b * b;
        let scale = square.isqrt().max(1);
        // scale * max(1, scale), because distances below are `scale` times too large.
        let (support, reach) = match scale >= 1 << POINT {
            true => (square, a.abs() + b.abs()),
            false => (scale << POINT, ((a.abs() + b.abs()) << POINT) / scale),
        };
        let shift = (i64::BITS - support.leading_zeros()).saturating_sub(15);
        Filter { a, b, support, shift, reach, step: ((2 * scale) >> POINT) / MAX_TAPS + 1 }
    }

    /// Returns the pixels along one axis whose weight may be above zero.
    fn taps(&self, centre: i64) -> Taps {
        Taps { first: (centre - self.reach) >> POINT, last: (centre + self.reach) >> POINT, step: self.step }
    }

    /// Returns the distance along and across the face, times the scale, of a pixel at `x`, `y` (2^-16 pixels) from the centre.
    fn distance(&self, x: i64, y: i64) -> [i64; 2] {
        [self.a * x + self.b * y, self.a * y - self.b * x]
    }

    /// Returns the distance of the next tap in the same row.
    fn next(&self, [along, across]: [i64; 2]) -> [i64; 2] {
        [along + ((self.a * self.step) << POINT), across - ((self.b * self.step) << POINT)]
    }

    /// Returns the weight of a pixel at this distance.
    fn weight(&self, distance: [i64; 2]) -> i64 {
        let [along, across] = distance.map(|distance| (self.support - distance.abs()).max(0) >> self.shift);
        along * across
    }
}
