//! How tiles cover a map.

use crate::map::Layout;

/// A tile of the output: 4x4 pixels, or two along a short side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Where its inputs begin in the input map.
    pub input: usize,
    /// Where its outputs begin in the output map.
    pub output: usize,
    /// Whether it has four rows, and not two.
    pub tall: bool,
    /// Whether it has four columns, and not two.
    pub wide: bool,
    /// Rows that exist in the map.
    pub rows: usize,
    /// Columns that exist in the map.
    pub columns: usize,
}

/// A tile's extent along one side: where it begins, whether it is a long one, how much of it exists.
type Piece = (usize, bool, usize);

/// Cuts a side into fours. A rest of one or two makes a short piece, a rest of three a long one.
fn pieces(side: usize) -> impl Iterator<Item = Piece> + Clone {
    (0..side).step_by(4).map(move |first| (first, side - first > 2, (side - first).min(4)))
}

/// Input pixels along a side that the tiles of `side` output pixels read, from the border's first.
pub fn reach(side: usize) -> usize {
    match side % 4 {
        0 => side + 2,
        3 => side + 3,
        rest => side - rest + 4,
    }
}

/// The tiles that cover the output map: tall and narrow ones, tall and wide ones, short and wide ones, short and narrow ones, so
/// that those which have a position in common lie next to each other. Also where the first three sorts end.
pub fn tiles(input: &Layout, output: &Layout) -> (Vec<Tile>, [usize; 3]) {
    let (height, width) = (output.shape.height, output.shape.width);
    let mut tiles = Vec::new();
    let ends = [(true, false), (true, true), (false, true), (false, false)].map(|(tall, wide)| {
        for (row, _, rows) in pieces(height).filter(|piece| piece.1 == tall) {
            for (column, _, columns) in pieces(width).filter(|piece| piece.1 == wide) {
                tiles.push(Tile {
                    input: row * input.row() + column * input.shape.channels,
                    output: output.at(row, column),
                    tall,
                    wide,
                    rows,
                    columns,
                });
            }
        }
        tiles.len()
    });
    (tiles, [ends[0], ends[1], ends[2]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_a_side_and_read_as_far_as_reach_says() {
        for side in 1..30 {
            let covered: usize = pieces(side).map(|(.., length)| length).sum();
            let read = pieces(side).map(|(first, long, _)| first + if long { 6 } else { 4 }).max();
            assert_eq!((covered, read), (side, Some(reach(side))), "{side}");
        }
    }
}
