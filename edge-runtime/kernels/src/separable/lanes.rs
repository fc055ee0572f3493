//! Several floats at once, on each instruction set.

/// A register of floats, or as many registers as [`Lanes::WIDTH`] takes.
pub trait Lanes: Copy {
    /// The number of floats.
    const WIDTH: usize;

    /// Returns the same float in every lane.
    fn splat(value: f32) -> Self;

    /// Returns the floats from `at` on.
    ///
    /// # Safety
    /// The slice has them.
    unsafe fn load(from: &[f32], at: usize) -> Self;

    /// Writes the floats from `at` on.
    ///
    /// # Safety
    /// The slice has them.
    unsafe fn store(self, to: &mut [f32], at: usize);

    /// Returns `self * factor + sum`, rounded once.
    fn times_plus(self, factor: Self, sum: Self) -> Self;

    /// Returns `self + other`.
    fn plus(self, other: Self) -> Self;

    /// Returns the lanes above zero, and zero for the others, NaN included.
    fn positive(self) -> Self;
}

/// An array; compilers find what the target has.
#[derive(Clone, Copy)]
pub struct Portable([f32; 8]);

impl Lanes for Portable {
    const WIDTH: usize = 8;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Portable([value; 8])
    }

    #[inline(always)]
    unsafe fn load(from: &[f32], at: usize) -> Self {
        Portable(std::array::from_fn(|lane| from[at + lane]))
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [f32], at: usize) {
        to[at..at + 8].copy_from_slice(&self.0);
    }

    #[inline(always)]
    fn times_plus(self, factor: Self, sum: Self) -> Self {
        Portable(std::array::from_fn(|lane| self.0[lane].mul_add(factor.0[lane], sum.0[lane])))
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Portable(std::array::from_fn(|lane| self.0[lane] + other.0[lane]))
    }

    #[inline(always)]
    fn positive(self) -> Self {
        Portable(self.0.map(|value| if value > 0.0 { value } else { 0.0 }))
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Lanes;

    /// A register of AVX2. Made and used only inside functions that have AVX2 and FMA switched on.
    #[derive(Clone, Copy)]
    pub struct Avx2(__m256);

    impl Lanes for Avx2 {
        const WIDTH: usize = 8;

        #[inline(always)]
        fn splat(value: f32) -> Self {
            // SAFETY: callers have AVX2 (see the type).
            Avx2(unsafe { _mm256_set1_ps(value) })
        }

        #[inline(always)]
        unsafe fn load(from: &[f32], at: usize) -> Self {
            // SAFETY: callers have AVX2, and the slice the floats.
            Avx2(unsafe { _mm256_loadu_ps(from.as_ptr().add(at)) })
        }

        #[inline(always)]
        unsafe fn store(self, to: &mut [f32], at: usize) {
            // SAFETY: callers have AVX2, and the slice the floats.
            unsafe { _mm256_storeu_ps(to.as_mut_ptr().add(at), self.0) }
        }

        #[inline(always)]
        fn times_plus(self, factor: Self, sum: Self) -> Self {
            // SAFETY: callers have FMA.
            Avx2(unsafe { _mm256_fmadd_ps(self.0, factor.0, sum.0) })
        }

        #[inline(always)]
        fn plus(self, other: Self) -> Self {
            // SAFETY: callers have AVX2.
            Avx2(unsafe { _mm256_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn positive(self) -> Self {
            // SAFETY: callers have AVX2. Of NaN and zero, the instruction gives the second.
            Avx2(unsafe { _mm256_max_ps(self.0, _mm256_setzero_ps()) })
        }
    }

    /// A register of AVX-512. Made and used only inside functions that have AVX-512F switched on.
    #[derive(Clone, Copy)]
    pub struct Avx512(__m512);

    impl Lanes for Avx512 {
        const WIDTH: usize = 16;

        #[inline(always)]
        fn splat(value: f32) -> Self {
            // SAFETY: callers have AVX-512F (see the type).
            Avx512(unsafe { _mm512_set1_ps(value) })
        }

        #[inline(always)]
        unsafe fn load(from: &[f32], at: usize) -> Self {
            // SAFETY: callers have AVX-512F, and the slice the floats.
            Avx512(unsafe { _mm512_loadu_ps(from.as_ptr().add(at)) })
        }

        #[inline(always)]
        unsafe fn store(self, to: &mut [f32], at: usize) {
            // SAFETY: callers have AVX-512F, and the slice the floats.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr().add(at), self.0) }
        }

        #[inline(always)]
        fn times_plus(self, factor: Self, sum: Self) -> Self {
            // SAFETY: callers have AVX-512F.
            Avx512(unsafe { _mm512_fmadd_ps(self.0, factor.0, sum.0) })
        }

        #[inline(always)]
        fn plus(self, other: Self) -> Self {
            // SAFETY: callers have AVX-512F.
            Avx512(unsafe { _mm512_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn positive(self) -> Self {
            // SAFETY: callers have AVX-512F. Of NaN and zero, the instruction gives the second.
            Avx512(unsafe { _mm512_max_ps(self.0, _mm512_setzero_ps()) })
        }
    }
}

#[cfg(target_arch = "aarch64")]
pub use arm::Neon;

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::*;

    use super::Lanes;

    /// Two registers of NEON, which every aarch64 has.
    #[derive(Clone, Copy)]
    pub struct Neon(float32x4_t, float32x4_t);

    impl Lanes for Neon {
        const WIDTH: usize = 8;

        #[inline(always)]
        fn splat(value: f32) -> Self {
            // SAFETY: every aarch64 has NEON.
            unsafe { Neon(vdupq_n_f32(value), vdupq_n_f32(value)) }
        }

        #[inline(always)]
        unsafe fn load(from: &[f32], at: usize) -> Self {
            // SAFETY: the slice has the floats.
            unsafe {
                let from = from.as_ptr().add(at);
                Neon(vld1q_f32(from), vld1q_f32(from.add(4)))
            }
        }

        #[inline(always)]
        unsafe fn store(self, to: &mut [f32], at: usize) {
            // SAFETY: the slice has the floats.
            unsafe {
                let to = to.as_mut_ptr().add(at);
                vst1q_f32(to, self.0);
                vst1q_f32(to.add(4), self.1);
            }
        }

        #[inline(always)]
        fn times_plus(self, factor: Self, sum: Self) -> Self {
            // SAFETY: every aarch64 has NEON.
            unsafe { Neon(vfmaq_f32(sum.0, self.0, factor.0), vfmaq_f32(sum.1, self.1, factor.1)) }
        }

        #[inline(always)]
        fn plus(self, other: Self) -> Self {
            // SAFETY: every aarch64 has NEON.
            unsafe { Neon(vaddq_f32(self.0, other.0), vaddq_f32(self.1, other.1)) }
        }

        #[inline(always)]
        fn positive(self) -> Self {
            // SAFETY: every aarch64 has NEON. Of NaN and zero, the instruction gives zero.
            unsafe {
                let zero = vdupq_n_f32(0.0);
                Neon(vmaxnmq_f32(self.0, zero), vmaxnmq_f32(self.1, zero))
            }
        }
    }
}
