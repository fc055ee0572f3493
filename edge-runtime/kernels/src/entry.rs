//! How a chain's first map is laid out: where a first convolution reads few channels, the rows of its window become channels.

use std::ops::Range;

use crate::layer::{Convolution, Shape, Window};
use crate::map::Layout;

/// How the map that a chain is given enters its working memory: each place holds `rows` rows of the map that begin `stride` rows
/// apart, the first of them `before` rows above the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The map that is given.
    pub shape: Shape,
    /// Rows of it that a place holds.
    pub rows: usize,
    /// Rows of it from a row of places to the next.
    pub stride: usize,
    /// Rows of border above it.
    pub before: usize,
}

impl Entry {
    /// As it is.
    pub fn plain(shape: Shape) -> Entry {
        Entry { shape, rows: 1, stride: 1, before: 0 }
    }

    /// With the rows of the window as channels, and the convolution over such a map, where that makes fewer granules: one
    /// channel in a window of 3x3 is one granule of 9 bytes then, and else three of 3.
    pub fn folded(shape: Shape, layer: &Convolution, granule: usize) -> Option<(Entry, Layout, Convolution)> {
        let Window { kernel: [rows, columns], stride, before, after } = layer.window;
        let run = columns * layer.from;
        if (rows * run).div_ceil(granule) >= rows * run.div_ceil(granule) {
            return None;
        }
        let [height, _] = layer.window.output([shape.height, shape.width])?;
        let channels = rows * layer.from;
        let area = rows * columns;
        // From [to, from, row, column] to [to, row and from, column].
        let weight = (0..layer.to * channels * columns).map(|index| {
            let (column, rest) = (index % columns, index / columns);
            let (from, rest) = (rest % layer.from, rest / layer.from);
            let (row, to) = (rest % rows, rest / rows);
            layer.weight[(to * layer.from + from) * area + row * columns + column]
        });
        let window =
            Window { kernel: [1, columns], stride: [1, stride[1]], before: [0, before[1]], after: [0, after[1]] };
        let layout = Layout {
            shape: Shape { channels, height, width: shape.width },
            before: window.before,
            after: window.after,
        };
        let layer = Convolution { from: channels, window, weight: weight.collect(), ..layer.clone() };
        Some((Entry { shape, rows, stride: stride[0], before: before[0] }, layout, layer))
    }

    /// Copies rows of a map `[channels, height, width]` into their place, each byte exclusive-or `flip`; `into` holds those rows
    /// of the layout. What lies beyond the map is left as it is: border.
    pub fn enter(&self, from: &[u8], layout: &Layout, flip: u8, rows: Range<usize>, into: &mut [u8]) {
        let Shape { channels, height, width } = self.shape;
        let length = layout.shape.channels;
        for (row, line) in rows.zip(into.chunks_exact_mut(layout.row())) {
            let line = &mut line[layout.before[1] * length..][..width * length];
            if let (3, 1, Some(first)) = (self.rows, channels, (row * self.stride).checked_sub(self.before))
                && first + 3 <= height
            {
                interleave(&from[first * width..][..3 * width], flip, line);
                continue;
            }
            for (inner, above) in (0..self.rows).map(|inner| (inner, row * self.stride + inner)) {
                let Some(source) = above.checked_sub(self.before).filter(|source| *source < height) else { continue };
                for channel in 0..channels {
                    let source = &from[(channel * height + source) * width..][..width];
                    let places = line[inner * channels + channel..].iter_mut().step_by(length);
                    source.iter().zip(places).for_each(|(byte, place)| *place = byte ^ flip);
                }
            }
        }
    }
}

/// The usual window over one channel: each place of `line` becomes the bytes of three rows, exclusive-or `flip`. The compiler makes
/// stores of whole registers of it.
fn interleave(rows: &[u8], flip: u8, line: &mut [u8]) {
    let (first, rows) = rows.split_at(rows.len() / 3);
    let (second, third) = rows.split_at(rows.len() / 2);
    for (((place, first), second), third) in line.as_chunks_mut().0.iter_mut().zip(first).zip(second).zip(third) {
        *place = [first ^ flip, second ^ flip, third ^ flip];
    }
}
