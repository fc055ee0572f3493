//! Max-pools over maps as they lie in working memory.

use std::ops::Range;

use crate::layer::{MaxPool, Shape, Window};
use crate::map::Layout;

/// Pools the rows `rows` of the output. `from`: a map without a border. `into`: those rows of the output map, border left and
/// right included, where each byte becomes exclusive-or `flip`. `line`: a row of `from`, for what lies between.
pub fn rows(
    pool: &MaxPool,
    from: (Shape, &[u8]),
    into: (&Layout, &mut [u8]),
    rows: Range<usize>,
    rest: (u8, &mut [u8]),
) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has it.
        return unsafe { with_avx2(pool, from, into, rows, rest) };
    }
    each_row(pool, from, into, rows, rest);
}

/// The same, compiled for longer registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2(
    pool: &MaxPool,
    from: (Shape, &[u8]),
    into: (&Layout, &mut [u8]),
    rows: Range<usize>,
    rest: (u8, &mut [u8]),
) {
    each_row(pool, from, into, rows, rest);
}

#[inline(always)]
fn each_row(
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
        let places = &mut output[layout.before[1] * channels..][..layout.shape.width * channels];
        if by_registers(&pool.window, shape, from, row, places, flip) {
            continue;
        }
        largest(line, from, span(row, 0, shape.height).map(|row| row * length), 0);
        for (column, place) in places.chunks_exact_mut(channels).enumerate() {
            let columns = span(column, 1, shape.width);
            largest(place, line, columns.map(|column| column * channels), flip);
        }
    }
}

/// A row of the usual window, 3x3 with stride 2, by registers; neighbours share a column. Does nothing and returns false if the window
/// is another one or the channels are not whole registers.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn by_registers(window: &Window, shape: Shape, from: &[u8], row: usize, into: &mut [u8], flip: u8) -> bool {
    use std::arch::aarch64::*;

    const LANES: usize = 16;
    let Shape { channels, height, width } = shape;
    let places = into.len() / channels;
    let usual = window.kernel == [3, 3] && window.stride == [2, 2] && window.before == [0, 0];
    if !usual || !channels.is_multiple_of(LANES) || 2 * row >= height || 2 * places > width + 1 || places == 0 {
        return false;
    }
    // Beyond the map, its last row counts once more, and so does its last column.
    let rows = [0, 1, 2].map(|inner| &from[(2 * row + inner).min(height - 1) * width * channels..][..width * channels]);
    // Places whose window ends within the map: all, or all but the last.
    let whole = places.min((width - 1) / 2);
    for channel in (0..channels).step_by(LANES) {
        // SAFETY: sixteen bytes of a column of each row, and of each place; every AArch64 has NEON.
        unsafe {
            let column = |at: usize| {
                let [first, second, third] = rows.map(|row| vld1q_u8(row.as_ptr().add(at)));
                vmaxq_u8(vmaxq_u8(first, second), third)
            };
            let (mut left, mut at, mut place) = (column(channel), channel, into.as_mut_ptr().add(channel));
            for _ in 0..whole {
                let (middle, right) = (column(at + channels), column(at + 2 * channels));
                vst1q_u8(place, veorq_u8(vmaxq_u8(vmaxq_u8(left, middle), right), vdupq_n_u8(flip)));
                (left, at, place) = (right, at + 2 * channels, place.wrapping_add(channels));
            }
            if whole < places {
                let largest = vmaxq_u8(left, column((width - 1) * channels + channel));
                vst1q_u8(place, veorq_u8(largest, vdupq_n_u8(flip)));
            }
        }
    }
    true
}

/// Other instruction sets: the compiler's own loops do.
#[cfg(not(target_arch = "aarch64"))]
#[inline(always)]
fn by_registers(_: &Window, _: Shape, _: &[u8], _: usize, _: &mut [u8], _: u8) -> bool {
    false
}

/// Each byte becomes the largest of those of the runs that begin at `starts`, 0 where there are none, exclusive-or `flip`.
#[inline(always)]
fn largest(into: &mut [u8], from: &[u8], mut starts: impl Iterator<Item = usize>, flip: u8) {
    let length = into.len();
    let mut run = || starts.next().map(|start| &from[start..][..length]);
    let Some(first) = run() else {
        into.fill(flip);
        return;
    };
    // The usual windows, at most three wide, in one pass.
    let second = run().unwrap_or(first);
    let third = run().unwrap_or(second);
    for (((into, first), second), third) in into.iter_mut().zip(first).zip(second).zip(third) {
        *into = *first.max(second).max(third) ^ flip;
    }
    while let Some(other) = run() {
        for (into, other) in into.iter_mut().zip(other) {
            *into = (*into ^ flip).max(*other) ^ flip;
        }
    }
}
