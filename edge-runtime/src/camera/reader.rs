//! From a stream of bytes to frames: reads as many bytes as a frame has, and no more, however they arrive.

use std::io;
use std::time::{Duration, Instant};

use super::{Layout, mjpeg};
use crate::frame::{Frame, Luma};

/// The buffer grows by so much at a time, so that memory follows what arrives, not what a header claims.
const GROWTH: usize = 1 << 20;

/// Where bytes come from.
pub trait Feed: Send {
    /// Reads some bytes; `None` where none arrive within `wait`, 0 where there will be none any more.
    ///
    /// # Errors
    /// Of the system.
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<Option<usize>>;
}

/// Bytes at hand.
impl Feed for &[u8] {
    fn read(&mut self, into: &mut [u8], _: Duration) -> io::Result<Option<usize>> {
        io::Read::read(self, into).map(Some)
    }
}

/// How frames follow one another in a stream.
pub trait Framing: Send {
    /// What the stream's next bytes are.
    ///
    /// # Errors
    /// Where they are no frame and nothing that follows could be; says why.
    fn scan(&mut self, bytes: &[u8]) -> Result<Scan, String>;
}

/// What the next bytes of a stream are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// They do not tell yet: so many are needed.
    Need(usize),
    /// So many are no frame and no damage.
    Skip(usize),
    /// So many are a damaged frame.
    Damaged(usize),
    /// A frame.
    Frame {
        /// Its bytes, with what stands before its luma.
        bytes: usize,
        /// Where its luma lies.
        luma: Luma,
    },
    /// A JPEG picture.
    Jpeg {
        /// Its bytes.
        bytes: usize,
        /// Whether it carries its own Huffman tables.
        tables: bool,
    },
}

/// What a stream gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Got {
    /// A frame.
    Frame,
    /// Nothing yet.
    Waiting,
    /// Its end, between two frames.
    End,
}

/// Why a stream cannot go on.
#[derive(Debug)]
pub enum Fault {
    /// Its bytes are no frames.
    Damaged(String),
    /// It could not be read.
    Read(io::Error),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Damaged(reason) => f.write_str(reason),
            Fault::Read(error) => error.fmt(f),
        }
    }
}

/// Frames of the same size, one after another without anything between them.
pub struct Raw(pub Layout);

impl Framing for Raw {
    fn scan(&mut self, bytes: &[u8]) -> Result<Scan, String> {
        let Raw(layout) = self;
        Ok(match bytes.len() < layout.bytes {
            true => Scan::Need(layout.bytes),
            false => Scan::Frame { bytes: layout.bytes, luma: layout.luma },
        })
    }
}

/// Reads frames from a [`Feed`].
pub struct Reader<F> {
    /// How they follow one another.
    pub framing: F,
    /// Frames that were damaged and left out.
    pub skipped: u64,
    buffer: Vec<u8>,
    filled: usize,
    decoder: mjpeg::Decoder,
}

impl<F: Framing> Reader<F> {
    /// Starts at the beginning of a stream.
    pub fn new(framing: F) -> Reader<F> {
        Reader { framing, skipped: 0, buffer: Vec::new(), filled: 0, decoder: mjpeg::Decoder::default() }
    }

    /// Fills the bytes and the luma of `frame` with the next frame, unless it takes longer than `wait`.
    ///
    /// # Errors
    /// Where the stream is damaged beyond the next frame, ends within one, or cannot be read.
    pub fn next(&mut self, feed: &mut dyn Feed, frame: &mut Frame, wait: Duration) -> Result<Got, Fault> {
        let until = Instant::now() + wait;
        loop {
            let have = self.buffer.get(..self.filled).unwrap_or_default();
            match self.framing.scan(have).map_err(Fault::Damaged)? {
                Scan::Need(bytes) => {
                    let most = bytes.max(self.filled + 1).min(self.filled + GROWTH);
                    if self.buffer.len() < most {
                        self.buffer.resize(most, 0);
                    }
                    let left = until.saturating_duration_since(Instant::now());
                    match feed.read(&mut self.buffer[self.filled..most], left).map_err(Fault::Read)? {
                        None => return Ok(Got::Waiting),
                        Some(0) if self.filled == 0 => return Ok(Got::End),
                        Some(0) => return Err(Fault::Damaged("ends within a frame".into())),
                        Some(read) => self.filled += read.min(most - self.filled),
                    }
                }
                Scan::Skip(bytes) => self.drop_first(bytes),
                Scan::Damaged(bytes) => {
                    self.skipped += 1;
                    self.drop_first(bytes);
                }
                Scan::Frame { bytes, luma } => {
                    self.hand_over(bytes, frame);
                    frame.luma = luma;
                    return Ok(Got::Frame);
                }
                Scan::Jpeg { bytes, tables } => {
                    let jpeg = self.buffer.get(..bytes).unwrap_or_default();
                    let decoded = self.decoder.decode(jpeg, tables, frame);
                    self.drop_first(bytes);
                    match decoded {
                        Ok(()) => return Ok(Got::Frame),
                        Err(_) => self.skipped += 1,
                    }
                }
            }
            if Instant::now() >= until {
                return Ok(Got::Waiting);
            }
        }
    }

    /// Exchanges the frame's bytes for the first ones of the buffer, so that nothing is copied but what follows them.
    fn hand_over(&mut self, bytes: usize, frame: &mut Frame) {
        let bytes = bytes.min(self.filled);
        std::mem::swap(&mut self.buffer, &mut frame.bytes);
        let rest = frame.bytes.get(bytes..self.filled).unwrap_or_default();
        if self.buffer.len() < rest.len() {
            self.buffer.resize(rest.len(), 0);
        }
        self.buffer[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
        frame.bytes.truncate(bytes);
    }

    fn drop_first(&mut self, bytes: usize) {
        let bytes = bytes.min(self.filled);
        self.buffer.copy_within(bytes..self.filled, 0);
        self.filled -= bytes;
    }
}

impl Framing for Box<dyn Framing> {
    fn scan(&mut self, bytes: &[u8]) -> Result<Scan, String> {
        self.as_mut().scan(bytes)
    }
}

#[cfg(test)]
mod tests;
