//! Max-pools over maps as they lie in working memory.

use std::ops::Range;

use crate::layer::{MaxPool, Shape, Window};
use crate::map::Layout;

/// Pools the rows `rows` of the output. `from`: a map without a border. `into`: those rows of the output map, border left and
/// right included, where each byte becomes exclusive-or `flip`. `line`: a row of `from`, for what lies between.
pub fn rows(
    pool: &MaxPool,
    (shape, from): (Shape, &[u8]),
    (layout, into): (&Layout, &mut [u8]),
    rows: Range<usize>,
    (flip, line): (u8, &mut [u8]),
) {
    let Window { kernel, stride, before, .. } = pool.window;
    let (channels, length) = (shape.channels, shape.width * shape.channels);
    let span = |place: usize, axis: usize, side: usize| {
        let first = place * stride[axis];
        first.saturating_sub(before[axis])..(first + kernel[axis]).saturating_sub(before[axis]).min(side)
    };
    let line = &mut line[..length];
    for (output, row) in into.chunks_exact_mut(layout.row()).zip(rows) {
        line.fill(0);
        for from in span(row, 0, shape.height).map(|row| &from[row * length..][..length]) {
            largest(line, from);
        }
        for column in 0..layout.shape.width {
            let place = &mut output[(layout.before[1] + column) * channels..][..channels];
            place.fill(0);
            for column in span(column, 1, shape.width) {
                largest(place, &line[column * channels..][..channels]);
            }
            if flip != 0 {
                place.iter_mut().for_each(|byte| *byte ^= flip);
            }
        }
    }
}

fn largest(into: &mut [u8], other: &[u8]) {
    for (into, other) in into.iter_mut().zip(other) {
        *into = (*into).max(*other);
    }
}
