//! The built-in clip of rendered people: `edge-runtime/clip/README.md`.

use std::time::{Duration, Instant};

use crate::camera::mjpeg::Framer;
use crate::camera::reader::{Got, Reader};
use crate::camera::{CameraError, MAX_WAIT, Next, Source};
use crate::frame::Frame;

const PICTURES: &[u8] = include_bytes!("../../../clip/people.mjpeg");
/// Time from one picture to the next.
const INTERVAL: Duration = Duration::from_millis(125);

/// Plays the clip at its own rate, again and again.
pub struct Clip {
    rest: &'static [u8],
    reader: Reader<Framer>,
    sequence: u64,
    due: Instant,
}

impl Clip {
    /// Starts at the first picture.
    pub fn new() -> Clip {
        Clip { rest: PICTURES, reader: Reader::new(Framer::default()), sequence: 0, due: Instant::now() }
    }
}

impl Source for Clip {
    fn next(&mut self, frame: &mut Frame) -> Result<Next, CameraError> {
        let wait = self.due.saturating_duration_since(Instant::now());
        std::thread::sleep(wait.min(MAX_WAIT));
        if wait > MAX_WAIT {
            return Ok(Next::Waiting);
        }
        match self.reader.next(&mut self.rest, frame, MAX_WAIT) {
            Ok(Got::Frame) => {
                frame.sequence = self.sequence;
                frame.stamp = crate::clock::now();
                self.sequence += 1;
                // A board that is too slow shows fewer pictures instead of falling behind.
                self.due = (self.due + INTERVAL).max(Instant::now());
                Ok(Next::Frame)
            }
            // At the end of the clip, or damage, which it does not have: from the start.
            Ok(Got::Waiting | Got::End) | Err(_) => {
                (self.rest, self.reader) = (PICTURES, Reader::new(Framer::default()));
                Ok(Next::Waiting)
            }
        }
    }

    fn describe(&self) -> String {
        "the built-in clip of rendered people".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clip_is_small_and_begins_again_after_its_last_picture() {
        assert!(PICTURES.len() < 1_000_000, "the clip has {} bytes", PICTURES.len());
        let (mut clip, mut frame, mut pictures, mut turns) = (Clip::new(), Frame::default(), 0, 0);
        while turns < 2 {
            clip.due = Instant::now();
            match clip.next(&mut frame).unwrap() {
                Next::Frame => {
                    assert_eq!((frame.size(), frame.sequence), ([400, 300], pictures));
                    pictures += 1;
                }
                _ => turns += 1,
            }
        }
        assert_eq!(pictures, 2 * 160);
    }
}
