//! Why frames could not be had.

use std::io;

use expression_engine::error::{Classify, ErrorKind};

/// Why frames could not be had. Every message says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// The text of a source does not parse, or lacks something.
    #[error("--source {text}: {reason}")]
    Spec {
        /// The text.
        text: String,
        /// What is wrong with it, and what to write instead.
        reason: String,
    },
    /// A camera, program, file or folder that is not there, may not be opened, or cannot do what was asked.
    #[error("cannot open {what}: {reason}")]
    Unavailable {
        /// What was to be opened.
        what: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// Bytes that are no frames.
    #[error("{what}: {reason}")]
    Damaged {
        /// Where they come from.
        what: String,
        /// What is wrong with them.
        reason: String,
    },
    /// Reading stopped: a camera that was unplugged, a program that ended, a disk.
    #[error("{what} gives no more frames: {reason}")]
    Gone {
        /// What was read.
        what: String,
        /// Why.
        reason: String,
    },
}

impl Classify for CameraError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::BadInput
    }
}

impl CameraError {
    /// Says of `what` that it cannot be opened, with advice where the system's error has a known cure.
    pub(super) fn unavailable(what: impl Into<String>, error: &io::Error) -> CameraError {
        CameraError::Unavailable { what: what.into(), reason: error.to_string() }
    }
}
