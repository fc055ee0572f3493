//! Streams of frames and files of pictures.

use std::io::{self, Cursor};
use std::path::Path;
use std::time::Duration;

use edge_runtime::camera::reader::{Feed, Framing, Got, Raw, Reader};
use edge_runtime::camera::{Format, MAX_PIXELS, MAX_SIDE, mjpeg, y4m};
use edge_runtime::frame::Frame;
use expression_core::FaceInput;
use expression_engine::Picture;
use expression_engine::files::sha256;

/// Bytes that arrive in pieces, with pauses between them.
struct Pieces<'a> {
    bytes: &'a [u8],
    piece: usize,
    reads: usize,
}

impl Feed for Pieces<'_> {
    fn read(&mut self, into: &mut [u8], _: Duration) -> io::Result<Option<usize>> {
        self.reads += 1;
        if self.reads.is_multiple_of(5) {
            return Ok(None);
        }
        let count = into.len().min(self.piece);
        io::Read::read(&mut self.bytes, &mut into[..count]).map(Some)
    }
}

/// What a stream gives: its frames, and how it ends.
fn frames(framing: impl Framing, bytes: &[u8], piece: usize) -> (Vec<String>, u64, String) {
    let mut reader = Reader::new(framing);
    let mut feed = Pieces { bytes, piece, reads: 0 };
    let (mut frame, mut seen) = (Frame::default(), Vec::new());
    for _ in 0..20 * bytes.len() + 100 {
        match reader.next(&mut feed, &mut frame, Duration::from_millis(50)) {
            Ok(Got::Frame) => {
                sound(&frame);
                let luma = frame.luma;
                seen.push(format!("{}x{} {}", luma.width, luma.height, sha256(&frame.bytes)));
            }
            Ok(Got::Waiting) => {}
            Ok(Got::End) => return (seen, reader.skipped, String::new()),
            Err(fault) => {
                // What came instead is shown as far as it has arrived.
                let told = fault.to_string();
                let told = told.split_once(", but with ").map_or(told.as_str(), |(told, _)| told).to_owned();
                return (seen, reader.skipped, told);
            }
        }
    }
    panic!("the stream does not end");
}

fn sound(frame: &Frame) {
    assert!(frame.view().is_some(), "{:?} in {} bytes", frame.luma, frame.bytes.len());
    let (width, height) = (frame.luma.width, frame.luma.height);
    assert!(width <= MAX_SIDE && height <= MAX_SIDE && width * height <= MAX_PIXELS);
}

/// Reads a stream whose first byte says in which pieces it arrives; these must not matter.
fn stream<F: Framing>(bytes: &[u8], framing: impl Fn() -> F) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let pieces = frames(framing(), bytes, usize::from(*piece) + 1);
    assert_eq!(pieces, frames(framing(), bytes, usize::MAX));
}

/// Reads a video.
pub fn y4m(bytes: &[u8]) {
    stream(bytes, y4m::Framer::default);
}

/// Reads Motion JPEG, and the first picture of a camera's buffer.
pub fn mjpeg(bytes: &[u8]) {
    stream(bytes, mjpeg::Framer::default);
    let mut frame = Frame::default();
    if mjpeg::Decoder::default().decode_first(bytes, &mut frame).is_ok() {
        sound(&frame);
    }
}

/// Reads frames that follow one another with nothing between them; three bytes say their format and size.
pub fn raw(bytes: &[u8]) {
    let Some(([format, width, height], bytes)) = bytes.split_first_chunk() else { return };
    let format = Format::ALL[usize::from(*format) % Format::ALL.len()];
    let Some(layout) = format.layout((*width).into(), (*height).into(), None) else { return };
    assert!(layout.luma_end() <= layout.bytes);
    stream(bytes, || Raw(layout));
}

/// Reads a picture file, and makes an aligned face of it.
pub fn picture(bytes: &[u8]) {
    let Ok(picture) = Picture::read(Cursor::new(bytes), Path::new("fuzz")) else { return };
    assert_eq!(picture.data.len(), picture.width * picture.height * picture.channels);
    let _ = picture.aligned_face(FaceInput { channels: 1, aligned: 12, size: 10 });
}
