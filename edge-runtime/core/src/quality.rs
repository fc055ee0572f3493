//! Decides whether a face can be read: it must be large enough, face the camera, lie inside the frame and be sharp.

use crate::align::Point;
use crate::track::Detection;
use crate::{Bounds, Quality};

/// What a face must have to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QualityLimits {
    /// The least distance between the eyes, in pixels.
    pub eye_distance: u16,
    /// How far the nose may lie to one side of the midpoint between the eyes, in hundredths of their distance.
    pub turned: u16,
    /// How much of the face box's area may lie outside the frame, in hundredths.
    pub cut: u16,
    /// The least [`sharpness`] of the aligned face.
    pub sharpness: u16,
}

impl Default for QualityLimits {
    fn default() -> QualityLimits {
        QualityLimits { eye_distance: 14, turned: 45, cut: 25, sharpness: 9 }
    }
}

/// Judges a face by its box and key points, in a frame of `frame` (width, height) pixels. Returns [`Quality::Good`] or the first
/// reason why the face cannot be read. It cannot see blur: for that, compare [`sharpness`] with [`QualityLimits::sharpness`].
pub fn from_geometry(face: &Detection, frame: [usize; 2], limits: &QualityLimits) -> Quality {
    let [right, left] = face.eyes.map(place);
    let eyes = [left[0] - right[0], left[1] - right[1]];
    let square = eyes[0] * eyes[0] + eyes[1] * eyes[1];
    let distance = square.unsigned_abs().isqrt() as i64;
    if distance < 16 * i64::from(limits.eye_distance) {
        return Quality::Small;
    }
    if outside(face.bounds, frame) > i64::from(limits.cut) {
        return Quality::Cut;
    }
    // The nose's offset from the midpoint along the line through the eyes, times two and times the distance of the eyes.
    let nose = place(face.nose);
    let twice = [0, 1].map(|axis| 2 * nose[axis] - right[axis] - left[axis]);
    let along = (twice[0] * eyes[0] + twice[1] * eyes[1]).abs();
    // If the mouth is not below the line of the eyes, the face lies on its side or is upside down.
    let mouth = place(face.mouth);
    let below = eyes[0] * (mouth[1] - right[1]) - eyes[1] * (mouth[0] - right[0]);
    if 100 * along > 2 * i64::from(limits.turned) * square || below <= 0 || face.upside_down || eyes[0] <= eyes[1].abs()
    {
        return Quality::Turned;
    }
    Quality::Good
}

/// Returns the quality of an aligned face of `side` x `side` bytes a channel, as far as its pixels tell.
pub fn from_aligned(face: &[u8], side: usize, limits: &QualityLimits) -> Quality {
    if sharpness(face, side) < u32::from(limits.sharpness) {
        return Quality::Blurred;
    }
    Quality::Good
}

fn place(point: Point) -> [i64; 2] {
    [i64::from(point.x()), i64::from(point.y())]
}

/// Returns the share of a box that lies outside the frame, in hundredths.
fn outside(bounds: Bounds, frame: [usize; 2]) -> i64 {
    let side = |from: i16, length: u16, most: usize| {
        let (from, to) = (i64::from(from), i64::from(from) + i64::from(length));
        (to.min(most as i64) - from.max(0)).max(0)
    };
    let inside = side(bounds.left, bounds.width, frame[0]) * side(bounds.top, bounds.height, frame[1]);
    100 - 100 * inside / (i64::from(bounds.width) * i64::from(bounds.height)).max(1)
}

/// Returns how sharp a grey aligned face of `side` x `side` bytes is, in 64ths: its mean absolute Laplacian divided by its mean
/// absolute deviation. Blur lowers the former much more than the latter. A face that is too short for its side has sharpness 0.
pub fn sharpness(face: &[u8], side: usize) -> u32 {
    if side < 3 || face.len() < side * side {
        return 0;
    }
    let face = &face[..side * side];
    let mean = face.iter().map(|byte| u32::from(*byte)).sum::<u32>() / face.len() as u32;
    let contrast: u32 = face.iter().map(|byte| u32::from(*byte).abs_diff(mean)).sum();
    let mut edges = 0u32;
    for y in 1..side - 1 {
        for x in 1..side - 1 {
            let at = |x: usize, y: usize| i32::from(face[y * side + x]);
            let around = at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1);
            edges += (around - 4 * at(x, y)).unsigned_abs();
        }
    }
    64 * edges / contrast.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(left: i16, eyes: [[f32; 2]; 2], nose: [f32; 2], mouth: [f32; 2]) -> Detection {
        let point = |[x, y]: [f32; 2]| Point::from_pixels(x, y).unwrap();
        let bounds = Bounds { left, top: 80, width: 100, height: 100 };
        Detection { bounds, upside_down: false, eyes: eyes.map(point), nose: point(nose), mouth: point(mouth) }
    }

    #[test]
    fn a_face_is_good_small_turned_or_cut() {
        let limits = QualityLimits::default();
        let of = |face: Detection| from_geometry(&face, [320, 240], &limits);
        let (eyes, nose, mouth) = ([[130.0, 110.0], [170.0, 110.0]], [150.0, 130.0], [150.0, 150.0]);
        assert_eq!(of(face(100, eyes, nose, mouth)), Quality::Good);
        assert_eq!(of(face(100, [[145.0, 110.0], [155.0, 110.0]], nose, mouth)), Quality::Small);
        assert_eq!(of(face(100, eyes, [172.0, 130.0], mouth)), Quality::Turned);
        assert_eq!(of(face(100, eyes, nose, [150.0, 80.0])), Quality::Turned);
        assert_eq!(of(face(-40, eyes, nose, mouth)), Quality::Cut);
        // The detector gives the points of a face on its head as if it were upright.
        assert_eq!(of(Detection { upside_down: true, ..face(100, eyes, nose, mouth) }), Quality::Turned);
        // On its side.
        assert_eq!(of(face(100, [[150.0, 100.0], [150.0, 140.0]], [130.0, 120.0], [110.0, 120.0])), Quality::Turned);
    }

    #[test]
    fn blur_takes_sharpness_away_and_contrast_does_not() {
        let sharp: [u8; 32 * 32] = core::array::from_fn(|i| if (i / 4 + i / 128) % 2 == 0 { 90 } else { 160 });
        let faint = sharp.map(|byte| 100 + byte / 8);
        let blurred: [u8; 32 * 32] = core::array::from_fn(|i| {
            let (x, y) = ((i % 32) as i32, (i / 32) as i32);
            let mut sum = 0u32;
            for dy in -2..=2 {
                for dx in -2..=2 {
                    sum += u32::from(sharp[((y + dy).clamp(0, 31) * 32 + (x + dx).clamp(0, 31)) as usize]);
                }
            }
            (sum / 25) as u8
        });
        let [sharp, faint, blurred] = [&sharp, &faint, &blurred].map(|face| sharpness(face, 32));
        assert!(2 * blurred < sharp && faint * 3 > sharp * 2, "{sharp} {faint} {blurred}");
        assert_eq!([sharpness(&[], 32), sharpness(&[5; 1024], 32)], [0, 0]);
    }
}
