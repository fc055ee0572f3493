//! Maps with a border of zeros around them.

/// A map: height, width, channels, with one place of zeros on every side.
#[derive(Debug, Clone, Default)]
pub struct Map {
    width: usize,
    height: usize,
    channels: usize,
    data: Vec<f32>,
}

impl Map {
    /// Gives it another size, keeping its memory. Its places hold anything afterwards, its border zeros.
    pub fn resize(&mut self, width: usize, height: usize, channels: usize) {
        if [self.width, self.height, self.channels] != [width, height, channels] {
            (self.width, self.height, self.channels) = (width, height, channels);
            let row = (width + 2) * channels;
            self.data.resize((height + 2) * row, 0.0);
            self.data[..row].fill(0.0);
            for row in self.data[row..].chunks_exact_mut(row.max(1)) {
                row[..channels].fill(0.0);
                row[(width + 1) * channels..].fill(0.0);
            }
            self.data[(height + 1) * row..].fill(0.0);
        }
    }

    /// Places a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Floats a place.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The places of a row.
    pub fn row(&self, y: usize) -> &[f32] {
        let first = self.first(y);
        &self.data[first..first + self.width * self.channels]
    }

    /// The places of a row, to be written.
    pub fn row_mut(&mut self, y: usize) -> &mut [f32] {
        let (first, length) = (self.first(y), self.width * self.channels);
        &mut self.data[first..first + length]
    }

    /// A row counted with the border, from column `x` counted with the border.
    pub(super) fn row_from(&self, y: usize, x: usize) -> &[f32] {
        let row = (self.width + 2) * self.channels;
        &self.data[y * row + x * self.channels..(y + 1) * row]
    }

    fn first(&self, y: usize) -> usize {
        ((y + 1) * (self.width + 2) + 1) * self.channels
    }
}
