//! The warp at the scales of most faces, in 32-bit integers that a compiler vectorises. It gives the bytes of
//! [`Similarity::warp_any`].
//!
//! Along the face, a pixel's distance from an output pixel's centre is `2^16 (a column + b row) - p`, with one `p` for all pixels
//! of the picture; across it likewise. The low 16 bits of the distance are therefore the same for all of them. A weight is
//! `support - |distance|` without its lowest bits, so what these 16 bits change in it is computed once per output pixel, and
//! what remains fits 32 bits.

use super::{POINT, Similarity, filter};
use crate::View;

/// The side of the part of the picture that is copied at a time, in pixels.
const SIDE: usize = 64;
/// Pixels of a row that are weighted at a time.
const LANES: usize = 8;
/// Bits of the lower half of a product of two weights. The halves are summed apart.
const HALF: u32 = 15;
const MASK: i32 = (1 << HALF) - 1;
/// The most output pixels per axis that share a tile.
const MAX_BLOCK: i64 = 16;

// What a lane sums of a tile fits 32 bits.
const _: () = assert!(MASK as u64 * 255 * (SIDE * SIDE / LANES) as u64 <= u32::MAX as u64);

/// A part of the picture whose edge is repeated outside of it: one plane per channel.
type Tile<const CHANNELS: usize> = [[[u8; SIDE]; SIDE]; CHANNELS];

/// The triangle filter of a transform, at a scale for which 32 bits suffice.
pub(super) struct Filter<'a> {
    transform: &'a Similarity,
    a: i32,
    b: i32,
    support: i64,
    /// Bits that are cut off a weight, besides the 16 lowest.
    shift: u32,
    reach: i64,
    /// Output pixels per axis that share a tile.
    block: usize,
}

/// Where a weight is above zero, in a direction: at `d` it is the lesser of `before + d` and `after - d`.
#[derive(Clone, Copy)]
struct Slopes {
    /// The distance of the first tap.
    first: i32,
    before: i32,
    after: i32,
}

