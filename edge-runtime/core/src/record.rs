//! What is recorded of a face in a frame.

use crate::Label;

/// When a frame was captured, by two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    /// `CLOCK_MONOTONIC`, in nanoseconds: the clock of V4L2's frame timestamps.
    pub monotonic_ns: u64,
    /// Unix time in microseconds, by the wall clock.
    pub wall_us: i64,
}

/// A face box in pixels of the frame; it may reach outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// Left edge.
    pub left: i16,
    /// Top edge.
    pub top: i16,
    /// Width.
    pub width: u16,
    /// Height.
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

/// Whether a face can be read, and if not, why. The discriminant is what journals hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Quality {
    /// It can.
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
    /// All of them in the order of their discriminants.
    pub const ALL: [Quality; 5] = [Quality::Good, Quality::Small, Quality::Turned, Quality::Blurred, Quality::Cut];

    /// The name used in files and logs.
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

/// What is said of one face in one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record {
    /// Number of the track, from 1: the same face in every frame of its visit.
    pub track: u32,
    /// Where the face is.
    pub bounds: Bounds,
    /// Whether it could be read.
    pub quality: Quality,
    /// The net's integer scores in the order of [`Label::ALL`]; `None` where [`Record::quality`] forbids to guess. A label
    /// that the model lacks has 0.
    pub scores: Option<[u8; Label::COUNT]>,
    /// The smoothed label; `None` while nothing is sure enough.
    pub label: Option<Label>,
    /// Smoothed probability of the likeliest label, in 255ths.
    pub confidence: u8,
}
