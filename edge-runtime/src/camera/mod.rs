//! Where frames come from: cameras, programs that write frames, videos and pictures. `docs/sources.md` tells how to use them.
//!
//! ```text
//! --source text -> Spec -> open -> Source -> next, next, next: Frame | Waiting | Lost | Back | End
//! ```
//! A [`Source`] never keeps its caller for long: it says [`Next::Waiting`] and returns, so that a watchdog can be fed. What
//! is live, a V4L2 camera or a program, is opened again by [`live`] when it is lost.

mod ahead;
mod backoff;
mod clock;
mod command;
mod error;
mod format;
mod framing;
pub mod live;
mod media;
pub mod mjpeg;
mod negotiate;
mod pictures;
mod pipe;
mod process;
pub mod reader;
mod secret;
mod shear;
mod shell;
mod spec;
mod turned;
mod v4l2;
mod video;
pub mod y4m;

use std::path::PathBuf;
use std::time::Duration;

pub use backoff::Backoff;
pub use error::CameraError;
pub use expression_engine::picture::{MAX_PIXELS, MAX_SIDE};
pub use format::{Format, Layout};
pub use negotiate::{Choice, FormatInfo, Size, Sizes, Wish, ranked};
pub use secret::without_password;
pub use spec::Spec;
pub use v4l2::{DeviceInfo, devices};

use expression_core::Turn;

use crate::frame::Frame;

/// The longest that [`Source::next`] waits for a frame. Decoding one comes on top.
pub const MAX_WAIT: Duration = Duration::from_millis(200);

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
    /// Waits at most [`MAX_WAIT`] for the next frame and fills `frame` with it, in the buffers that it has. What
    /// `frame` holds after another answer than [`Next::Frame`] is undefined.
    ///
    /// # Errors
    /// Returns an error if the source cannot go on: a damaged video, an error of the disk. The next answer is then [`Next::End`].
    fn next(&mut self, frame: &mut Frame) -> Result<Next, CameraError>;

    /// What it is, for people: name, size and format as far as they are known.
    fn describe(&self) -> String;

    /// The files that it opens later on, or the folders that they lie in; none if it opens nothing but its own device.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// How many pictures or frames were damaged and left out so far.
    fn skipped(&self) -> u64 {
        0
    }
}

/// How sources are opened, how their frames lie, and how patient they are.
#[derive(Debug, Clone)]
pub struct CameraOptions {
    /// Width and height in pixels: what a camera is asked for, and what a program is known to write.
    pub size: Option<[u32; 2]>,
    /// The format that a camera is asked for, or that a program writes.
    pub format: Option<Format>,
    /// Frames per second that a camera is asked for.
    pub rate: Option<u32>,
    /// Play a video at its frame rate instead of as fast as possible.
    pub realtime: bool,
    /// Wait for a camera that cannot be opened at the start, instead of refusing it.
    pub wait_for_camera: bool,
    /// A camera that is lost, or given up, before its first frame is an error, instead of being opened again.
    pub fail_without_frame: bool,
    /// The source is a recording: it is opened once, frames are waited for without a limit, and the first error is the end.
    pub once: bool,
    /// A program that ends with success ends the source, instead of being started again.
    pub end_with_command: bool,
    /// The program behind the source is never held back: frames that are not taken within a second are left out.
    pub newest: bool,
    /// How the frames are to be turned to be upright.
    pub turn: Turn,
    /// Bytes from a row of luma to the next in the raw frames that a program writes, if rows are padded.
    pub stride: Option<usize>,
    /// A camera without a frame for this long is lost. Without it several of the intervals seen between frames are allowed, at
    /// least 3 s.
    pub stall: Option<Duration>,
    /// After this long without a frame a warning is logged about a source that is waited for without a limit.
    pub first_frame: Duration,
    /// No frame for [`CameraOptions::first_frame`] after the opening means that the source hangs, and it is lost. Otherwise the
    /// first frame may take any time.
    pub starts_soon: bool,
    /// The pause before the first attempt to open a camera again; it doubles with each attempt.
    pub first_retry: Duration,
    /// The longest of these pauses.
    pub longest_retry: Duration,
}

impl Default for CameraOptions {
    fn default() -> CameraOptions {
        CameraOptions {
            size: None,
            format: None,
            rate: None,
            realtime: false,
            wait_for_camera: false,
            fail_without_frame: false,
            once: false,
            end_with_command: false,
            newest: false,
            turn: Turn::default(),
            stride: None,
            stall: None,
            first_frame: Duration::from_secs(30),
            starts_soon: false,
            first_retry: Duration::from_millis(500),
            longest_retry: Duration::from_secs(30),
        }
    }
}

impl CameraOptions {
    /// Returns the flags of `run` that are given and have no effect on such a source.
    fn unused(&self, spec: &Spec) -> Vec<&'static str> {
        let is_camera = matches!(spec, Spec::V4l2 { .. });
        let is_program = matches!(spec, Spec::Command { .. });
        let flags = [
            ("--frame-size", self.size.is_some() && !is_camera && !is_program),
            ("--frame-format", self.format.is_some() && !is_camera && !is_program),
            ("--frame-stride", self.stride.is_some() && !is_program),
            ("--frame-rate", self.rate.is_some() && !is_camera),
        ];
        flags.into_iter().filter(|(_, is_unused)| *is_unused).map(|(flag, _)| flag).collect()
    }
}

/// Opens what `spec` names.
///
/// # Errors
/// Says what is missing or unusable, and what to do. A camera that cannot be opened is waited for instead if
/// [`CameraOptions::wait_for_camera`] says so.
pub fn open(spec: &Spec, options: &CameraOptions) -> Result<Box<dyn Source>, CameraError> {
    for flag in options.unused(spec) {
        tracing::warn!(
            "{flag} has no effect on this source, whose frames are taken as they come; set size, format and rate where they come from"
        );
    }
    let source: Box<dyn Source> = match spec {
        Spec::V4l2 { device, wish } => Box::new(v4l2::open(device, wish, options)?),
        Spec::Command { words } => Box::new(command::open(words, options)?),
        Spec::Media { address } => Box::new(media::open(address, options)?),
        Spec::Y4m { file } => Box::new(video::Video::open(file.as_deref(), options.realtime)?),
        Spec::Dir { folder } => Box::new(pictures::Pictures::in_folder(folder)?),
        Spec::Images { pattern } => Box::new(pictures::Pictures::matching(pattern)?),
    };
    Ok(match options.turn == Turn::default() {
        true => source,
        false => Box::new(turned::Turned::new(source, options.turn)),
    })
}
