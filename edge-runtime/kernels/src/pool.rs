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
        largest(line, from, span(row, 0, shape.height).map(|row| row * length), 0);
        for column in 0..layout.shape.width {
            let place = &mut output[(layout.before[1] + column) * channels..][..channels];
            let columns = span(column, 1, shape.width);
            if columns.len() == 3 && largest_of_three(place, &line[columns.start * channels..][..3 * channels], flip) {
                continue;
            }
            largest(place, line, columns.map(|column| column * channels), flip);
        }
    }
}

/// The usual window by registers: each byte becomes the largest of those of three places that follow each other. Does nothing
/// and returns false if the channels are not whole registers.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn largest_of_three(into: &mut [u8], from: &[u8], flip: u8) -> bool {
    use std::arch::aarch64::*;

    let channels = into.len();
    if !channels.is_multiple_of(16) || from.len() != 3 * channels {
        return false;
    }
    for channel in (0..channels).step_by(16) {
        // SAFETY: sixteen bytes of each of the three places and of the output; every AArch64 has NEON.
        unsafe {
            let load = |place: usize| vld1q_u8(from.as_ptr().add(place * channels + channel));
            let largest = vmaxq_u8(vmaxq_u8(load(0), load(1)), load(2));
            vst1q_u8(into.as_mut_ptr().add(channel), veorq_u8(largest, vdupq_n_u8(flip)));
        }
    }
    true
}

/// Other instruction sets: the compiler's own loops do.
#[cfg(not(target_arch = "aarch64"))]
#[inline(always)]
fn largest_of_three(_: &mut [u8], _: &[u8], _: u8) -> bool {
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
