//! Rows of separable convolutions, on each instruction set. The bodies are one; the instruction sets differ in their lanes.

use super::lanes::{Lanes, Portable};
use super::{BLOCK, LANES, Map, Pointwise};

/// Places that a pointwise convolution computes at once.
const PLACES: usize = 4;

type Depthwise = fn([&[f32]; 3], &[f32], usize, usize, &mut [f32]);

/// An instruction set for separable convolutions.
#[derive(Clone, Copy)]
pub struct Kernel {
    name: &'static str,
    depthwise: Depthwise,
    pointwise: fn(&[f32], &Pointwise, &mut [f32]),
}

impl Kernel {
    /// Name of the instruction set.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Three rows of places, from the first place of the first window on, become `out`: a place for each `stride` places.
    pub(super) fn depthwise(
        &self,
        rows: [&[f32]; 3],
        filters: &[f32],
        channels: usize,
        stride: usize,
        out: &mut [f32],
    ) {
        let places = out.len() / channels;
        let needed = (stride * places.saturating_sub(1) + 3) * channels;
        assert!(rows.iter().all(|row| row.len() >= needed) && filters.len() == 9 * channels, "a depthwise row");
        assert!(channels.is_multiple_of(LANES) && out.len() == places * channels, "a depthwise row's channels");
        (self.depthwise)(rows, filters, channels, stride, out);
    }

    /// Places of `input` become places of `out`.
    pub(super) fn pointwise(&self, input: &[f32], layer: &Pointwise, out: &mut [f32]) {
        let places = input.len() / layer.from;
        assert!(input.len() == places * layer.from && out.len() == places * layer.stored(), "a pointwise row");
        (self.pointwise)(input, layer, out);
    }
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The kernels that this processor runs, best first. The last is the portable one, which is slow where the processor has no
/// fused multiply-add.
pub fn kernels() -> Vec<Kernel> {
    let mut kernels = Vec::new();
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        kernels.push(Kernel {
            name: "avx2-fma",
            // SAFETY: the processor has the instructions.
            depthwise: |rows, filters, channels, stride, out| unsafe {
                avx2::depthwise(rows, filters, channels, stride, out)
            },
            // SAFETY: as above.
            pointwise: |input, layer, out| unsafe { avx2::pointwise(input, layer, out) },
        });
    }
    #[cfg(target_arch = "aarch64")]
    kernels.push(Kernel {
        name: "neon",
        depthwise: depthwise::<super::lanes::Neon>,
        pointwise: pointwise::<super::lanes::Neon>,
    });
    kernels.push(Kernel { name: "portable", depthwise: depthwise::<Portable>, pointwise: pointwise::<Portable> });
    kernels
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::super::lanes::Avx2;
    use super::Pointwise;

    /// # Safety
    /// The processor has AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn depthwise(rows: [&[f32]; 3], filters: &[f32], channels: usize, stride: usize, out: &mut [f32]) {
        super::depthwise::<Avx2>(rows, filters, channels, stride, out);
    }

    /// # Safety
    /// The processor has AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn pointwise(input: &[f32], layer: &Pointwise, out: &mut [f32]) {
        super::pointwise::<Avx2>(input, layer, out);
    }
}

#[inline(always)]
fn depthwise<L: Lanes>(rows: [&[f32]; 3], filters: &[f32], channels: usize, stride: usize, out: &mut [f32]) {
    let places = out.len() / channels;
    for first in (0..channels).step_by(LANES) {
        let filter: [L; 9] = std::array::from_fn(|tap| L::load(&filters[tap * channels + first..]));
        // Two places at once: the sums of one wait for each other, those of two do not.
        for place in (0..places).step_by(2) {
            let at = stride * place * channels + first;
            if place + 1 < places {
                let next = at + stride * channels;
                let (mut sum, mut other) = (L::zero(), L::zero());
                for (row, filter) in rows.iter().zip(filter.chunks_exact(3)) {
                    for (column, filter) in filter.iter().enumerate() {
                        // SAFETY: `Kernel::depthwise` found the rows to be long enough for every place.
                        unsafe {
                            sum = L::load_at(row, at + column * channels).times_plus(*filter, sum);
                            other = L::load_at(row, next + column * channels).times_plus(*filter, other);
                        }
                    }
                }
                sum.store(&mut out[place * channels + first..]);
                other.store(&mut out[(place + 1) * channels + first..]);
            } else {
                let mut sum = L::zero();
                for (row, filter) in rows.iter().zip(filter.chunks_exact(3)) {
                    for (column, filter) in filter.iter().enumerate() {
                        // SAFETY: as above.
                        sum = unsafe { L::load_at(row, at + column * channels) }.times_plus(*filter, sum);
                    }
                }
                sum.store(&mut out[place * channels + first..]);
            }
        }
    }
}

