//! Formats of frames, and where their luma lies.

use std::fmt;
use std::str::FromStr;

use expression_engine::picture::{MAX_SIDE, is_size_supported};

use crate::frame::Luma;

/// A format of frames, eight bits a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Luma alone.
    Grey,
    /// 4:2:0, a luma plane and one that holds both chroma.
    Nv12,
    /// 4:2:0 in three planes; `yuv420` of rpicam-vid.
    I420,
    /// 4:2:2, luma and chroma taking turns, luma first.
    Yuyv,
    /// 4:2:2, luma and chroma taking turns, chroma first.
    Uyvy,
    /// JPEG pictures one after another.
    Mjpeg,
    /// A YUV4MPEG2 stream: only programs and files give one.
    Y4m,
}

/// The shortest line that is taken for text, bytes.
const MIN_TEXT: usize = 12;
/// The longest.
const MAX_TEXT: usize = 200;

/// Returns the line of text that bytes begin with. Pixels hardly ever look like one: they would have to leap from letters to the end
/// of a line, which is nearly black.
fn first_words(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().take(MAX_TEXT).position(|byte| *byte == b'\n')?;
    let line = bytes.get(..end)?.trim_ascii();
    let letters = line.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let is_text = line.len() >= MIN_TEXT && 2 * letters > line.len() && line.contains(&b' ');
    let line = std::str::from_utf8(line).ok()?;
    (is_text && !line.contains(char::is_control)).then_some(line)
}

/// How a frame lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Where its luma lies.
    pub luma: Luma,
    /// Bytes of a whole frame, chroma included.
    pub bytes: usize,
}

impl Layout {
    /// Bytes from the frame's first one to the last one of its luma.
    pub fn luma_end(&self) -> usize {
        let Luma { width, height, offset, step, stride } = self.luma;
        offset + stride * (height - 1) + step * (width - 1) + 1
    }
}

impl Format {
    /// All of them, what needs the least work first.
    pub const ALL: [Format; 7] =
        [Format::Grey, Format::Nv12, Format::I420, Format::Yuyv, Format::Uyvy, Format::Mjpeg, Format::Y4m];

