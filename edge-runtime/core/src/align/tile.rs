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
/// The most pixels in a window: so many products of a byte and half a weight can be summed in 32 bits.
const MAX_TAPS: usize = 512;
/// The width of a window is a multiple of this many pixels.
const WORD: usize = 4;
/// The pixels of a window are padded to a multiple of this many, so that loops need no rest.
const LANES: usize = 8;
/// Bits of the lower half of a product of two weights. The halves are summed apart.
const HALF: u32 = 15;
const MASK: i32 = (1 << HALF) - 1;
/// The most output pixels per axis that share a tile.
const MAX_BLOCK: i64 = 16;

const _: () = assert!(MASK as u64 * 255 * MAX_TAPS as u64 <= u32::MAX as u64);

/// A part of the picture whose edge is repeated outside of it: one plane per channel.
type Tile<const CHANNELS: usize> = [[[u8; SIDE]; SIDE]; CHANNELS];

/// The triangle filter of a transform, at a scale for which 32 bits suffice.
///
/// Every output pixel has a window of the picture that contains all pixels with a weight above zero.
pub(super) struct Filter<'a> {
    transform: &'a Similarity,
    support: i64,
    /// Bits that are cut off a weight, besides the 16 lowest.
    shift: u32,
    reach: i64,
    /// The width and height of a window.
    window: [usize; 2],
    /// Pixels in a window, padded.
    taps: usize,
    /// Output pixels per axis that share a tile.
    block: usize,
    /// How much farther than its first pixel each pixel of a window lies along the face and across it, without 16 bits.
    along: [i32; MAX_TAPS],
    across: [i32; MAX_TAPS],
}

/// The weights in one direction: of a pixel that lies `d` farther than the first of its window, the lesser of `before + d` and
/// `after - d` if it is above zero.
#[derive(Clone, Copy)]
struct Slopes {
    before: i32,
    after: i32,
}

