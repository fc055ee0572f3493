//! Rows of separable convolutions, on each instruction set. The bodies are one; the instruction sets differ in their registers.
//!
//! What runs in the loops is functions that are always inlined, not closures: those are compiled without the instruction set.

use super::block::Block;
use super::lanes::{Lanes, Portable};
use super::{BLOCK, LANES, Map, Pointwise};

/// Steps of a pointwise convolution that its loop takes at once.
const STEPS: usize = 4;

/// What becomes of the sums of a pointwise convolution.
#[derive(Clone, Copy)]
pub enum Finish<'a> {
    /// They are the output.
    Plain,
    /// Negative ones become zero.
    Relu,
    /// Floats at the same places as the output are added, then negative sums become zero.
    AddRelu(&'a [f32]),
}

type Depthwise = fn([&[f32]; 3], &[f32], usize, usize, &mut [f32]);

/// An instruction set for separable convolutions.
#[derive(Clone, Copy)]
pub struct Kernel {
    name: &'static str,
    depthwise: Depthwise,
    pointwise: fn(&[f32], &Pointwise, Finish<'_>, &mut [f32]),
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
    pub(super) fn pointwise(&self, input: &[f32], layer: &Pointwise, finish: Finish<'_>, out: &mut [f32]) {
        let places = input.len() / layer.from;
        assert!(input.len() == places * layer.from && out.len() == places * layer.stored(), "a pointwise row");
        if let Finish::AddRelu(skip) = finish {
            assert!(skip.len() == out.len(), "a skipped row");
        }
        (self.pointwise)(input, layer, finish, out);
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
        if is_x86_feature_detected!("avx512f") {
            kernels.push(Kernel {
                name: "avx512",
                // SAFETY: the processor has the instructions.
                depthwise: |rows, filters, channels, stride, out| unsafe {
                    x86::depthwise_avx512(rows, filters, channels, stride, out)
                },
                // SAFETY: as above.
                pointwise: |input, layer, finish, out| unsafe { x86::pointwise_avx512(input, layer, finish, out) },
            });
        }
        kernels.push(Kernel {
            name: "avx2-fma",
            // SAFETY: the processor has the instructions.
            depthwise: |rows, filters, channels, stride, out| unsafe {
                x86::depthwise_avx2(rows, filters, channels, stride, out)
            },
            // SAFETY: as above.
            pointwise: |input, layer, finish, out| unsafe { x86::pointwise_avx2(input, layer, finish, out) },
        });
    }
    #[cfg(target_arch = "aarch64")]
    kernels.push(Kernel {
        name: "neon",
        depthwise: depthwise::<super::lanes::Neon, super::lanes::Neon>,
        pointwise: pointwise::<super::neon::NeonBlock, 4>,
    });
    kernels.push(Kernel {
        name: "portable",
        depthwise: depthwise::<Portable, Portable>,
        pointwise: pointwise::<[Portable; 3], 4>,
    });
    kernels
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::lanes::{Avx2, Avx512};
    use super::{Finish, Pointwise};

    /// # Safety
    /// The processor has AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn depthwise_avx2(rows: [&[f32]; 3], filters: &[f32], channels: usize, stride: usize, out: &mut [f32]) {
        super::depthwise::<Avx2, Avx2>(rows, filters, channels, stride, out);
    }

    /// # Safety
    /// The processor has AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn pointwise_avx2(input: &[f32], layer: &Pointwise, finish: Finish<'_>, out: &mut [f32]) {
        super::pointwise::<[Avx2; 3], 4>(input, layer, finish, out);
    }

    /// # Safety
    /// The processor has AVX-512F, AVX2 and FMA.
    #[target_feature(enable = "avx512f,avx2,fma")]
    pub unsafe fn depthwise_avx512(
        rows: [&[f32]; 3],
        filters: &[f32],
        channels: usize,
        stride: usize,
        out: &mut [f32],
    ) {
        super::depthwise::<Avx512, Avx2>(rows, filters, channels, stride, out);
    }

    /// # Safety
    /// The processor has AVX-512F, AVX2 and FMA.
    #[target_feature(enable = "avx512f,avx2,fma")]
    pub unsafe fn pointwise_avx512(input: &[f32], layer: &Pointwise, finish: Finish<'_>, out: &mut [f32]) {
        super::pointwise::<(Avx512, Avx2), 8>(input, layer, finish, out);
    }
}

