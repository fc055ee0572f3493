//! Whether raw frames have as many bytes as is believed: if not, each begins somewhere else in the picture, and no face is found. Rows
//! may be right all the same, as those of I420 that are taken for grey.

use super::super::Format;
use super::told::Written;

/// Frames that are looked at, at most, besides those that are too flat to tell.
const MAX_FRAMES: u32 = 30;
/// Another length must fit so many frames in turn: a cut or a flash fits nothing.
const MIN_HITS: u32 = 3;
/// Pairs of bytes that are compared, about.
const PAIRS: usize = 10_000;
/// Mean difference between places of the picture, in units of [`LEVEL`], below which it is too flat to tell.
const MIN_DIFFERENCE: u64 = 4 * LEVEL;
/// A grey level.
const LEVEL: u64 = 256;

/// Looks at the first frames of a stream.
#[derive(Debug)]
pub struct LengthCheck {
    /// Other lengths of a frame in bytes, and what to do if one of them is right.
    others: Vec<(usize, String)>,
    frames: u32,
    /// The last frame; empty if it tells nothing.
    last: Vec<u8>,
    /// Which of `others` fitted last, and how often in turn.
    hits: (usize, u32),
}

impl LengthCheck {
    /// Starts before the first frame of a program; `None` if its frames carry their size themselves.
    pub fn new(written: Written) -> Option<LengthCheck> {
        let (format, [width, height]) = (written.format?, written.size?.map(|side| side as usize));
        let believed = format.layout(width, height, written.stride)?.bytes;
        let mut others: Vec<(usize, String)> = Vec::new();
        let mut add = |format: Format, height: usize, advice: String| {
            let bytes = format.layout(width, height, written.stride).map(|layout| layout.bytes);
            if let Some(bytes) =
                bytes.filter(|bytes| *bytes != believed && others.iter().all(|(other, _)| other != bytes))
            {
                others.push((bytes, advice));
            }
        };
        for other in Format::ALL {
            add(other, height, format!("--frame-format {other}"));
        }
        // Decoders and scalers fill frames up to whole blocks.
        for block in [8, 16, 32, 64] {
            let taller = height.next_multiple_of(block);
            add(format, taller, format!("--frame-size {width}x{taller}"));
        }
        Some(LengthCheck { others, frames: 0, last: Vec::new(), hits: (0, 0) })
    }

    /// Returns the bytes of a frame as the pixels have it, and what to try, if that is clearly not what was believed. Says it once.
    pub fn look(&mut self, frame: &[u8]) -> Option<(usize, &str)> {
        if self.frames >= MAX_FRAMES {
            return None;
        }
        let far =
            [frame.len() * 2 / 5, frame.len() * 3 / 7].into_iter().filter_map(|far| apart(frame, &[], far)).min()?;
        if far < MIN_DIFFERENCE {
            self.last.clear();
            return None;
        }
        self.frames += 1;
        let found = self.found(frame, far);
        self.hits = match found {
            Some(found) if found == self.hits.0 => (found, self.hits.1 + 1),
            Some(found) => (found, 1),
            None => (0, 0),
        };
        self.last.clear();
        if self.hits.1 < MIN_HITS && self.frames < MAX_FRAMES {
            self.last.extend_from_slice(frame);
            return None;
        }
        self.frames = MAX_FRAMES;
        self.last = Vec::new();
        let (bytes, advice) = self.others.get(self.hits.0).filter(|_| self.hits.1 >= MIN_HITS)?;
        Some((*bytes, advice.as_str()))
    }

    /// Which other length fits this frame and the last one much better than the believed one.
    fn found(&self, frame: &[u8], far: u64) -> Option<usize> {
        if self.last.len() != frame.len() {
            return None;
        }
        let believed = apart(&self.last, frame, frame.len())?;
        let fits = |bytes: usize| {
            let found = apart(&self.last, frame, bytes)?;
            (believed >= MIN_DIFFERENCE && 2 * found <= believed && 2 * found <= far).then_some(found)
        };
        let others = self.others.iter().enumerate();
        let fitting: Vec<(u64, usize, usize)> =
            others.filter_map(|(other, (bytes, _))| Some((fits(*bytes)?, *bytes, other))).collect();
        let (_, best, _) = *fitting.iter().min()?;
        // Two frames fit as well as one.
        let shortest =
            fitting.iter().filter(|(_, bytes, _)| best.is_multiple_of(*bytes)).min_by_key(|(_, bytes, _)| *bytes);
        shortest.map(|(_, _, other)| *other)
    }
}

