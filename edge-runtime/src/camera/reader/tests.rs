use super::*;
use crate::camera::Format;

/// Gives so many bytes at a time, and nothing at every second call.
struct Drip<'a> {
    bytes: &'a [u8],
    most: usize,
    dry: bool,
}

impl Feed for Drip<'_> {
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<Option<usize>> {
        self.dry = !self.dry;
        if self.dry {
            return Ok(None);
        }
        let most = into.len().min(self.most);
        self.bytes.read(&mut into[..most], wait)
    }
}

fn raw() -> Reader<Raw> {
    Reader::new(Raw(Format::I420.layout(6, 4, None).unwrap()))
}

#[test]
fn raw_frames_come_out_as_they_went_in_however_they_arrive() {
    let bytes: Vec<u8> = (0..3 * 36).map(|i| i as u8).collect();
    for most in [1, 7, 36, 1000] {
        let (mut reader, mut frame) = (raw(), Frame::default());
        let mut feed = Drip { bytes: &bytes, most, dry: false };
        let mut frames = Vec::new();
        loop {
            match reader.next(&mut feed, &mut frame, Duration::from_secs(9)).unwrap() {
                Got::Frame => frames.push(frame.bytes.clone()),
                Got::Waiting => {}
                Got::End => break,
            }
        }
        assert_eq!(frames.concat(), bytes);
        assert_eq!(frames.len(), 3);
        assert_eq!(frame.view().unwrap().luma(5, 3), 2 * 36 + 23);
    }
}

#[test]
fn a_stream_that_ends_within_a_frame_is_damaged() {
    let (mut reader, mut frame) = (raw(), Frame::default());
    let mut feed = &[0; 40][..];
    assert_eq!(reader.next(&mut feed, &mut frame, Duration::from_secs(9)).unwrap(), Got::Frame);
    let fault = reader.next(&mut feed, &mut frame, Duration::from_secs(9)).unwrap_err();
    assert!(fault.to_string().contains("ends within a frame"), "{fault}");
}

#[test]
fn memory_follows_the_bytes_and_not_their_claim() {
    let mut reader = Reader::new(Raw(Format::Grey.layout(4096, 4096, None).unwrap()));
    let mut feed = &[0; 100][..];
    assert!(reader.next(&mut feed, &mut Frame::default(), Duration::from_secs(9)).is_err());
    assert!(reader.buffer.capacity() <= 2 * GROWTH, "{}", reader.buffer.capacity());
}