impl<'a> Filter<'a> {
    /// Returns `None` if the transform enlarges more than fourfold, or reduces so much that the taps of an output pixel do not
    /// fit a tile.
    pub fn new(transform: &'a Similarity) -> Option<Filter<'a>> {
        let filter::Filter { a, b, support, shift, reach, .. } = filter::Filter::new(transform);
        // The last taps of a block may begin a group of lanes.
        let spare = ((SIDE - LANES) as i64) << POINT;
        let spare = (spare - 1 - 2 * reach >= 0).then_some(spare - 1 - 2 * reach)?;
        let block = (spare / (a.abs() + b.abs()) + 1).min(MAX_BLOCK) as usize;
        // `reach` is at most 28 pixels: `a` and `b` are below 2^21, `support` below 2^42, the distances in a tile below 2^44.
        let shift = shift.checked_sub(POINT)?;
        Some(Filter { transform, a: a as i32, b: b as i32, support, shift, reach, block })
    }

    /// Does what [`Similarity::warp`] does, for 1 or 3 channels.
    pub fn warp<const CHANNELS: usize>(
        &self,
        from: View<'_>,
        origin: [usize; 2],
        size: [usize; 2],
        mut put: impl FnMut(usize, usize, usize, u8),
    ) {
        let mut tile: Tile<CHANNELS> = [[[0; SIDE]; SIDE]; CHANNELS];
        for top in (0..size[1]).step_by(self.block) {
            for left in (0..size[0]).step_by(self.block) {
                let [right, bottom] = [(left, size[0]), (top, size[1])].map(|(from, to)| to.min(from + self.block));
                let centre = |x, y| self.transform.place([origin[0] + x, origin[1] + y]);
                let corners = [[left, top], [right - 1, top], [left, bottom - 1], [right - 1, bottom - 1]];
                let corners = corners.map(|[x, y]| centre(x, y));
                let bounds = [0, 1].map(|axis| {
                    let places = corners.map(|corner| corner[axis]);
                    let least = places.into_iter().min().unwrap_or_default() - self.reach;
                    let most = places.into_iter().max().unwrap_or_default() + self.reach;
                    [least >> POINT, most >> POINT]
                });
                copy(from, bounds, &mut tile);
                for y in top..bottom {
                    for x in left..right {
                        let value = self.pixel(&tile, bounds.map(|[first, _]| first), centre(x, y));
                        value.into_iter().enumerate().for_each(|(c, value)| put(x, y, c, value));
                    }
                }
            }
        }
    }

    /// Returns the output pixel whose centre is at `centre`, from a tile that begins at the pixel `corner`.
    fn pixel<const CHANNELS: usize>(
        &self,
        tile: &Tile<CHANNELS>,
        corner: [i64; 2],
        centre: [i64; 2],
    ) -> [u8; CHANNELS] {
        // Pixels at exactly the reach have no weight.
        let first = centre.map(|place| ((place - self.reach) >> POINT) + 1);
        let last = centre.map(|place| (place + self.reach - 1) >> POINT);
        let [columns, rows] = [0, 1].map(|axis| (last[axis] - first[axis] + 1).max(0) as usize);
        let [left, top] = [0, 1].map(|axis| (first[axis] - corner[axis]) as usize);
        let [x, y] = [0, 1].map(|axis| (first[axis] << POINT) - centre[axis]);
        let (a, b) = (i64::from(self.a), i64::from(self.b));
        let (along, across) = (self.slopes(a * x + b * y), self.slopes(a * y - b * x));
        let mut total = [[0u32; LANES]; 2];
        let mut sums = [[[0u32; LANES]; 2]; CHANNELS];
        for row in 0..rows {
            for group in 0..columns.div_ceil(LANES) {
                let begin = left + group * LANES;
                let step = |down: i32, right: i32| down * row as i32 + right * (group * LANES) as i32;
                let along = self.weights(along, step(self.b, self.a), self.a);
                let across = self.weights(across, step(self.a, -self.b), -self.b);
                let mut halves = [[0i32; LANES]; 2];
                for lane in 0..LANES {
                    let weight = along[lane].wrapping_mul(across[lane]);
                    halves[0][lane] = weight & MASK;
                    halves[1][lane] = weight >> HALF & MASK;
                }
                for (total, half) in total.iter_mut().zip(&halves) {
                    for lane in 0..LANES {
                        total[lane] = total[lane].wrapping_add(half[lane] as u32);
                    }
                }
                for (plane, sums) in tile.iter().zip(&mut sums) {
                    let Some(pixels) = plane[top + row][begin..].first_chunk::<LANES>() else { continue };
                    for (sum, half) in sums.iter_mut().zip(&halves) {
                        for lane in 0..LANES {
                            let product = half[lane].wrapping_mul(i32::from(pixels[lane]));
                            sum[lane] = sum[lane].wrapping_add(product as u32);
                        }
                    }
                }
            }
        }
        let joined = |[low, high]: [[u32; LANES]; 2]| {
            let sum = |lanes: [u32; LANES]| lanes.into_iter().map(u64::from).sum::<u64>();
            sum(low) + (sum(high) << HALF)
        };
        // The pixel nearest to the centre always has a weight; `max` only spares a proof a division by 0.
        let total = joined(total).max(1);
        sums.map(|sum| ((joined(sum) + total / 2) / total) as u8)
    }

    /// Returns the slopes of the weights in a direction in which the first tap is `distance` from the centre.
    fn slopes(&self, distance: i64) -> Slopes {
        let low = distance & ((1 << POINT) - 1);
        let narrow = |n: i64| (n >> POINT) as i32;
        Slopes { first: narrow(distance), before: narrow(self.support + low), after: narrow(self.support - low) }
    }

    /// Returns the weights of the pixels that follow each other at `step`, from `from` beyond the first tap.
    #[inline]
    fn weights(&self, slopes: Slopes, from: i32, step: i32) -> [i32; LANES] {
        let from = slopes.first.wrapping_add(from);
        let (before, after) = (slopes.before.wrapping_add(from), slopes.after.wrapping_sub(from));
        let mut weights = [0; LANES];
        for (lane, weight) in weights.iter_mut().enumerate() {
            let step = step.wrapping_mul(lane as i32);
            let least = before.wrapping_add(step).min(after.wrapping_sub(step)).max(0);
            // A weight has 15 bits, which lets the compiler multiply 16 by 16.
            *weight = least >> (self.shift & 31) & MASK;
        }
        weights
    }
}

/// Copies the pixels within `bounds`, the first and the last column and row, to the top left of `tile`.
fn copy<const CHANNELS: usize>(from: View<'_>, [columns, rows]: [[i64; 2]; 2], tile: &mut Tile<CHANNELS>) {
    let width = (columns[1] - columns[0]) as usize + 1;
    let right = from.width() as i64 - 1;
    // The columns that are inside, or else the one nearest to them.
    let inside = columns.map(|column| column.clamp(0, right));
    let before = (inside[0] - columns[0]).clamp(0, width as i64 - 1) as usize;
    let count = (inside[1] - inside[0]) as usize + 1;
    for (c, plane) in tile.iter_mut().enumerate() {
        for (row, out) in (rows[0]..=rows[1]).zip(plane) {
            let row = row.clamp(0, from.height() as i64 - 1) as usize;
            let channel = (CHANNELS > 1).then_some(c.min(from.channels() - 1));
            from.copy_row([inside[0] as usize, row], channel, &mut out[before..before + count]);
            let [first, last] = [out[before], out[before + count - 1]];
            out[..before].fill(first);
            out[before + count..width].fill(last);
        }
    }
}
