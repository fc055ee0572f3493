//! The sums of a block of output channels at one place, in registers.

use super::BLOCK;
use super::lanes::Lanes;

/// As many floats as a block has channels.
pub trait Block: Copy {
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

    /// Returns `self + value * weights`, rounded once.
    fn plus_scaled(self, value: f32, weights: Self) -> Self;

    /// Returns `self + other`.
    fn plus(self, other: Self) -> Self;

    /// Returns the floats above zero, and zero for the others.
    fn positive(self) -> Self;

    /// Adds the products of the first input channels where the instruction set has a way of its own, and returns how many they were.
    /// `weights`: a block for each channel.
    ///
    /// # Safety
    /// Every input has as many channels as there are weights for.
    #[inline(always)]
    unsafe fn products<const N: usize>(_sums: &mut [Self; N], _inputs: &[&[f32]; N], _weights: &[f32]) -> usize {
        0
    }
}

/// Three registers of eight floats.
impl<L: Lanes> Block for [L; 3] {
    #[inline(always)]
    unsafe fn load(from: &[f32], at: usize) -> Self {
        const { assert!(3 * L::WIDTH == BLOCK) }
        // SAFETY: the caller's.
        unsafe { [L::load(from, at), L::load(from, at + L::WIDTH), L::load(from, at + 2 * L::WIDTH)] }
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [f32], at: usize) {
        for (register, lanes) in self.into_iter().enumerate() {
            // SAFETY: the caller's.
            unsafe { lanes.store(to, at + register * L::WIDTH) }
        }
    }

    #[inline(always)]
    fn plus_scaled(self, value: f32, weights: Self) -> Self {
        let value = L::splat(value);
        let ([a, b, c], [x, y, z]) = (self, weights);
        [value.times_plus(x, a), value.times_plus(y, b), value.times_plus(z, c)]
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        let ([a, b, c], [x, y, z]) = (self, other);
        [a.plus(x), b.plus(y), c.plus(z)]
    }

    #[inline(always)]
    fn positive(self) -> Self {
        let [a, b, c] = self;
        [a.positive(), b.positive(), c.positive()]
    }
}

/// A register of sixteen floats and one of eight.
impl<A: Lanes, B: Lanes> Block for (A, B) {
    #[inline(always)]
    unsafe fn load(from: &[f32], at: usize) -> Self {
        const { assert!(A::WIDTH + B::WIDTH == BLOCK) }
        // SAFETY: the caller's.
        unsafe { (A::load(from, at), B::load(from, at + A::WIDTH)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [f32], at: usize) {
        // SAFETY: the caller's.
        unsafe {
            self.0.store(to, at);
            self.1.store(to, at + A::WIDTH);
        }
    }

    #[inline(always)]
    fn plus_scaled(self, value: f32, weights: Self) -> Self {
        (A::splat(value).times_plus(weights.0, self.0), B::splat(value).times_plus(weights.1, self.1))
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        (self.0.plus(other.0), self.1.plus(other.1))
    }

    #[inline(always)]
    fn positive(self) -> Self {
        (self.0.positive(), self.1.positive())
    }
}