impl<'a> Filter<'a> {
    /// Returns `None` if the transform enlarges more than fourfold, or reduces so much that a window has too many pixels.
    pub fn new(transform: &'a Similarity) -> Option<Filter<'a>> {
        let filter::Filter { a, b, support, shift, reach, .. } = filter::Filter::new(transform);
        let shift = shift.checked_sub(POINT)?;
        // Pixels at exactly the reach have no weight, so there are no more than these in a row.
        let height = usize::try_from((2 * reach + (1 << POINT) - 1) >> POINT).ok()?;
        let window = [height.next_multiple_of(WORD), height];
        if window[0] > SIDE || window[0] * height > MAX_TAPS {
            return None;
        }
        // `a` and `b` are now below 2^20, `support` is below 2^40 and no distance in a window is above 2^42.
        let taps = (window[0] * window[1]).next_multiple_of(LANES);
        let spare = ((SIDE - 1 - window[0]) as i64) << POINT;
        let block = (spare / (a.abs() + b.abs()) + 1).min(MAX_BLOCK) as usize;
        // The padding is so far away that it has no weight.
        let (mut along, mut across) = ([i32::MIN / 2; MAX_TAPS], [0; MAX_TAPS]);
        let (a, b) = (a as i32, b as i32);
        let places = (0..window[1] as i32).flat_map(|y| (0..window[0] as i32).map(move |x| (x, y)));
        for ((x, y), (along, across)) in places.zip(along.iter_mut().zip(&mut across)) {
            (*along, *across) = (a * x + b * y, a * y - b * x);
        }
        Some(Filter { transform, support, shift, reach, window, taps, block, along, across })
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
        let mut products = [0; MAX_TAPS];
        let products = &mut products[..self.taps];
        let mut pixels = [0; MAX_TAPS];
        let pixels = &mut pixels[..self.taps];
        for top in (0..size[1]).step_by(self.block) {
            for left in (0..size[0]).step_by(self.block) {
                let [right, bottom] = [(left, size[0]), (top, size[1])].map(|(from, to)| to.min(from + self.block));
                let centre = |x, y| self.transform.place([origin[0] + x, origin[1] + y]);
                let corners = [[left, top], [right - 1, top], [left, bottom - 1], [right - 1, bottom - 1]];
                let corners = corners.map(|[x, y]| self.first(centre(x, y)));
                let bounds = [0, 1].map(|axis| {
                    let places = corners.map(|corner| corner[axis]);
                    let least = places.into_iter().min().unwrap_or_default();
                    let most = places.into_iter().max().unwrap_or_default();
                    [least, most + self.window[axis] as i64 - 1]
                });
                copy(from, bounds, &mut tile);
                for y in top..bottom {
                    for x in left..right {
                        let centre = centre(x, y);
                        let first = self.first(centre);
                        let total = self.weigh(centre, first, products);
                        let [column, row] = [0, 1].map(|axis| (first[axis] - bounds[axis][0]) as usize);
                        for (c, plane) in tile.iter().enumerate() {
                            for (out, from) in pixels.chunks_exact_mut(self.window[0]).zip(&plane[row..]) {
                                // Shorter than a call that copies any length.
                                let from = from[column..].as_chunks::<WORD>().0;
                                out.as_chunks_mut().0.iter_mut().zip(from).for_each(|(out, from)| *out = *from);
                            }
                            put(x, y, c, ((sum(products, pixels) + total / 2) / total) as u8);
                        }
                    }
                }
            }
        }
    }

    /// Returns the top left pixel of the window of the output pixel whose centre is at `centre`.
    fn first(&self, centre: [i64; 2]) -> [i64; 2] {
        centre.map(|place| ((place - self.reach) >> POINT) + 1)
    }

    /// Writes the weight of each pixel of the window that begins at `first` to `products`. Returns their sum.
    fn weigh(&self, centre: [i64; 2], first: [i64; 2], products: &mut [i32]) -> u64 {
        let [x, y] = [0, 1].map(|axis| (first[axis] << POINT) - centre[axis]);
        let Similarity { a, b, .. } = *self.transform;
        let (along, across) = (self.slopes(a * x + b * y), self.slopes(a * y - b * x));
        let taps = self.taps;
        weigh(products, (&self.along[..taps], along), (&self.across[..taps], across), self.shift & 31)
    }

    /// Returns the slopes of the weights in a direction in which the first pixel lies `distance` from the centre.
    fn slopes(&self, distance: i64) -> Slopes {
        let narrow = |n: i64| (n >> POINT) as i32;
        Slopes { before: narrow(self.support + distance), after: narrow(self.support - distance) }
    }
}

/// The loop of [`Filter::weigh`].
fn weigh(products: &mut [i32], along: (&[i32], Slopes), across: (&[i32], Slopes), shift: u32) -> u64 {
    // A weight has 15 bits, which lets the compiler multiply 16 by 16.
    let weight = |Slopes { before, after }: Slopes, farther: i32| {
        before.wrapping_add(farther).min(after.wrapping_sub(farther)).max(0) >> shift & MASK
    };
    let (mut low, mut high) = (0u32, 0u32);
    let taps = products.iter_mut().zip(along.0).zip(across.0);
    for ((product, a), b) in taps {
        *product = weight(along.1, *a).wrapping_mul(weight(across.1, *b));
        low = low.wrapping_add((*product & MASK) as u32);
        high = high.wrapping_add((*product >> HALF) as u32);
    }
    // The pixel nearest to the centre always has a weight; `max` only spares a proof a division by 0.
    (u64::from(low) + (u64::from(high) << HALF)).max(1)
}

/// Returns the sum of the pixels times their weights.
fn sum(products: &[i32], pixels: &[u8]) -> u64 {
    let (mut low, mut high) = (0u32, 0u32);
    for (product, pixel) in products.iter().zip(pixels) {
        let pixel = i32::from(*pixel);
        low = low.wrapping_add((product & MASK).wrapping_mul(pixel) as u32);
        high = high.wrapping_add((product >> HALF & MASK).wrapping_mul(pixel) as u32);
    }
    u64::from(low) + (u64::from(high) << HALF)
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