#[inline(always)]
fn pointwise<L: Lanes>(input: &[f32], layer: &Pointwise, out: &mut [f32]) {
    let stored = layer.stored();
    let (whole, rest) = (PLACES * layer.from, PLACES * stored);
    let mut inputs = input.chunks_exact(whole);
    let mut outs = out.chunks_exact_mut(rest);
    for (input, out) in inputs.by_ref().zip(outs.by_ref()) {
        places::<L, PLACES>(input, layer, out);
    }
    let left = inputs.remainder().chunks_exact(layer.from);
    for (input, out) in left.zip(outs.into_remainder().chunks_exact_mut(stored)) {
        places::<L, 1>(input, layer, out);
    }
}

#[inline(always)]
fn places<L: Lanes, const N: usize>(input: &[f32], layer: &Pointwise, out: &mut [f32]) {
    const REGISTERS: usize = BLOCK / LANES;
    let (from, stored) = (layer.from, layer.stored());
    let inputs: [&[f32]; N] = std::array::from_fn(|place| &input[place * from..(place + 1) * from]);
    let blocks = layer.weight.chunks_exact(from * BLOCK).zip(layer.bias.chunks_exact(BLOCK));
    for (block, (weights, bias)) in blocks.enumerate() {
        let bias: [L; REGISTERS] = std::array::from_fn(|register| L::load(&bias[register * LANES..]));
        let mut sums = [bias; N];
        for (step, weights) in weights.chunks_exact(BLOCK).enumerate() {
            let weights: [L; REGISTERS] = std::array::from_fn(|register| L::load(&weights[register * LANES..]));
            for (sums, input) in sums.iter_mut().zip(&inputs) {
                // SAFETY: there are as many steps as input channels.
                let value = L::splat(unsafe { *input.get_unchecked(step) });
                for (sum, weight) in sums.iter_mut().zip(&weights) {
                    *sum = value.times_plus(*weight, *sum);
                }
            }
        }
        // Without it, sums are stored in memory at every step.
        let sums = std::hint::black_box(sums);
        for (place, sums) in sums.iter().enumerate() {
            for (register, sum) in sums.iter().enumerate() {
                sum.store(&mut out[place * stored + block * BLOCK + register * LANES..]);
            }
        }
    }
}

/// Adds to `out`, row `y` of `stored` floats a place, the input there; with stride 2, the largest of each two by two places.
pub(super) fn add(input: &Map, y: usize, stride: usize, out: &mut [f32], stored: usize) {
    let channels = input.channels();
    if stride == 1 {
        for (out, place) in out.chunks_exact_mut(stored).zip(input.row(y).chunks_exact(channels)) {
            out.iter_mut().zip(place).for_each(|(out, value)| *out += value);
        }
        return;
    }
    let rows = input.row(2 * y).chunks_exact(2 * channels).zip(input.row(2 * y + 1).chunks_exact(2 * channels));
    for (out, (upper, lower)) in out.chunks_exact_mut(stored).zip(rows) {
        let (a, b) = upper.split_at(channels);
        let (c, d) = lower.split_at(channels);
        for ((out, (a, b)), (c, d)) in out.iter_mut().zip(a.iter().zip(b)).zip(c.iter().zip(d)) {
            *out += a.max(*b).max(c.max(*d));
        }
    }
}

/// Negative floats become zero.
pub(super) fn relu(row: &mut [f32]) {
    row.iter_mut().for_each(|value| *value = if *value > 0.0 { *value } else { 0.0 });
}
