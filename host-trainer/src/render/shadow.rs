//! What light from one direction reaches: a shadow map.

use super::raster::Raster;
use super::vector::{Vec3, dot, sub, view_axes};

/// A depth picture of the head along parallel rays: tells what a light from there reaches.
pub struct DepthView {
    axes: [Vec3; 3],
    raster: Raster,
}

impl DepthView {
    /// Middle of the head at rest.
    pub const MIDDLE: Vec3 = [0.0, 7.1, 0.6];
    /// Half the side of the square seen around it, dm.
    const HALF: f32 = 1.7;
    /// Depth in dm that a surface may lie behind another and still count as the same one.
    const BIAS: f32 = 0.02;

    /// Looks at the head in the shape `positions` from `towards` (a unit vector from the head to the viewer).
    pub fn draw(triangles: &[[u32; 3]], positions: &[Vec3], towards: Vec3, size: usize) -> DepthView {
        let axes = view_axes(towards);
        let screen: Vec<_> = positions.iter().map(|&position| Self::screen(&axes, size, position)).collect();
        DepthView { axes, raster: Raster::draw(size, &screen, triangles) }
    }

    fn screen(axes: &[Vec3; 3], size: usize, position: Vec3) -> Vec3 {
        let offset = sub(position, Self::MIDDLE);
        let pixels = size as f32 / (2.0 * Self::HALF);
        let middle = size as f32 / 2.0;
        [middle + pixels * dot(axes[0], offset), middle - pixels * dot(axes[1], offset), dot(axes[2], offset)]
    }

    /// How far a point is reached by rays from the viewer, 0 to 1, blended between four pixels.
    pub fn lit(&self, position: Vec3) -> f32 {
        let size = self.raster.size;
        let [x, y, depth] = Self::screen(&self.axes, size, position);
        let (x, y) = (x - 0.5, y - 0.5);
        if x.min(y) < 0.0 || x.max(y) >= (size - 1) as f32 {
            return 1.0; // nothing stands out there
        }
        let (left, top) = (x as usize, y as usize);
        let tap = |x: usize, y: usize| f32::from(depth + Self::BIAS >= self.raster.depth[y * size + x]);
        let (fx, fy) = (x - left as f32, y - top as f32);
        let upper = tap(left, top) * (1.0 - fx) + tap(left + 1, top) * fx;
        let lower = tap(left, top + 1) * (1.0 - fx) + tap(left + 1, top + 1) * fx;
        upper * (1.0 - fy) + lower * fy
    }
}
