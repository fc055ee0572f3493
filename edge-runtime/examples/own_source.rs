//! A frame source of one's own: a window that pans over a picture, as a stand-in for hardware that this project does not know.
//!
//!     cargo run -p edge-runtime --example own_source -- BUNDLE PICTURE
//!
//! The bundle needs its face detector (`host-trainer detector BUNDLE` adds it). One line per frame says who was seen.

use std::process::ExitCode;
use std::time::Instant;

use edge_runtime::camera::{CameraError, Next, Source};
use edge_runtime::frame::{Frame, Luma, Observation};
use edge_runtime::pipeline::{Options, Pipeline, Profile};
use expression_core::Stamp;
use expression_engine::error::{self, Error};
use expression_engine::{EngineOptions, Picture, selftest};

/// Width and height of a frame in pixels, at most.
const FRAME: [usize; 2] = [320, 240];
/// Pixels by which the window moves from one frame to the next.
const STEP: usize = 8;
/// Nanoseconds from one frame to the next.
const INTERVAL_NS: u64 = 40_000_000;

/// Frames from a window that pans over a picture from left to right.
struct Pan {
    picture: Picture,
    next: u64,
}

impl Source for Pan {
    fn next(&mut self, frame: &mut Frame) -> Result<Next, CameraError> {
        let left = self.next as usize * STEP;
        let [width, height] = [FRAME[0].min(self.picture.width), FRAME[1].min(self.picture.height)];
        if left + width > self.picture.width {
            return Ok(Next::End);
        }
        let Some(view) = self.picture.view() else { return Ok(Next::End) };
        // The same frame comes back every time, so its buffer is reused rather than allocated.
        frame.bytes.clear();
        for y in 0..height {
            frame.bytes.extend((left..left + width).map(|x| view.luma(x, y)));
        }
        frame.luma = Luma { width, height, offset: 0, step: 1, stride: width };
        frame.sequence = self.next;
        frame.stamp = Stamp { monotonic_ns: self.next * INTERVAL_NS, wall_us: (self.next * INTERVAL_NS / 1000) as i64 };
        frame.name = None;
        self.next += 1;
        Ok(Next::Frame)
    }

    fn describe(&self) -> String {
        format!("a pan over a picture of {}x{} pixels", self.picture.width, self.picture.height)
    }
}

fn main() -> ExitCode {
    error::finish(|| {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let [bundle, picture] = &arguments[..] else {
            return Err(Error::bad_input("usage: own_source BUNDLE PICTURE"));
        };
        let mut source = Pan { picture: Picture::open(picture.as_ref())?, next: 0 };
        let (bundle, engine) = selftest::open(bundle.as_ref(), EngineOptions::default())?;
        let mut pipeline = Pipeline::new(&bundle, engine, Options::moving().with_confidence_of(&bundle))?;
        let mut profile = Profile::new(Instant::now());
        let (mut frame, mut observation) = (Frame::default(), Observation::default());
        eprintln!("{}", source.describe());
        loop {
            match source.next(&mut frame)? {
                Next::Frame => pipeline.observe(&frame, &mut observation, &mut profile, |_, _| ())?,
                Next::End => return Ok(()),
                // A source that waits for hardware says so here instead of blocking.
                Next::Waiting | Next::Lost { .. } | Next::Back { .. } => continue,
            }
            let seen: Vec<String> = observation
                .faces
                .iter()
                .map(|face| format!("{} {}", face.track, face.label.map_or("unsure", |label| label.name())))
                .collect();
            error::print(&format!("frame {}: {}", observation.sequence, seen.join(", ")))?;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_pan_over_the_picture_and_end_at_its_edge() {
        let width = FRAME[0] + 2 * STEP;
        let data = (0..width * FRAME[1]).map(|index| (index % width % 256) as u8).collect();
        let mut source = Pan { picture: Picture { width, height: FRAME[1], channels: 1, data }, next: 0 };
        let mut frame = Frame::default();
        for sequence in 0..3 {
            assert_eq!(source.next(&mut frame).unwrap(), Next::Frame);
            let view = frame.view().unwrap();
            assert_eq!((frame.sequence, view.width(), view.height()), (sequence, FRAME[0], FRAME[1]));
            assert_eq!(usize::from(view.luma(0, 0)), sequence as usize * STEP);
        }
        assert_eq!(source.next(&mut frame).unwrap(), Next::End);
    }
}
