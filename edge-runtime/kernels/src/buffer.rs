//! Working memory that several threads write at once, each its own part of it.

use std::cell::UnsafeCell;

use crate::panel::Line;

/// Bytes, aligned to 64.
pub struct Buffer {
    lines: Box<[UnsafeCell<Line>]>,
    len: usize,
}

// SAFETY: all access is by `pointer`, whose users say why no other thread touches what they do.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Returns a buffer of `len` bytes, each of them `value`.
    pub fn new(len: usize, value: u8) -> Buffer {
        Buffer { lines: (0..len.div_ceil(64)).map(|_| UnsafeCell::new(Line([value; 64]))).collect(), len }
    }

    /// Returns its length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns its first byte.
    pub fn pointer(&self) -> *mut u8 {
        UnsafeCell::raw_get(self.lines.as_ptr()).cast()
    }

    /// Returns bytes of it.
    ///
    /// # Safety
    /// Nobody writes them as long as the slice lives.
    ///
    /// # Panics
    /// Panics if the buffer is shorter.
    pub unsafe fn slice(&self, first: usize, len: usize) -> &[u8] {
        assert!(first + len <= self.len, "a slice of a buffer");
        // SAFETY: within the buffer; the caller's.
        unsafe { std::slice::from_raw_parts(self.pointer().add(first), len) }
    }

    /// Returns bytes of it, to write.
    ///
    /// # Safety
    /// Nobody else reads or writes them as long as the slice lives.
    ///
    /// # Panics
    /// Panics if the buffer is shorter.
    #[expect(clippy::mut_from_ref, reason = "threads share the buffer and write parts of it that do not overlap")]
    pub unsafe fn slice_mut(&self, first: usize, len: usize) -> &mut [u8] {
        assert!(first + len <= self.len, "a slice of a buffer");
        // SAFETY: within the buffer; the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.pointer().add(first), len) }
    }
}
