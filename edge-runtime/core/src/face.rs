//! The aligned face: what the int8 graph takes as its input.

use crate::resample::{View, resample};

/// The input of an expression net, as the manifest of its bundle names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaceInput {
    /// 1: grey, 3: RGB.
    pub channels: usize,
    /// Side in pixels to which a face picture is resampled.
    pub aligned: usize,
    /// Side in pixels of the centred crop that the net sees; at most `aligned`.
    pub size: usize,
}

impl FaceInput {
    /// Bytes of an aligned face.
    pub const fn len(&self) -> usize {
        self.channels * self.size * self.size
    }

    /// Whether an aligned face has no bytes at all.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes the aligned face of a face picture: its largest centred square, resampled to `aligned`, cropped to `size`.
    ///
    /// `out` is filled as `[channels, size, size]`, row-major. Returns `false`, and leaves `out` as it is, where its length
    /// is not [`FaceInput::len`] or the sizes do not fit each other.
    pub fn aligned_face(&self, picture: View<'_>, out: &mut [u8]) -> bool {
        if out.len() != self.len() || self.is_empty() || self.size > self.aligned || !matches!(self.channels, 1 | 3) {
            return false;
        }
        let margin = (self.aligned - self.size) / 2;
        let inside = |at: usize| at.checked_sub(margin).filter(|at| *at < self.size);
        resample(picture.centre_square(), self.aligned, self.aligned, self.channels == 1, |x, y, c, value| {
            if let (Some(x), Some(y)) = (inside(x), inside(y)) {
                out[(c * self.size + y) * self.size + x] = value;
            }
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_lie_apart_and_the_margin_is_cut() {
        let rgb: [u8; 4 * 4 * 3] = core::array::from_fn(|i| i as u8);
        let view = View::new(&rgb, 4, 4, 3, 12).unwrap();
        let mut out = [0; 12];
        assert!(FaceInput { channels: 3, aligned: 4, size: 2 }.aligned_face(view, &mut out));
        assert_eq!(out, [15, 18, 27, 30, 16, 19, 28, 31, 17, 20, 29, 32]);
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let view = View::new(&[0; 16], 4, 4, 1, 4).unwrap();
        assert!(!FaceInput { channels: 1, aligned: 4, size: 5 }.aligned_face(view, &mut [0; 25]));
        assert!(!FaceInput { channels: 1, aligned: 4, size: 4 }.aligned_face(view, &mut [0; 15]));
        assert!(!FaceInput { channels: 2, aligned: 4, size: 4 }.aligned_face(view, &mut [0; 32]));
    }
}