/// The mean difference between bytes that are `distance` apart in two pieces of a stream, in units of [`LEVEL`]; `None` if too few
/// are.
fn apart(first: &[u8], second: &[u8], distance: usize) -> Option<u64> {
    let byte = |at: usize| first.get(at).or_else(|| second.get(at - first.len()));
    let count = (first.len() + second.len()).checked_sub(distance).filter(|count| *count >= first.len() / 8)?;
    // An odd step meets every column of a picture.
    let pairs =
        (0..count).step_by((count / PAIRS) | 1).filter_map(|at| Some(byte(at)?.abs_diff(*byte(at + distance)?)));
    let (sum, count) = pairs.fold((0u64, 0u64), |(sum, count), difference| (sum + u64::from(difference), count + 1));
    (count > 0).then(|| sum * LEVEL / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: [usize; 2] = [96, 60];

    /// A stream of frames in a format, with rows more than the picture has; the picture moves a little.
    fn stream(format: Format, more: usize) -> Vec<u8> {
        let [width, height] = SIZE;
        let mut bytes = Vec::new();
        for frame in 0..20 {
            let start = bytes.len();
            for y in 0..height + more {
                bytes.extend((0..width).map(|x| match y < height {
                    true => (128.0 + 90.0 * ((x + frame % 2) as f32 / 9.0).sin() * (y as f32 / 17.0).cos()) as u8,
                    false => 0,
                }));
            }
            bytes.resize(start + format.layout(width, height + more, None).unwrap().bytes, 128);
        }
        bytes
    }

    fn told(format: Format, stream: &[u8]) -> Option<(usize, String)> {
        let size = Some(SIZE.map(|side| side as u32));
        let mut check = LengthCheck::new(Written { format: Some(format), size, stride: None }).unwrap();
        let frames = stream.chunks_exact(format.layout(SIZE[0], SIZE[1], None).unwrap().bytes);
        let told: Vec<_> =
            frames.filter_map(|frame| check.look(frame).map(|(bytes, advice)| (bytes, advice.to_owned()))).collect();
        assert!(told.len() <= 1);
        told.into_iter().next()
    }

    #[test]
    fn frames_of_another_length_are_noticed_and_right_ones_are_not() {
        for format in [Format::Grey, Format::Nv12, Format::I420] {
            assert_eq!(told(format, &stream(format, 0)), None, "{format}");
        }
        let planes = SIZE[0] * SIZE[1] * 3 / 2;
        assert_eq!(told(Format::Grey, &stream(Format::I420, 0)), Some((planes, "--frame-format nv12".into())));
        assert_eq!(told(Format::I420, &stream(Format::Grey, 0)).unwrap().1, "--frame-format gray");
        assert_eq!(told(Format::Yuyv, &stream(Format::Nv12, 0)).unwrap().1, "--frame-format nv12");
        assert_eq!(told(Format::Grey, &stream(Format::Grey, 4)).unwrap().1, "--frame-size 96x64");
        // Nothing can be told of dark frames, and flashes are no other length.
        assert_eq!(told(Format::Grey, &[3; 96 * 60 * 20]), None);
        for format in [Format::Grey, Format::I420] {
            let mut flashes = stream(format, 0);
            let bytes = format.layout(SIZE[0], SIZE[1], None).unwrap().bytes;
            let bright = flashes.chunks_exact_mut(bytes).step_by(2).flatten();
            bright.for_each(|pixel| *pixel = pixel.saturating_add(60));
            assert_eq!(told(format, &flashes), None, "{format}");
        }
    }

    #[test]
    fn only_raw_frames_are_looked_at() {
        let written = |format| Written { format: Some(format), size: Some([64, 64]), stride: None };
        for format in Format::ALL {
            let is_raw = format.layout(64, 64, None).is_some();
            assert_eq!(LengthCheck::new(written(format)).is_some(), is_raw, "{format}");
        }
    }
}
