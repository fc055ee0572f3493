//! The aligned face: the input of the int8 graph.

use crate::resample::{View, resample};

/// The geometry of an expression net's input, as the manifest of its bundle states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaceInput {
    /// The number of channels: 1 for grey, 3 for RGB.
    pub channels: usize,
    /// The side in pixels to which a face picture is resampled.
    pub aligned: usize,
    /// The side in pixels of the centred crop that the net sees; at most `aligned`.
    pub size: usize,
}

impl FaceInput {
    /// Returns the number of bytes of an aligned face.
    pub const fn len(&self) -> usize {
        self.channels * self.size * self.size
    }

    /// Returns whether an aligned face has no bytes at all.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes the aligned face from a picture that shows just a face: takes the largest centred square, resamples it to
    /// `aligned` pixels a side and crops the centre to `size`.
    ///
    /// Fills `out` as `u8 [channels, size, size]`, row-major. Returns `false` and leaves `out` unchanged if its length is not
    /// [`FaceInput::len`] or if the sizes contradict each other.
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