/// Takes as many channels at once as `Wide` has lanes, and the rest with `Narrow`, which has [`LANES`].
#[inline(always)]
fn depthwise<Wide: Lanes, Narrow: Lanes>(
    rows: [&[f32]; 3],
    filters: &[f32],
    channels: usize,
    stride: usize,
    out: &mut [f32],
) {
    match stride {
        1 => strips::<Wide, Narrow, 1>(rows, filters, channels, out),
        _ => strips::<Wide, Narrow, 2>(rows, filters, channels, out),
    }
}

#[inline(always)]
fn strips<Wide: Lanes, Narrow: Lanes, const STRIDE: usize>(
    rows: [&[f32]; 3],
    filters: &[f32],
    channels: usize,
    out: &mut [f32],
) {
    let mut first = 0;
    while first + Wide::WIDTH <= channels {
        strip::<Wide, STRIDE>(rows, filters, channels, first, out);
        first += Wide::WIDTH;
    }
    while first < channels {
        strip::<Narrow, STRIDE>(rows, filters, channels, first, out);
        first += Narrow::WIDTH;
    }
}

/// The channels from `first` on, as many as `L` has lanes.
#[inline(always)]
fn strip<L: Lanes, const STRIDE: usize>(
    rows: [&[f32]; 3],
    filters: &[f32],
    channels: usize,
    first: usize,
    out: &mut [f32],
) {
    let places = out.len() / channels;
    let mut filter = [L::splat(0.0); 9];
    for (tap, filter) in filter.iter_mut().enumerate() {
        // SAFETY: there is a filter of all channels for each of the nine taps.
        *filter = unsafe { L::load(filters, tap * channels + first) };
    }
    let at = |place: usize| STRIDE * place * channels + first;
    let mut place = 0;
    // Two places at once: the sums of one wait for each other, those of two do not, and their windows share columns.
    while place + 2 <= places {
        // SAFETY: `Kernel::depthwise` found the rows to be long enough for every place, and `out` has their channels.
        unsafe {
            let [here, next] = windows::<L, STRIDE, 2>(rows, &filter, at(place), channels);
            here.store(out, place * channels + first);
            next.store(out, (place + 1) * channels + first);
        }
        place += 2;
    }
    if place < places {
        // SAFETY: as above.
        unsafe {
            let [sum] = windows::<L, STRIDE, 1>(rows, &filter, at(place), channels);
            sum.store(out, place * channels + first);
        }
    }
}

/// The sums over `N` windows, the first of which begins at `at` in each row. Each sum takes its taps in the same order.
///
/// # Safety
/// The rows have three places of `channels` for each window, the last at least as many channels as `L` has lanes.
#[inline(always)]
unsafe fn windows<L: Lanes, const STRIDE: usize, const N: usize>(
    rows: [&[f32]; 3],
    filter: &[L; 9],
    at: usize,
    channels: usize,
) -> [L; N] {
    let mut sums = [L::splat(0.0); N];
    for (row, filter) in rows.into_iter().zip(filter.as_chunks::<3>().0) {
        for column in 0..STRIDE * (N - 1) + 3 {
            // SAFETY: the caller's.
            let value = unsafe { L::load(row, at + column * channels) };
            for (window, sum) in sums.iter_mut().enumerate() {
                if (STRIDE * window..STRIDE * window + 3).contains(&column) {
                    *sum = value.times_plus(filter[column - STRIDE * window], *sum);
                }
            }
        }
    }
    sums
}

