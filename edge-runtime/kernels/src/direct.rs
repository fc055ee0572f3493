//! Direct convolution, planned: its places are cut into tiles that a kernel computes.

use std::array::from_fn;
use std::ops::Range;

use crate::kernel::{Kernel, Tile, Tiling};
use crate::layer::Convolution;
use crate::map::Layout;
use crate::pack;
use crate::panel::{Line, Panel, Reduction};

/// Bytes of input that a kernel works on with all its panels before it goes on: what fits into a first-level cache.
const BAND: usize = 24 << 10;

/// A planned convolution.
pub struct Direct {
    kernel: &'static dyn Kernel,
    /// Whether its tiles lie in rows; see [`Tiling`].
    in_rows: bool,
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
        let reduction = pack::reduction(layer, input.row(), output.shape.width, kernel);
        let [down, right] = layer.window.stride;
        let (height, width) = (output.shape.height, output.shape.width);
        let rows = (BAND / (input.row() * down).max(1)).max(1);
        Direct {
            kernel,
            in_rows: kernel.tiling(layer, width) != Tiling::Anywhere,
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

    /// Returns how many places its tiles have at most.
    pub fn tile(&self) -> usize {
        let most = self.kernel.places(self.panels[0].blocks);
        if self.in_rows { even(self.sides[1], most).0 } else { most }
    }

    /// Returns where the tile that has a place begins, if tiles lie in rows, so that no part of a step cuts one; else the place.
    pub fn cut(&self, place: usize) -> usize {
        if !self.in_rows {
            return place;
        }
        let column = place % self.sides[1];
        let (larger, count) = even(self.sides[1], self.kernel.places(self.panels[0].blocks));
        let within = match column.checked_sub(larger * count) {
            None => column % larger,
            Some(column) => column % (larger - 1).max(1),
        };
        place - within
    }

    /// Returns how many bytes its weights take.
    pub fn weight_bytes(&self) -> usize {
        self.panels.iter().map(|panel| panel.weight.len() * size_of::<Line>()).sum()
    }

    /// Returns the bytes that it reads of a map, and those up to the last that it writes.
    pub fn reach(&self) -> [usize; 2] {
        let last = |steps: [usize; 2]| (self.sides[0] - 1) * steps[0] + (self.sides[1] - 1) * steps[1];
        let Reduction { rows, stride, .. } = self.reduction;
        let window = (rows - 1) * stride + self.reduction.granules() * self.kernel.granule();
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
                let mut cursor = Cursor::new(self, (input.1, output.1), first);
                let mut tile = Tile {
                    input: input.0,
                    input_at: from_fn(|place| place * self.input[1]),
                    output: output.0.wrapping_add(panel.first),
                    output_at: from_fn(|place| place * self.output[1]),
                    places: 0,
                    count: 1,
                    panel,
                    reduction: self.reduction,
                    zero: self.zero,
                    flip: self.flip,
                };
                let most = self.kernel.places(panel.blocks);
                let mut rest = count;
                while rest > 0 {
                    if self.in_rows {
                        (tile.places, tile.count) = even(rest.min(cursor.left), most);
                        tile.input = input.0.wrapping_add(cursor.input);
                        tile.output = output.0.wrapping_add(panel.first + cursor.output);
                        cursor.advance(tile.count * tile.places);
                    } else {
                        tile.places = even(rest, most).0;
                        for place in 0..tile.places {
                            (tile.input_at[place], tile.output_at[place]) = (cursor.input, cursor.output);
                            cursor.advance(1);
                        }
                    }
                    rest -= tile.count * tile.places;
                    // SAFETY: the caller's: every place lies within the reach.
                    unsafe { self.kernel.tile(&tile) };
                }
            }
        }
    }
}

/// Cuts places into even tiles: 9 are 5 and 4, not 6 and 3. Returns how many places the first tiles have, and how many such tiles there
/// are; the others have one place fewer.
fn even(places: usize, most: usize) -> (usize, usize) {
    let tiles = places.div_ceil(most);
    let larger = places.div_ceil(tiles);
    (larger, places - tiles * (larger - 1))
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

    /// Moves on by so many places of the row.
    #[inline(always)]
    fn advance(&mut self, places: usize) {
        self.left -= places;
        self.input += places * self.direct.input[1];
        self.output += places * self.direct.output[1];
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