    /// The name in flags.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Grey => "gray",
            Format::Nv12 => "nv12",
            Format::I420 => "i420",
            Format::Yuyv => "yuyv",
            Format::Uyvy => "uyvy",
            Format::Mjpeg => "mjpeg",
            Format::Y4m => "y4m",
        }
    }

    /// The code by which V4L2 knows it.
    pub const fn fourcc(self) -> Option<[u8; 4]> {
        match self {
            Format::Grey => Some(*b"GREY"),
            Format::Nv12 => Some(*b"NV12"),
            Format::I420 => Some(*b"YU12"),
            Format::Yuyv => Some(*b"YUYV"),
            Format::Uyvy => Some(*b"UYVY"),
            Format::Mjpeg => Some(*b"MJPG"),
            Format::Y4m => None,
        }
    }

    /// The format of a V4L2 code. Those that differ in their chroma alone are the same to us.
    pub fn from_fourcc(code: [u8; 4]) -> Option<Format> {
        match &code {
            b"NV21" => Some(Format::Nv12),
            b"YV12" => Some(Format::I420),
            b"YVYU" => Some(Format::Yuyv),
            b"VYUY" => Some(Format::Uyvy),
            b"JPEG" => Some(Format::Mjpeg),
            _ => Format::ALL.into_iter().find(|format| format.fourcc() == Some(code)),
        }
    }

    /// Says what to do if the bytes that were taken for the first raw frame in this format are something else.
    pub fn mistaken(self, bytes: &[u8]) -> Option<String> {
        if let Some(found) = Format::recognized(bytes) {
            return Some(format!("it writes {found}, not {self}; give --frame-format {found}"));
        }
        if let Some(text) = first_words(bytes) {
            return Some(format!(
                "it writes text before its frames: {text}; turn that off, as -q does for gst-launch-1.0, or send it to stderr"
            ));
        }
        let coding = match bytes {
            // A parameter set or a delimiter, with which such a stream begins.
            [0, 0, 0, 1, 0x09 | 0x27 | 0x47 | 0x67, ..] => "H.264",
            [0, 0, 0, 1, 0x40 | 0x46, 1, ..] => "H.265",
            _ => return None,
        };
        Some(format!(
            "it writes {coding}, not {self}; have it write raw frames or MJPEG, or put a decoder such as ffmpeg behind it"
        ))
    }

    /// Returns the format of a stream that begins with these bytes, if it carries its format itself.
    fn recognized(bytes: &[u8]) -> Option<Format> {
        match bytes {
            [0xFF, 0xD8, 0xFF, 0xC0..=0xFE, ..] => Some(Format::Mjpeg),
            _ => bytes.starts_with(b"YUV4MPEG2").then_some(Format::Y4m),
        }
    }

    /// How a frame of `width` x `height` pixels lies in memory; `stride` is the bytes from a row to the next, if it is
    /// not the least possible.
    ///
    /// `None` for formats that say it themselves, and for sizes or strides that make no sense.
    pub fn layout(self, width: usize, height: usize, stride: Option<usize>) -> Option<Layout> {
        if !is_size_supported(width, height) {
            return None;
        }
        let (offset, step) = match self {
            Format::Grey | Format::Nv12 | Format::I420 => (0, 1),
            Format::Yuyv => (0, 2),
            Format::Uyvy => (1, 2),
            Format::Mjpeg | Format::Y4m => return None,
        };
        let row = if step == 2 { 2 * width.next_multiple_of(2) } else { width };
        let stride = stride.unwrap_or(row);
        if !(row..=8 * MAX_SIDE).contains(&stride) {
            return None;
        }
        let chroma = match self {
            // Half as many rows; a row of both chroma is as long as one of luma, rounded up to pairs.
            Format::Nv12 | Format::I420 => stride.next_multiple_of(2) * height.div_ceil(2),
            _ => 0,
        };
        Some(Layout { luma: Luma { width, height, offset, step, stride }, bytes: stride * height + chroma })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    /// By its name in flags, or V4L2's code, in any case.
    fn from_str(text: &str) -> Result<Format, String> {
        let named = |format: &Format| {
            let code = format.fourcc();
            let code = code.as_ref().and_then(|code| std::str::from_utf8(code).ok());
            text.eq_ignore_ascii_case(format.name()) || code.is_some_and(|code| text.eq_ignore_ascii_case(code))
        };
        Format::ALL.into_iter().find(named).ok_or_else(|| {
            let names = Format::ALL.map(Format::name).join(", ");
            format!("no format is called {text}; there are {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;

    fn grey(x: usize, y: usize) -> u8 {
        (x * 37 + y * 101) as u8
    }

    /// A frame in `format` whose luma is [`grey`] and whose chroma is 255, as a camera lays it out.
    fn frame(format: Format, width: usize, height: usize, stride: Option<usize>) -> Frame {
        let layout = format.layout(width, height, stride).unwrap();
        let mut bytes = vec![255; layout.bytes];
        for y in 0..height {
            for x in 0..width {
                let at = match format {
                    Format::Yuyv => y * layout.luma.stride + 2 * x,
                    Format::Uyvy => y * layout.luma.stride + 2 * x + 1,
                    _ => y * layout.luma.stride + x,
                };
                bytes[at] = grey(x, y);
            }
        }
        Frame { bytes, luma: layout.luma, ..Frame::default() }
    }

    #[test]
    fn luma_is_the_same_in_every_format() {
        for format in Format::ALL {
            for (width, height, stride) in [(6, 4, None), (7, 5, None), (6, 4, Some(32))] {
                if matches!(format, Format::Mjpeg | Format::Y4m) {
                    assert_eq!(format.layout(width, height, stride), None);
                    continue;
                }
                let frame = frame(format, width, height, stride);
                let view = frame.view().unwrap();
                assert_eq!((view.width(), view.height()), (width, height));
                for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
                    assert_eq!(view.luma(x, y), grey(x, y), "{format} {width}x{height} at {x}, {y}");
                }
            }
        }
    }

    #[test]
    fn frames_have_the_bytes_that_the_formats_say() {
        let bytes = |format: Format, width, height| format.layout(width, height, None).unwrap().bytes;
        assert_eq!(bytes(Format::Grey, 640, 480), 640 * 480);
        assert_eq!(bytes(Format::I420, 640, 480), 640 * 480 * 3 / 2);
        assert_eq!(bytes(Format::I420, 5, 3), 15 + 2 * 3 * 2);
        assert_eq!(bytes(Format::Nv12, 5, 3), 15 + 6 * 2);
        assert_eq!(bytes(Format::Yuyv, 640, 480), 640 * 480 * 2);
        assert_eq!(bytes(Format::Uyvy, 5, 3), 12 * 3);
        assert_eq!(Format::Yuyv.layout(640, 480, None).unwrap().luma_end(), 640 * 480 * 2 - 1);
    }

    #[test]
    fn what_is_no_raw_frame_is_told() {
        for (bytes, part) in [
            (&b"YUV4MPEG2 W8 H4\n"[..], "it writes y4m, not nv12; give --frame-format y4m"),
            (b"\xFF\xD8\xFF\xE0", "it writes mjpeg, not nv12"),
            (b"Setting pipeline to PAUSED ...\nPipe", "text before its frames: Setting pipeline to PAUSED ...; "),
            (b"\nGST_ARGUS: Creating output stream\r\n", ""),
            (b"GST_ARGUS: Creating output stream\r\nC", "text before its frames: GST_ARGUS: Creating output stream;"),
            (b"\0\0\0\x01\x67\x42", "it writes H.264, not nv12"),
            (b"\0\0\0\x01\x40\x01\x0C", "it writes H.265, not nv12"),
            (b"aaaaaaaaaaaaaaaa aaaaaaaa", ""),
            (b"hello there\n", ""),
            (b"<<<<<<<<<<<<<<< <<<<<a\n", ""),
            (b"wood\x1b[2J in the forest\n", ""),
            (&[0; 64], ""),
            (&[16; 64], ""),
        ] {
            match Format::Nv12.mistaken(bytes) {
                Some(reason) => assert!(!part.is_empty() && reason.contains(part), "{reason}"),
                None => assert_eq!(part, "", "{}", bytes.escape_ascii()),
            }
        }
    }

    #[test]
    fn senseless_sizes_have_no_layout() {
        for (width, height, stride) in [
            (0, 4, None),
            (4, 0, None),
            (8193, 1, None),
            (8192, 8192, None),
            (usize::MAX, usize::MAX, None),
            (640, 480, Some(639)),
            (640, 480, Some(usize::MAX)),
        ] {
            assert_eq!(Format::Grey.layout(width, height, stride), None, "{width}x{height} {stride:?}");
        }
    }

    #[test]
    fn formats_are_known_by_name_and_code() {
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(format));
            if let Some(code) = format.fourcc() {
                assert_eq!(Format::from_fourcc(code), Some(format));
                assert_eq!(String::from_utf8(code.to_vec()).unwrap().to_lowercase().parse(), Ok(format));
            }
        }
        assert!("h264".parse::<Format>().unwrap_err().contains("mjpeg"));
    }
}
