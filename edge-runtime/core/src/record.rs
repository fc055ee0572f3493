//! The record of one face in one frame.

use crate::Label;

/// The time at which a frame was captured, by two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    /// Nanoseconds of `CLOCK_MONOTONIC`, the clock of V4L2's frame timestamps.
    pub monotonic_ns: u64,
    /// Microseconds of Unix time, by the wall clock.
    pub wall_us: i64,
}

/// A face box in pixels of the frame. It may extend beyond the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// The left edge.
    pub left: i16,
    /// The top edge.
    pub top: i16,
    /// The width.
    pub width: u16,
    /// The height.
    pub height: u16,
}

impl Bounds {
    /// Returns the area in pixels.
    pub fn area(self) -> u32 {
        u32::from(self.width) * u32::from(self.height)
    }
}

/// Returns the face with the largest box, the one in front as a rule; the last of equals, `None` if there is no face.
pub fn largest<T>(faces: impl IntoIterator<Item = T>, bounds: impl Fn(&T) -> Bounds) -> Option<T> {
    faces.into_iter().max_by_key(|face| bounds(face).area())
}

/// Whether a face can be read, and if not, why not. Journals store the discriminant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Quality {
    /// The face can be read.
    #[default]
    Good,
    /// Too few pixels between the eyes.
    Small,
    /// Turned too far from the camera.
    Turned,
    /// Too blurred.
    Blurred,
    /// Cut off by the edge of the frame.
    Cut,
}

impl Quality {
    /// All values in the order of their discriminants.
    pub const ALL: [Quality; 5] = [Quality::Good, Quality::Small, Quality::Turned, Quality::Blurred, Quality::Cut];

    /// Returns the name used in files and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Quality::Good => "good",
            Quality::Small => "small",
            Quality::Turned => "turned",
            Quality::Blurred => "blurred",
            Quality::Cut => "cut",
        }
    }
}

/// What the pipeline says about one face in one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record {
    /// The number of the track, from 1. A face keeps it for as long as it stays in view.
    pub track: u32,
    /// The face box.
    pub bounds: Bounds,
    /// Whether the face could be read.
    pub quality: Quality,
    /// The net's integer scores in the order of [`Label::ALL`], or `None` if [`Record::quality`] is not good. A label that the
    /// model lacks has score 0.
    pub scores: Option<[u8; Label::COUNT]>,
    /// The smoothed label, or `None` while no label is likely enough.
    pub label: Option<Label>,
    /// The smoothed probability of the likeliest label, in 255ths.
    pub confidence: u8,
}
