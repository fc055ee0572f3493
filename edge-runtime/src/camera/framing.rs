//! How frames follow one another in a stream of bytes.

use std::time::Duration;

use super::Layout;
use crate::frame::Luma;

/// How frames follow one another in a stream.
pub trait Framing: Send {
    /// Says what the stream's next bytes are.
    ///
    /// # Errors
    /// Says why if they are not a frame and nothing that follows could be one.
    fn scan(&mut self, bytes: &[u8]) -> Result<Scan, String>;

    /// Says what the last bytes of a stream are that has ended; `None` if a stream must not end there.
    fn end(&mut self, _bytes: &[u8]) -> Option<Scan> {
        None
    }

    /// Returns the time from the first frame to the one of this number; `None` if the stream tells no frame rate.
    fn time(&self, _frame: u64) -> Option<Duration> {
        None
    }
}

impl Framing for Box<dyn Framing> {
    fn scan(&mut self, bytes: &[u8]) -> Result<Scan, String> {
        self.as_mut().scan(bytes)
    }

    fn end(&mut self, bytes: &[u8]) -> Option<Scan> {
        self.as_mut().end(bytes)
    }

    fn time(&self, frame: u64) -> Option<Duration> {
        self.as_ref().time(frame)
    }
}

/// What the next bytes of a stream are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// They do not tell yet: this many are needed.
    Need(usize),
    /// This many are neither a frame nor damage.
    Skip(usize),
    /// This many are a damaged frame.
    Damaged(usize),
    /// A frame.
    Frame {
        /// Its bytes, with what stands before its luma.
        bytes: usize,
        /// Where its luma lies.
        luma: Luma,
        /// Bits per sample. Above 8 each has two bytes, the lower first, and is made one byte in place.
        depth: u8,
    },
    /// A JPEG picture.
    Jpeg {
        /// Its bytes.
        bytes: usize,
        /// How it is written.
        form: JpegForm,
    },
}

/// How a JPEG picture is written: devices leave out much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JpegForm {
    /// It has the Huffman tables that it needs.
    pub tables: bool,
    /// Its scans bring its coefficients bit by bit.
    pub progressive: bool,
    /// Nothing lies between its segments.
    pub tidy: bool,
    /// It has an end marker.
    pub ended: bool,
}

/// Frames of the same size, one after another without anything between them.
pub struct Raw(pub Layout);

impl Framing for Raw {
    fn scan(&mut self, bytes: &[u8]) -> Result<Scan, String> {
        let Raw(layout) = self;
        Ok(match bytes.len() < layout.bytes {
            true => Scan::Need(layout.bytes),
            false => Scan::Frame { bytes: layout.bytes, luma: layout.luma, depth: 8 },
        })
    }
}
