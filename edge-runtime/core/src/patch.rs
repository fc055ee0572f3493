//! A small patch of luma by which a face is found again in the next frame, close to where it was.

use crate::View;

/// Samples per side.
const SIDE: usize = 12;
const SAMPLES: usize = SIDE * SIDE;

/// The luma of a face, sampled on a coarse grid, minus its mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    samples: [i16; SAMPLES],
    /// The sum of the absolute samples.
    contrast: u32,
}

impl Patch {
    /// Samples the square of side `width` around `centre`, both in 1/16 pixel. Outside the picture its edge is repeated.
    pub fn new(view: View<'_>, centre: [i32; 2], width: i32) -> Patch {
        let side = SIDE as i32;
        let step = (width / side).max(1);
        let most = [view.width() as i32 - 1, view.height() as i32 - 1];
        let mut samples = [0i16; SAMPLES];
        let mut sum = 0i32;
        for (index, sample) in samples.iter_mut().enumerate() {
            let cell = [index as i32 % side, index as i32 / side];
            // The mean of four places in the cell, so that noise and thin lines count less.
            let mut four = 0;
            for quarter in 0..4 {
                let within = [step * (1 + 2 * (quarter % 2)) / 4, step * (1 + 2 * (quarter / 2)) / 4];
                let [x, y] = [0, 1].map(|axis| {
                    let place = centre[axis].saturating_add(step * (cell[axis] - side / 2) + within[axis]);
                    (place >> 4).clamp(0, most[axis]) as usize
                });
                four += i32::from(view.luma(x, y));
            }
            *sample = four as i16;
            sum += four;
        }
        let mean = (sum / SAMPLES as i32) as i16;
        let mut contrast = 0;
        for sample in &mut samples {
            *sample -= mean;
            contrast += u32::from(sample.unsigned_abs());
        }
        Patch { samples, contrast }
    }

    /// Returns how much two patches differ: 0 if they are equal, 256 if they have nothing in common.
    pub fn difference(&self, other: &Patch) -> u32 {
        let pairs = self.samples.iter().zip(&other.samples);
        let sum: u32 = pairs.map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        256 * sum / (self.contrast + other.contrast).max(1)
    }

    /// Searches `view` for the patch around `centre`. Returns the shift in 1/16 pixel and the [difference](Patch::difference)
    /// there. The search reaches an eighth of `width` in every direction.
    pub fn search(&self, view: View<'_>, centre: [i32; 2], width: i32) -> ([i32; 2], u32) {
        let mut best = ([0, 0], self.difference(&Patch::new(view, centre, width)));
        let mut step = (width / 16).max(1);
        for _ in 0..4 {
            let around = best.0;
            for y in -1..=1 {
                for x in -1..=1 {
                    if (x, y) == (0, 0) {
                        continue;
                    }
                    let by = [around[0] + x * step, around[1] + y * step];
                    let place = [0, 1].map(|axis| centre[axis].saturating_add(by[axis]));
                    let difference = self.difference(&Patch::new(view, place, width));
                    if difference < best.1 {
                        best = (by, difference);
                    }
                }
            }
            step = (step / 2).max(1);
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A face-like blob at a place, on a slope.
    pub fn picture(centre: [i32; 2]) -> [u8; 160 * 120] {
        core::array::from_fn(|index| {
            let (x, y) = ((index % 160) as i32, (index / 160) as i32);
            let [dx, dy] = [x - centre[0], y - centre[1]];
            let eye = |ex: i32| (dx - ex) * (dx - ex) + (dy + 6) * (dy + 6) < 16;
            let inside = 4 * dx * dx + 3 * dy * dy < 4 * 400;
            if inside {
                if eye(-7) || eye(7) || (dx.abs() < 7 && (dy - 9).abs() < 2) { 40 } else { 180 }
            } else {
                (60 + x / 4) as u8
            }
        })
    }

    #[test]
    fn a_patch_is_found_again_where_it_went() {
        let (before, after) = (picture([60, 50]), picture([63, 48]));
        let view = |data| View::new(data, 160, 120, 1, 160).unwrap();
        let patch = Patch::new(view(&before), [16 * 60, 16 * 50], 16 * 40);
        let (by, difference) = patch.search(view(&after), [16 * 60, 16 * 50], 16 * 40);
        assert!((by[0] - 48).abs() <= 12 && (by[1] + 32).abs() <= 12, "{by:?}");
        assert!(difference < 60, "{difference}");
        assert_eq!(patch.difference(&patch), 0);
    }

    #[test]
    fn a_flat_picture_has_no_patch_and_no_panic() {
        let flat = [7; 64];
        let view = View::new(&flat, 8, 8, 1, 8).unwrap();
        let patch = Patch::new(view, [i32::MAX, i32::MIN], 16);
        assert_eq!(patch.search(view, [0, 0], 0), ([0, 0], 0));
    }
}
