//! Whether raw frames lie in memory as is believed: a wrong length of a row shears them, which looks like no error at all.

use super::Format;
use crate::frame::{Frame, Luma};

/// Frames that are looked at, at most, besides those that are too flat to tell: the first may be dark.
const MAX_FRAMES: u32 = 10;
/// Rows that are compared with the next, at most.
const ROWS: usize = 64;
/// Pixels of a row that are compared, at most.
const COLUMNS: usize = 160;
/// Mean difference between rows, in units of [`LEVEL`], below which a frame is too flat to tell.
const MIN_DIFFERENCE: u64 = 4 * LEVEL;
/// A grey level: in whole ones, several lengths of a row would often fit equally well.
const LEVEL: u64 = 256;

/// Looks at the first frames of a stream.
#[derive(Debug, Default)]
pub struct ShearCheck {
    frames: u32,
}

impl ShearCheck {
    /// Starts before the first frame of a format; `None` if its frames carry their size themselves.
    pub fn for_format(format: Option<Format>) -> Option<ShearCheck> {
        (!matches!(format, Some(Format::Mjpeg | Format::Y4m))).then(ShearCheck::default)
    }

    /// Returns the bytes from a row to the next as the pixels have it, if that is clearly not what the frame says. Says it once.
    pub fn look(&mut self, frame: &Frame) -> Option<usize> {
        if self.frames >= MAX_FRAMES {
            return None;
        }
        let Luma { width, stride, step, .. } = frame.luma;
        if width < 64 {
            return None;
        }
        let believed = difference(frame, stride)?;
        if believed < MIN_DIFFERENCE {
            return None;
        }
        self.frames += 1;
        // A row of half the length or of twice is another size altogether, and found as well. RGB has rows of three times the
        // length of luma, or of four.
        let nearby = (stride / 2..=2 * stride).step_by(step).filter(|other| other.abs_diff(stride) >= 2 * step);
        let candidates = nearby.chain([3 * stride, 4 * stride]);
        let (best, found) = candidates.filter_map(|other| Some((difference(frame, other)?, other))).min()?;
        if 2 * best > believed {
            return None;
        }
        self.frames = MAX_FRAMES;
        Some(found)
    }
}

/// The mean difference between pixels that lie `stride` bytes apart, in the first rows of a frame, in units of [`LEVEL`].
fn difference(frame: &Frame, stride: usize) -> Option<u64> {
    let Luma { width, height, offset, step, stride: believed } = frame.luma;
    let luma = frame.bytes.get(offset..offset + believed * height)?;
    let (every_row, every_column) = ((height / ROWS).max(1), (width / COLUMNS).max(1));
    let (mut sum, mut count) = (0u64, 0u64);
    for row in (0..height).step_by(every_row) {
        for column in (0..width).step_by(every_column) {
            let at = row * believed + column * step;
            let Some(next) = luma.get(at + stride) else { break };
            sum += u64::from(luma[at].abs_diff(*next));
            count += 1;
        }
    }
    (count > 0).then(|| sum * LEVEL / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of blobs, rows of `stride` bytes, read as rows of `believed` bytes.
    fn frame(width: usize, stride: usize, believed: usize) -> Frame {
        let height = 200;
        let pixel = |x: usize, y: usize| match x < width {
            true => {
                (128.0
                    + 60.0 * ((x as f32 / 17.0).sin() * (y as f32 / 23.0).cos())
                    + 60.0 * ((x * x) as f32 / 9000.0).sin()) as u8
            }
            false => 0,
        };
        let bytes = (0..height).flat_map(|y| (0..stride).map(move |x| pixel(x, y))).collect();
        let layout = Format::Grey.layout(width.min(believed), 100, Some(believed)).unwrap();
        Frame { bytes, luma: layout.luma, ..Frame::default() }
    }

    #[test]
    fn only_raw_frames_are_looked_at() {
        for format in Format::ALL {
            let is_raw = format.layout(64, 64, None).is_some();
            assert_eq!(ShearCheck::for_format(Some(format)).is_some(), is_raw, "{format}");
        }
    }

    #[test]
    fn a_wrong_length_of_rows_is_noticed_and_a_right_one_is_not() {
        for (width, stride) in [(780, 832), (320, 384), (200, 256), (640, 648)] {
            assert_eq!(ShearCheck::default().look(&frame(width, stride, stride)), None, "{width} {stride}");
            let found = ShearCheck::default().look(&frame(width, stride, width));
            assert_eq!(found, Some(stride), "{width}");
        }
        // Another width than the program writes.
        assert_eq!(ShearCheck::default().look(&frame(640, 640, 800)), Some(640));
        // Of a smooth picture many a length nearly fits.
        let pixel = |at: usize| 128.0 + 50.0 * ((at % 480) as f32 / 90.0).sin() * ((at / 480) as f32 / 60.0).cos();
        let bytes = (0..640 * 200).map(|at| pixel(at) as u8).collect();
        let layout = Format::Grey.layout(640, 200, None).unwrap();
        let smooth = Frame { bytes, luma: layout.luma, ..Frame::default() };
        assert_eq!(ShearCheck::default().look(&smooth), Some(480));
        // It is said once.
        let (mut check, wrong) = (ShearCheck::default(), frame(780, 832, 780));
        assert!(check.look(&wrong).is_some() && check.look(&wrong).is_none());
        // Nothing can be told of dark frames, with which some cameras begin for seconds.
        let dark = Frame { bytes: vec![3; 100_000], luma: wrong.luma, ..Frame::default() };
        let mut check = ShearCheck::default();
        for _ in 0..100 {
            assert_eq!(check.look(&dark), None);
        }
        assert_eq!(check.look(&wrong), Some(832));
        // RGB, with and without a fourth byte, in place of grey.
        for channels in [3, 4] {
            let grey = frame(320, 320, 320);
            let bytes = grey.bytes.iter().flat_map(|pixel| vec![*pixel; channels]).collect();
            let colour = Frame { bytes, luma: grey.luma, ..Frame::default() };
            assert_eq!(ShearCheck::default().look(&colour), Some(320 * channels), "{channels}");
        }
    }
}
