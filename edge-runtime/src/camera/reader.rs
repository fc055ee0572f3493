//! From a stream of bytes to frames: reads as many bytes as a frame has, and no more, however they arrive.

use std::io;
use std::time::{Duration, Instant};

pub use super::framing::{Framing, JpegForm, Raw, Scan};
use super::mjpeg;
use crate::frame::Frame;

/// The buffer grows by so much at a time, so that memory follows what arrives, not what a header claims.
const GROWTH: usize = 1 << 20;

/// Where bytes come from.
pub trait Feed: Send {
    /// Reads some bytes; `None` if none arrive within `wait`, 0 if there will be none any more.
    ///
    /// # Errors
    /// Returns the error of the system.
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<Option<usize>>;
}

/// Bytes at hand.
impl Feed for &[u8] {
    fn read(&mut self, into: &mut [u8], _: Duration) -> io::Result<Option<usize>> {
        io::Read::read(self, into).map(Some)
    }
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

/// Reads frames from a [`Feed`].
pub struct Reader<F> {
    /// How they follow one another.
    pub framing: F,
    /// Frames that were damaged and left out.
    pub skipped: u64,
    /// Bytes that belonged to no frame.
    pub passed: u64,
    /// Why the last picture could not be decoded, if it was left out.
    pub reason: Option<String>,
    buffer: Vec<u8>,
    filled: usize,
    decoder: mjpeg::Decoder,
}

impl<F: Framing> Reader<F> {
    /// Starts at the beginning of a stream.
    pub fn new(framing: F) -> Reader<F> {
        Reader {
            framing,
            skipped: 0,
            passed: 0,
            reason: None,
            buffer: Vec::new(),
            filled: 0,
            decoder: mjpeg::Decoder::default(),
        }
    }

    /// Fills the bytes and the luma of `frame` with the next frame, unless it takes longer than `wait`.
    ///
    /// # Errors
    /// Returns a fault if the stream is damaged beyond the next frame, ends within one, or cannot be read.
    pub fn next(&mut self, feed: &mut dyn Feed, frame: &mut Frame, wait: Duration) -> Result<Got, Fault> {
        let until = Instant::now() + wait;
        loop {
            let have = self.buffer.get(..self.filled).unwrap_or_default();
            let scan = match self.framing.scan(have).map_err(Fault::Damaged)? {
                Scan::Need(bytes) => {
                    let most = bytes.max(self.filled + 1).min(self.filled + GROWTH);
                    if self.buffer.len() < most {
                        self.buffer.resize(most, 0);
                    }
                    let left = until.saturating_duration_since(Instant::now());
                    match feed.read(&mut self.buffer[self.filled..most], left).map_err(Fault::Read)? {
                        None => return Ok(Got::Waiting),
                        Some(0) if self.filled == 0 => return Ok(Got::End),
                        Some(0) => {
                            let last = self.framing.end(self.buffer.get(..self.filled).unwrap_or_default());
                            last.ok_or_else(|| Fault::Damaged("ends within a frame".into()))?
                        }
                        Some(read) => {
                            self.filled += read.min(most - self.filled);
                            Scan::Need(bytes)
                        }
                    }
                }
                scan => scan,
            };
            match scan {
                Scan::Need(_) => {}
                Scan::Skip(bytes) => {
                    self.passed += bytes as u64;
                    self.drop_first(bytes);
                }
                Scan::Damaged(bytes) => {
                    self.skipped += 1;
                    self.passed += bytes as u64;
                    self.drop_first(bytes);
                }
                Scan::Frame { bytes, luma, depth } => {
                    self.hand_over(bytes, frame);
                    if depth > 8 {
                        narrow(
                            frame.bytes.get_mut(luma.offset..).unwrap_or_default(),
                            luma.stride * luma.height,
                            depth,
                        );
                    }
                    frame.luma = luma;
                    return Ok(Got::Frame);
                }
                Scan::Jpeg { bytes, form } => {
                    let jpeg = self.buffer.get(..bytes).unwrap_or_default();
                    let decoded = self.decoder.decode(jpeg, form, frame);
                    self.drop_first(bytes);
                    match decoded {
                        Ok(_) => {
                            self.reason = None;
                            return Ok(Got::Frame);
                        }
                        Err(reason) => {
                            self.skipped += 1;
                            self.passed += bytes as u64;
                            self.reason = Some(reason);
                        }
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

/// Makes bytes of the first `count` samples of `depth` bits in place: their highest eight bits.
fn narrow(bytes: &mut [u8], count: usize, depth: u8) {
    for at in 0..count.min(bytes.len() / 2) {
        let sample = u16::from_le_bytes([bytes[2 * at], bytes[2 * at + 1]]);
        bytes[at] = (sample >> (depth - 8)).min(255) as u8;
    }
}

#[cfg(test)]
mod tests;