/// `N` places are computed at once.
#[inline(always)]
fn pointwise<B: Block, const N: usize>(input: &[f32], layer: &Pointwise, finish: Finish<'_>, out: &mut [f32]) {
    let places = input.len() / layer.from;
    let mut place = 0;
    while place + N <= places {
        tile::<B, N>(input, layer, finish, place, out);
        place += N;
    }
    while place < places {
        tile::<B, 1>(input, layer, finish, place, out);
        place += 1;
    }
}

/// `N` places from `place` on.
#[inline(always)]
fn tile<B: Block, const N: usize>(input: &[f32], layer: &Pointwise, finish: Finish<'_>, place: usize, out: &mut [f32]) {
    let (from, stored) = (layer.from, layer.stored());
    let inputs: [&[f32]; N] = std::array::from_fn(|at| &input[(place + at) * from..][..from]);
    for (block, weights) in layer.weight.chunks_exact(from * BLOCK).enumerate() {
        // SAFETY: there is a bias for each channel of each block.
        let mut sums = [unsafe { B::load(&layer.bias, block * BLOCK) }; N];
        // SAFETY: there are weights for each of the input's channels.
        let done = unsafe { B::products(&mut sums, &inputs, weights) };
        let whole = from / STEPS * STEPS;
        for first in (done..whole).step_by(STEPS) {
            for input in first..first + STEPS {
                // SAFETY: there are as many steps as input channels, with a weight for each channel of the block.
                unsafe { step(&mut sums, &inputs, weights, input) }
            }
        }
        for input in whole..from {
            // SAFETY: as above.
            unsafe { step(&mut sums, &inputs, weights, input) }
        }
        for (at, sum) in sums.into_iter().enumerate() {
            let to = (place + at) * stored + block * BLOCK;
            let sum = match finish {
                Finish::Plain => sum,
                Finish::Relu => sum.positive(),
                // SAFETY: `Kernel::pointwise` found it to be as long as `out`.
                Finish::AddRelu(skip) => sum.plus(unsafe { B::load(skip, to) }).positive(),
            };
            // SAFETY: `Kernel::pointwise` found `out` to hold every place.
            unsafe { sum.store(out, to) }
        }
    }
}

/// Adds the products of one input channel.
///
/// # Safety
/// Every input has the channel, and there are weights for it.
#[inline(always)]
unsafe fn step<B: Block, const N: usize>(sums: &mut [B; N], inputs: &[&[f32]; N], weights: &[f32], channel: usize) {
    // SAFETY: the caller's.
    let weights = unsafe { B::load(weights, channel * BLOCK) };
    for (sum, input) in sums.iter_mut().zip(inputs) {
        // SAFETY: the caller's.
        *sum = sum.plus_scaled(unsafe { *input.get_unchecked(channel) }, weights);
    }
}

/// Writes what a separable convolution adds to row `y` of its output to `out`, `stored` floats a place: the input there, or with
/// stride 2 the largest of each two by two places; zeros for channels that the input lacks.
pub(super) fn skip(input: &Map, y: usize, stride: usize, out: &mut [f32], stored: usize) {
    let channels = input.channels();
    let upper = input.row(stride * y).chunks_exact(stride * channels);
    let lower = input.row(stride * y + stride - 1).chunks_exact(stride * channels);
    for (out, (upper, lower)) in out.chunks_exact_mut(stored).zip(upper.zip(lower)) {
        let (a, b) = (&upper[..channels], &upper[(stride - 1) * channels..]);
        let (c, d) = (&lower[..channels], &lower[(stride - 1) * channels..]);
        for ((out, (a, b)), (c, d)) in out.iter_mut().zip(a.iter().zip(b)).zip(c.iter().zip(d)) {
            *out = a.max(*b).max(c.max(*d));
        }
        out[channels..].fill(0.0);
    }
}
