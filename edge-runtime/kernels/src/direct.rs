//! Direct convolution, planned: its places are cut into tiles that a kernel computes.

use std::ops::Range;

use crate::kernel::{Kernel, MAX_PLACES, Tile};
use crate::layer::Convolution;
use crate::map::Layout;
use crate::pack;
use crate::panel::{Line, Panel, Reduction};

/// Bytes of input that a kernel works on with all its panels before it goes on: what fits into a first-level cache.
const BAND: usize = 24 << 10;

/// A planned convolution.
pub struct Direct {
    kernel: &'static dyn Kernel,
    panels: Vec<Panel>,
    reduction: Reduction,
    /// Output rows and columns.
    sides: [usize; 2],
    /// Bytes of the input from a row of places to the next, and from a place to the next.
    input: [usize; 2],
    /// The same of the output, and where its first place begins.
    output: [usize; 2],
    first: usize,
    /// Places that are computed by all panels, one after the other.
    band: usize,
    zero: u8,
    flip: u8,
}

impl Direct {
    /// Plans a convolution from a map of `input` to one of `output`, whose bytes are exclusive-or `flip`.
    pub fn new(
        layer: &Convolution,
        kernel: &'static dyn Kernel,
        (input, output): (&Layout, &Layout),
        flip: u8,
    ) -> Direct {
        let reduction = pack::reduction(layer, input.row(), kernel.granule());
        let [down, right] = layer.window.stride;
        let (height, width) = (output.shape.height, output.shape.width);
        let rows = (BAND / (input.row() * down).max(1)).max(1);
        Direct {
            kernel,
            panels: pack::panels(layer, &reduction, kernel),
            reduction,
            sides: [height, width],
            input: [input.row() * down, layer.from * right],
            output: [output.row(), layer.to],
            first: output.at(0, 0),
            band: rows * width,
            zero: layer.output_zero,
            flip,
        }
    }

    /// Returns how many places an image has.
    pub fn places(&self) -> usize {
        self.sides[0] * self.sides[1]
    }

    /// Returns how many panels there are.
    pub fn panels(&self) -> usize {
        self.panels.len()
    }

    /// Returns how many places of a tile there are at most.
    pub fn tile(&self) -> usize {
        self.kernel.places(self.panels[0].blocks)
    }

    /// Returns how many bytes its weights take.
    pub fn weight_bytes(&self) -> usize {
        self.panels.iter().map(|panel| panel.weight.len() * size_of::<Line>()).sum()
    }

    /// Returns the bytes that it reads of a map, and those up to the last that it writes.
    pub fn reach(&self) -> [usize; 2] {
        let last = |steps: [usize; 2]| (self.sides[0] - 1) * steps[0] + (self.sides[1] - 1) * steps[1];
        let Reduction { rows, steps, stride, .. } = self.reduction;
        let window = (rows - 1) * stride + steps * self.kernel.granule();
        [last(self.input) + window, self.first + last(self.output) + self.output[1]]
    }

    /// Computes `places` of all images by `panels`. Each map is given by its first byte and the bytes from an image to the next.
    ///
    /// # Safety
    /// The processor has the kernel's instruction set. Every image's maps can be read and written as far as [`Direct::reach`]
    /// says. Nobody else writes the input, or reads or writes these places' channels of these panels.
    pub unsafe fn compute(
        &self,
        input: (*const u8, usize),
        output: (*mut u8, usize),
        places: Range<usize>,
        panels: Range<usize>,
    ) {
        for first in places.clone().step_by(self.band) {
            let count = self.band.min(places.end - first);
            for panel in &self.panels[panels.clone()] {
                // Even tiles: 9 places are 5 and 4, not 6 and 3.
                let tiles = count.div_ceil(self.kernel.places(panel.blocks));
                let mut cursor = Cursor::new(self, (input.1, output.1), first);
                let mut tile = Tile {
                    input: input.0,
                    input_at: [0; MAX_PLACES],
                    output: output.0.wrapping_add(panel.first),
                    output_at: [0; MAX_PLACES],
                    places: 0,
                    panel,
                    reduction: self.reduction,
                    zero: self.zero,
                    flip: self.flip,
                };
                for index in 0..tiles {
                    tile.places = (index + 1) * count / tiles - index * count / tiles;
                    for place in 0..tile.places {
                        (tile.input_at[place], tile.output_at[place]) = (cursor.input, cursor.output);
                        cursor.advance();
                    }
                    // SAFETY: the caller's: every place lies within the reach.
                    unsafe { self.kernel.tile(&tile) };
                }
            }
        }
    }
}

/// A place, and where it lies.
struct Cursor<'a> {
    direct: &'a Direct,
    /// Bytes of the input and of the output from an image to the next.
    images: (usize, usize),
    image: usize,
    row: usize,
    /// Places up to the end of the row.
    left: usize,
    input: usize,
    output: usize,
}

impl Cursor<'_> {
    fn new(direct: &Direct, images: (usize, usize), place: usize) -> Cursor<'_> {
        let (image, place) = (place / direct.places(), place % direct.places());
        let (row, column) = (place / direct.sides[1], place % direct.sides[1]);
        let mut cursor = Cursor { direct, images, image, row, left: 0, input: 0, output: 0 };
        cursor.begin_row();
        cursor.left -= column;
        cursor.input += column * direct.input[1];
        cursor.output += column * direct.output[1];
        cursor
    }

    #[inline(always)]
    fn advance(&mut self) {
        self.left -= 1;
        self.input += self.direct.input[1];
        self.output += self.direct.output[1];
        if self.left == 0 {
            self.row += 1;
            if self.row == self.direct.sides[0] {
                (self.row, self.image) = (0, self.image + 1);
            }
            self.begin_row();
        }
    }

    fn begin_row(&mut self) {
        let Direct { input, output, first, sides, .. } = self.direct;
        self.left = sides[1];
        self.input = self.image * self.images.0 + self.row * input[0];
        self.output = self.image * self.images.1 + first + self.row * output[0];
    }
}
