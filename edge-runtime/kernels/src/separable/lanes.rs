//! Eight floats at once, on each instruction set.

use super::LANES;

/// Eight floats.
pub trait Lanes: Copy {
    /// All zero.
    fn zero() -> Self;
    /// The same float eight times.
    fn splat(value: f32) -> Self;
    /// The first eight floats of a slice that has as many.
    fn load(from: &[f32]) -> Self;
    /// Eight floats from `at` on.
    ///
    /// # Safety
    /// The slice has them.
    #[inline(always)]
    unsafe fn load_at(from: &[f32], at: usize) -> Self {
        // SAFETY: the caller's.
        Self::load(unsafe { from.get_unchecked(at..at + LANES) })
    }
    /// Writes the first eight floats of a slice that has as many.
    fn store(self, to: &mut [f32]);
    /// `self * factor + sum`, rounded once.
    fn times_plus(self, factor: Self, sum: Self) -> Self;
}

/// An array; compilers find what the target has.
#[derive(Clone, Copy)]
pub struct Portable([f32; LANES]);

impl Lanes for Portable {
    #[inline(always)]
    fn zero() -> Self {
        Portable([0.0; LANES])
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Portable([value; LANES])
    }

    #[inline(always)]
    fn load(from: &[f32]) -> Self {
        Portable(std::array::from_fn(|lane| from[lane]))
    }

    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        to[..LANES].copy_from_slice(&self.0);
    }

    #[inline(always)]
    fn times_plus(self, factor: Self, sum: Self) -> Self {
        Portable(std::array::from_fn(|lane| self.0[lane].mul_add(factor.0[lane], sum.0[lane])))
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::Avx2;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{LANES, Lanes};

    /// A register of AVX2. Made and used only inside functions that have AVX2 and FMA switched on.
    #[derive(Clone, Copy)]
    pub struct Avx2(__m256);

    impl Lanes for Avx2 {
        #[inline(always)]
        fn zero() -> Self {
            // SAFETY: callers have AVX2 (see the type).
            Avx2(unsafe { _mm256_setzero_ps() })
        }

        #[inline(always)]
        fn splat(value: f32) -> Self {
            // SAFETY: callers have AVX2.
            Avx2(unsafe { _mm256_set1_ps(value) })
        }

        #[inline(always)]
        fn load(from: &[f32]) -> Self {
            let from = &from[..LANES];
            // SAFETY: callers have AVX2, and the slice eight floats.
            Avx2(unsafe { _mm256_loadu_ps(from.as_ptr()) })
        }

        #[inline(always)]
        fn store(self, to: &mut [f32]) {
            let to = &mut to[..LANES];
            // SAFETY: callers have AVX2, and the slice eight floats.
            unsafe { _mm256_storeu_ps(to.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        fn times_plus(self, factor: Self, sum: Self) -> Self {
            // SAFETY: callers have FMA.
            Avx2(unsafe { _mm256_fmadd_ps(self.0, factor.0, sum.0) })
        }
    }
}

#[cfg(target_arch = "aarch64")]
pub use arm::Neon;

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::*;

    use super::{LANES, Lanes};

    /// Two registers of NEON, which every aarch64 has.
    #[derive(Clone, Copy)]
    pub struct Neon(float32x4_t, float32x4_t);

    impl Lanes for Neon {
        #[inline(always)]
        fn zero() -> Self {
            Self::splat(0.0)
        }

        #[inline(always)]
        fn splat(value: f32) -> Self {
            // SAFETY: every aarch64 has NEON.
            unsafe { Neon(vdupq_n_f32(value), vdupq_n_f32(value)) }
        }

        #[inline(always)]
        fn load(from: &[f32]) -> Self {
            let from = &from[..LANES];
            // SAFETY: the slice has eight floats.
            unsafe { Neon(vld1q_f32(from.as_ptr()), vld1q_f32(from.as_ptr().add(4))) }
        }

        #[inline(always)]
        fn store(self, to: &mut [f32]) {
            let to = &mut to[..LANES];
            // SAFETY: the slice has eight floats.
            unsafe {
                vst1q_f32(to.as_mut_ptr(), self.0);
                vst1q_f32(to.as_mut_ptr().add(4), self.1);
            }
        }

        #[inline(always)]
        fn times_plus(self, factor: Self, sum: Self) -> Self {
            // SAFETY: every aarch64 has NEON.
            unsafe { Neon(vfmaq_f32(sum.0, self.0, factor.0), vfmaq_f32(sum.1, self.1, factor.1)) }
        }
    }
}
