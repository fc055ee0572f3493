//! A map in working memory: height, width, channels, with a border around.

use crate::layer::Shape;

/// Bytes behind a map that a kernel may read and that weigh nothing: more than any kernel reads at once.
pub const SLACK: usize = 64;

/// How a map lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Without the border.
    pub shape: Shape,
    /// Rows and columns of border above and left.
    pub before: [usize; 2],
    /// Rows and columns of border below and right.
    pub after: [usize; 2],
}

impl Layout {
    /// Without a border.
    pub fn bare(shape: Shape) -> Layout {
        Layout { shape, before: [0; 2], after: [0; 2] }
    }

    /// Bytes from a row to the next.
    pub fn row(&self) -> usize {
        (self.before[1] + self.shape.width + self.after[1]) * self.shape.channels
    }

    /// Bytes in all, slack included; `None` where no machine has so many.
    pub fn bytes(&self) -> Option<usize> {
        let height = self.before[0].checked_add(self.shape.height)?.checked_add(self.after[0])?;
        let width = self.before[1].checked_add(self.shape.width)?.checked_add(self.after[1])?;
        height.checked_mul(width)?.checked_mul(self.shape.channels)?.checked_add(SLACK)
    }

    /// Where a place of the map without its border begins.
    pub fn at(&self, row: usize, column: usize) -> usize {
        (row + self.before[0]) * self.row() + (column + self.before[1]) * self.shape.channels
    }
}

/// Copies a map without a border out to `[channels, height, width]`.
pub fn leave(from: &[u8], shape: Shape, into: &mut [u8]) {
    let Shape { channels, height, width } = shape;
    let places = height * width;
    for (channel, plane) in into.chunks_exact_mut(places).enumerate().take(channels) {
        for (byte, place) in from[channel..].iter().step_by(channels).zip(plane) {
            *place = *byte;
        }
    }
}
