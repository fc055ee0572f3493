//! Pointwise convolutions on NEON.

use std::arch::aarch64::*;
use std::arch::asm;

use super::BLOCK;
use super::block::Block;

/// Registers of a block.
const REGISTERS: usize = BLOCK / 4;
/// Input channels that one load brings.
const CHANNELS: usize = 4;
/// Places that the assembly computes at once.
const PLACES: usize = 4;

/// Six registers of four floats.
#[derive(Clone, Copy)]
pub struct NeonBlock([float32x4_t; REGISTERS]);

impl Block for NeonBlock {
    #[inline(always)]
    unsafe fn load(from: &[f32], at: usize) -> Self {
        // SAFETY: the caller's.
        NeonBlock(std::array::from_fn(|register| unsafe { vld1q_f32(from.as_ptr().add(at + 4 * register)) }))
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [f32], at: usize) {
        for (register, lanes) in self.0.into_iter().enumerate() {
            // SAFETY: the caller's.
            unsafe { vst1q_f32(to.as_mut_ptr().add(at + 4 * register), lanes) }
        }
    }

    #[inline(always)]
    fn plus_scaled(self, value: f32, weights: Self) -> Self {
        // SAFETY: every aarch64 has NEON.
        NeonBlock(std::array::from_fn(|at| unsafe { vfmaq_n_f32(self.0[at], weights.0[at], value) }))
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        // SAFETY: every aarch64 has NEON.
        NeonBlock(std::array::from_fn(|at| unsafe { vaddq_f32(self.0[at], other.0[at]) }))
    }

    #[inline(always)]
    fn positive(self) -> Self {
        // SAFETY: every aarch64 has NEON. Of NaN and zero, the instruction gives zero.
        NeonBlock(self.0.map(|lanes| unsafe { vmaxnmq_f32(lanes, vdupq_n_f32(0.0)) }))
    }

    #[inline(always)]
    unsafe fn products<const N: usize>(sums: &mut [Self; N], inputs: &[&[f32]; N], weights: &[f32]) -> usize {
        let whole = weights.len() / BLOCK / CHANNELS;
        let (Ok(sums), Ok(inputs)) = (<&mut [Self; PLACES]>::try_from(&mut sums[..]), inputs[..].try_into()) else {
            return 0;
        };
        if whole == 0 {
            return 0;
        }
        // SAFETY: the caller's.
        unsafe { four_places(sums, inputs, weights.as_ptr(), whole) };
        whole * CHANNELS
    }
}

/// The instructions that multiply input channel `$channel` of four by its weights.
macro_rules! channel {
    ($channel:literal: $($value:literal $a:literal $b:literal $c:literal $d:literal $e:literal $f:literal)*) => {
        concat!(
            "ldp {even:q}, {odd:q}, [{weights}], #32\n",
            $("fmla {", $a, ":v}.4s, {even:v}.4s, {", $value, ":v}.s[", $channel, "]\n",)*
            $("fmla {", $b, ":v}.4s, {odd:v}.4s, {", $value, ":v}.s[", $channel, "]\n",)*
            "ldp {even:q}, {odd:q}, [{weights}], #32\n",
            $("fmla {", $c, ":v}.4s, {even:v}.4s, {", $value, ":v}.s[", $channel, "]\n",)*
            $("fmla {", $d, ":v}.4s, {odd:v}.4s, {", $value, ":v}.s[", $channel, "]\n",)*
            "ldp {even:q}, {odd:q}, [{weights}], #32\n",
            $("fmla {", $e, ":v}.4s, {even:v}.4s, {", $value, ":v}.s[", $channel, "]\n",)*
            $("fmla {", $f, ":v}.4s, {odd:v}.4s, {", $value, ":v}.s[", $channel, "]\n",)*
        )
    };
    ($channel:literal) => {
        channel!($channel:
            "v0" "a0" "b0" "c0" "d0" "e0" "f0"
            "v1" "a1" "b1" "c1" "d1" "e1" "f1"
            "v2" "a2" "b2" "c2" "d2" "e2" "f2"
            "v3" "a3" "b3" "c3" "d3" "e3" "f3"
        )
    };
}

/// Adds the products of `whole` times four input channels of four places, in their order.
///
/// Inline assembly: the compiler would spill some of the 24 sums.
///
/// # Safety
/// The inputs have the channels, there are weights for them, and `whole` is not 0.
#[inline(always)]
unsafe fn four_places(sums: &mut [NeonBlock; PLACES], inputs: [&[f32]; PLACES], weights: *const f32, whole: usize) {
    let [NeonBlock(s0), NeonBlock(s1), NeonBlock(s2), NeonBlock(s3)] = sums;
    // SAFETY: the caller's: it reads the inputs and the weights.
    unsafe {
        asm!(
            "2:",
            "ldr {v0:q}, [{p0}], #16",
            "ldr {v1:q}, [{p1}], #16",
            "ldr {v2:q}, [{p2}], #16",
            "ldr {v3:q}, [{p3}], #16",
            channel!(0),
            channel!(1),
            channel!(2),
            channel!(3),
            "subs {left}, {left}, #1",
            "b.ne 2b",
            p0 = inout(reg) inputs[0].as_ptr() => _,
            p1 = inout(reg) inputs[1].as_ptr() => _,
            p2 = inout(reg) inputs[2].as_ptr() => _,
            p3 = inout(reg) inputs[3].as_ptr() => _,
            weights = inout(reg) weights => _,
            left = inout(reg) whole => _,
            v0 = out(vreg) _, v1 = out(vreg) _, v2 = out(vreg) _, v3 = out(vreg) _,
            even = out(vreg) _, odd = out(vreg) _,
            a0 = inout(vreg) s0[0], b0 = inout(vreg) s0[1], c0 = inout(vreg) s0[2],
            d0 = inout(vreg) s0[3], e0 = inout(vreg) s0[4], f0 = inout(vreg) s0[5],
            a1 = inout(vreg) s1[0], b1 = inout(vreg) s1[1], c1 = inout(vreg) s1[2],
            d1 = inout(vreg) s1[3], e1 = inout(vreg) s1[4], f1 = inout(vreg) s1[5],
            a2 = inout(vreg) s2[0], b2 = inout(vreg) s2[1], c2 = inout(vreg) s2[2],
            d2 = inout(vreg) s2[3], e2 = inout(vreg) s2[4], f2 = inout(vreg) s2[5],
            a3 = inout(vreg) s3[0], b3 = inout(vreg) s3[1], c3 = inout(vreg) s3[2],
            d3 = inout(vreg) s3[3], e3 = inout(vreg) s3[4], f3 = inout(vreg) s3[5],
            options(readonly, nostack),
        );
    }
}
