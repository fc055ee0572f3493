//! Which way up the frame of a camera is to be shown.

use expression_core::Turn;
use image::metadata::Orientation;

use super::{APP1, Part, SOS, Walker, exif};

/// Returns how a JPEG picture, such as the frame of a camera, is to be turned by the EXIF data before its pixels.
pub fn turn_by_exif(jpeg: &[u8]) -> Turn {
    let mut walker = Walker::new();
    loop {
        match walker.next(jpeg) {
            Part::Segment { code: APP1, start, end } => {
                if let Some(orientation) = exif::orientation(&jpeg[start + 4..end]) {
                    return turn(orientation);
                }
            }
            Part::Segment { code, .. } if code != SOS => {}
            _ => return Turn::default(),
        }
    }
}

fn turn(orientation: Orientation) -> Turn {
    let (quarters, mirrored) = match orientation {
        Orientation::NoTransforms => (0, false),
        Orientation::Rotate90 => (1, false),
        Orientation::Rotate180 => (2, false),
        Orientation::Rotate270 => (3, false),
        Orientation::FlipHorizontal => (0, true),
        Orientation::Rotate90FlipH => (1, true),
        Orientation::FlipVertical => (2, true),
        Orientation::Rotate270FlipH => (3, true),
    };
    Turn { quarters, mirrored }
}
