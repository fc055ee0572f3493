//! Triangles to pixels: a depth buffer that keeps, for each pixel, the nearest triangle and where in it the pixel lies.
//!
//! Ours, not the crate `euc`: its last release (0.5.3, with the old `vek` 0.14) has no indexed vertices, so it would run the
//! vertex shader six times a vertex, shades what is covered later, and asserts on degenerate triangles, which strong
//! expressions make. Shading afterwards, once per visible pixel, is simpler and faster.

use super::vector::Vec3;

/// What one pixel shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Index into the triangles drawn, or [`Hit::NOTHING`].
    pub triangle: u32,
    /// Weights of the triangle's second and third vertex.
    pub weight: [f32; 2],
}

impl Hit {
    /// The `triangle` of a pixel that no triangle covers.
    pub const NOTHING: u32 = u32::MAX;
}

/// A square picture of hits, row-major.
pub struct Raster {
    /// Width = height in pixels.
    pub size: usize,
    /// Depth of the nearest surface; larger is nearer, minus infinity where there is none.
    pub depth: Vec<f32>,
    /// The nearest triangle of each pixel.
    pub hits: Vec<Hit>,
}

impl Raster {
    /// Draws `triangles` over `screen`: x to the right and y down in pixels, z towards the viewer.
    /// Triangles that turn their back (clockwise on the screen) are left out.
    pub fn draw(size: usize, screen: &[Vec3], triangles: &[[u32; 3]]) -> Raster {
        let nothing = Hit { triangle: Hit::NOTHING, weight: [0.0; 2] };
        let mut raster = Raster { size, depth: vec![f32::NEG_INFINITY; size * size], hits: vec![nothing; size * size] };
        for (index, corner) in triangles.iter().enumerate() {
            raster.triangle(index as u32, corner.map(|vertex| screen[vertex as usize]));
        }
        raster
    }

    fn triangle(&mut self, index: u32, [a, b, c]: [Vec3; 3]) {
        let (ab, ac) = ([b[0] - a[0], b[1] - a[1]], [c[0] - a[0], c[1] - a[1]]);
        // y points down, so a triangle that faces the viewer has a negative area here.
        let area = ab[0] * ac[1] - ab[1] * ac[0];
        if area.is_nan() || area >= -1e-9 {
            return;
        }
        let range = |axis: usize| {
            let low = a[axis].min(b[axis]).min(c[axis]) - 0.5;
            let high = a[axis].max(b[axis]).max(c[axis]) + 0.5;
            // Casts truncate and saturate: what lies off the picture becomes an empty range.
            low as usize..(high as usize).min(self.size)
        };
        let (xs, ys) = (range(0), range(1));
        let inverse = 1.0 / area;
        for y in ys {
            let dy = y as f32 + 0.5 - a[1];
            for x in xs.clone() {
                let dx = x as f32 + 0.5 - a[0];
                let wb = (dx * ac[1] - dy * ac[0]) * inverse;
                let wc = (ab[0] * dy - ab[1] * dx) * inverse;
                if wb < 0.0 || wc < 0.0 || wb + wc > 1.0 {
                    continue;
                }
                let depth = a[2] + wb * (b[2] - a[2]) + wc * (c[2] - a[2]);
                let at = y * self.size + x;
                if depth > self.depth[at] {
                    self.depth[at] = depth;
                    self.hits[at] = Hit { triangle: index, weight: [wb, wc] };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCREEN: [Vec3; 4] = [[0.0, 0.0, 0.0], [0.0, 4.0, 0.0], [4.0, 4.0, 0.0], [2.0, 2.0, f32::NAN]];

    #[test]
    fn covers_the_pixels_whose_centres_are_inside() {
        let raster = Raster::draw(4, &SCREEN, &[[0, 1, 2]]);
        let covered = raster.hits.iter().filter(|hit| hit.triangle == 0).count();
        assert_eq!(covered, 10); // the lower left half with its diagonal
    }

    #[test]
    fn leaves_out_backs_and_what_is_no_number() {
        for triangle in [[0, 2, 1], [0, 0, 1]] {
            assert!(Raster::draw(4, &SCREEN, &[triangle]).hits.iter().all(|hit| hit.triangle == Hit::NOTHING));
        }
        assert!(Raster::draw(4, &SCREEN, &[[0, 1, 3]]).depth.iter().all(|depth| !depth.is_nan()));
    }

    #[test]
    fn the_nearer_triangle_wins() {
        let near = SCREEN.map(|[x, y, _]| [x, y, 1.0]);
        let screen = [SCREEN, near].concat();
        for triangles in [[[0, 1, 2], [4, 5, 6]], [[4, 5, 6], [0, 1, 2]]] {
            let raster = Raster::draw(4, &screen, &triangles);
            assert_eq!(raster.depth[12], 1.0);
        }
    }
}
