//! Where frames come from: cameras, programs that write frames, videos and pictures. `docs/sources.md` tells how to use them.
//!
//! ```text
//! --source text -> Spec -> open -> Source -> next, next, next: Frame | Waiting | Lost | Back | End
//! ```
//! A [`Source`] never keeps its caller for long: it says [`Next::Waiting`] and returns, so that a watchdog can be fed. What
//! is live, a V4L2 camera or a program, is opened again by [`live`] when it is lost.

mod backoff;
mod clock;
mod command;
mod error;
mod format;
pub mod live;
pub mod mjpeg;
mod negotiate;
mod pictures;
mod pipe;
mod process;
pub mod reader;
mod spec;
mod v4l2;
mod video;
pub mod y4m;

use std::time::Duration;

pub use backoff::Backoff;
pub use error::CameraError;
pub use format::{Format, LONGEST_SIDE, Layout, MOST_PIXELS};
pub use negotiate::{Choice, FormatInfo, Size, Sizes, Wish, ranked};
pub use spec::Spec;
pub use v4l2::{DeviceInfo, devices};

use crate::frame::Frame;

/// The longest that [`Source::next`] waits for a frame. Decoding one comes on top.
pub const LONGEST_WAIT: Duration = Duration::from_millis(200);

/// What a source has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The frame was filled.
    Frame,
    /// Nothing yet; ask again.
    Waiting,
    /// The camera is gone or silent. Said once; the source tries to open it again from now on.
    Lost {
        /// Why, for the log.
        reason: String,
    },
    /// The camera is there again; its first frame comes with the next call.
    Back {
        /// Time from the last frame before the loss (or from the start) to the first one after it.
        gap: Duration,
    },
    /// There will be no more frames.
    End,
}

/// Something that frames come from.
pub trait Source: Send {
    /// Waits at most [`LONGEST_WAIT`] for the next frame and fills `frame` with it, in the buffers that it has. What
    /// `frame` holds after another answer than [`Next::Frame`] is undefined.
    ///
    /// # Errors
    /// Where the source cannot go on: a damaged video, an error of the disk. The next answer is then [`Next::End`].
    fn next(&mut self, frame: &mut Frame) -> Result<Next, CameraError>;

    /// What it is, for people: name, size and format as far as they are known.
    fn describe(&self) -> String;

    /// How many pictures or frames were damaged and left out so far.
    fn skipped(&self) -> u64 {
        0
    }
}

/// How sources are opened, and how patient they are.
#[derive(Debug, Clone)]
pub struct Options {
    /// Width and height in pixels: what a camera is asked for, and what a program is known to write.
    pub size: Option<[u32; 2]>,
    /// The format that a camera is asked for, or that a program writes.
    pub format: Option<Format>,
    /// Frames a second that a camera is asked for.
    pub rate: Option<u32>,
    /// Play a video at its frame rate instead of as fast as possible.
    pub realtime: bool,
    /// Wait for a camera that cannot be opened at the start, instead of refusing it.
    pub wait_for_camera: bool,
    /// A program that ends with success ends the source, instead of being started again.
    pub end_with_command: bool,
    /// A camera without a frame for so long is lost.
    pub stall: Duration,
    /// The pause before the first attempt to open a camera again; it doubles with each attempt
    pub first_retry: Duration,
    /// up to this one.
    pub longest_retry: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            size: None,
            format: None,
            rate: None,
            realtime: false,
            wait_for_camera: false,
            end_with_command: false,
            stall: Duration::from_secs(3),
            first_retry: Duration::from_millis(500),
            longest_retry: Duration::from_secs(30),
        }
    }
}

/// Opens what `spec` names.
///
/// # Errors
/// Where it is missing or unusable, with what to do. A camera that cannot be opened is waited for instead where
/// [`Options::wait_for_camera`] says so.
pub fn open(spec: &Spec, options: &Options) -> Result<Box<dyn Source>, CameraError> {
    Ok(match spec {
        Spec::V4l2 { device, wish } => Box::new(v4l2::open(device, wish, options)?),
        Spec::Command { words } => Box::new(command::open(words, options)?),
        Spec::Y4m { file } => Box::new(video::Video::open(file.as_deref(), options.realtime)?),
        Spec::Dir { folder } => Box::new(pictures::Pictures::of_folder(folder)?),
        Spec::Images { pattern } => Box::new(pictures::Pictures::of_pattern(pattern)?),
    })
}
