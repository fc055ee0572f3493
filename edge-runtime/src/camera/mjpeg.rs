//! JPEG pictures one after another (Motion JPEG), decoded to luma alone: the chroma is never turned into pixels.

use std::ops::ControlFlow;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::LONGEST_SIDE;
use super::format::size_is_sound;
use super::reader::{Framing, Scan};
use crate::frame::{Frame, Luma};

/// Larger pictures are taken for damaged, bytes.
const LARGEST: usize = 16 << 20;
/// Bytes that are asked for at a time.
const CHUNK: usize = 64 << 10;
/// Tells the decoder that a picture without Huffman tables means the usual ones, as frames of many cameras do: a segment
/// of the AVI files that such frames were first kept in.
const AVI1: [u8; 18] = *b"\xFF\xE0\x00\x10AVI1\0\0\0\0\0\0\0\0\0\0";

const START: u8 = 0xD8;
const END: u8 = 0xD9;
const SCAN: u8 = 0xDA;
const TABLES: u8 = 0xC4;

/// Finds where pictures begin and end, by walking their segments; thumbnails inside are not mistaken for pictures.
#[derive(Debug, Default)]
pub struct Framer {
    /// Bytes of the picture that were looked at; 0 before its start was seen.
    at: usize,
    /// Whether `at` lies in the compressed pixels.
    in_scan: bool,
    tables: bool,
}

impl Framer {
    fn restart(&mut self, scan: Scan) -> Scan {
        *self = Framer::default();
        scan
    }

    /// One step of the walk; breaks with what was found.
    fn step(&mut self, bytes: &[u8]) -> ControlFlow<Scan> {
        let more = ControlFlow::Break(Scan::Need(bytes.len() + CHUNK));
        if self.in_scan {
            // A 0xFF within the compressed pixels is followed by 0, or by a marker that restarts them.
            let ends = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF | 0xD0..=0xD7);
            let rest = bytes.get(self.at..).unwrap_or_default();
            let Some(found) = rest.windows(2).position(ends) else {
                self.at = bytes.len().saturating_sub(1).max(self.at);
                return more;
            };
            self.at += found;
            self.in_scan = false;
        }
        let Some(&[mark, code]) = bytes.get(self.at..self.at + 2) else { return more };
        match code {
            _ if mark != 0xFF => return ControlFlow::Break(self.restart(Scan::Damaged(2))),
            0xFF => self.at += 1,
            // The next picture starts before this one has ended.
            START => return ControlFlow::Break(self.restart_at(Scan::Damaged)),
            END => {
                let scan = Scan::Jpeg { bytes: self.at + 2, tables: self.tables };
                return ControlFlow::Break(self.restart(scan));
            }
            0x01 | 0xD0..=0xD7 => self.at += 2,
            _ => {
                let Some(&[high, low]) = bytes.get(self.at + 2..self.at + 4) else { return more };
                let length = usize::from(u16::from_be_bytes([high, low]));
                if length < 2 {
                    return ControlFlow::Break(self.restart(Scan::Damaged(2)));
                }
                self.tables |= code == TABLES;
                self.in_scan = code == SCAN;
                self.at += 2 + length;
            }
        }
        ControlFlow::Continue(())
    }

    fn restart_at(&mut self, scan: fn(usize) -> Scan) -> Scan {
        let at = self.at;
        self.restart(scan(at))
    }
}

impl Framing for Framer {
    fn scan(&mut self, bytes: &[u8]) -> Result<Scan, String> {
        if self.at == 0 {
            match bytes.windows(2).position(|pair| pair == [0xFF, START]) {
                Some(0) => self.at = 2,
                Some(before) => return Ok(Scan::Skip(before)),
                // The last byte may be the first of a start.
                None if bytes.len() > 1 => return Ok(Scan::Skip(bytes.len() - 1)),
                None => return Ok(Scan::Need(bytes.len() + CHUNK)),
            }
        }
        loop {
            if let ControlFlow::Break(scan) = self.step(bytes) {
                return Ok(match scan {
                    Scan::Need(_) if bytes.len() > LARGEST => self.restart(Scan::Damaged(2)),
                    scan => scan,
                });
            }
        }
    }
}

/// Decodes pictures into frames.
#[derive(Default)]
pub struct Decoder {
    /// A picture with a segment put in.
    completed: Vec<u8>,
}

impl Decoder {
    /// Decodes the luma of `jpeg` into the bytes of `frame`; `tables` is whether it carries its own Huffman tables.
    ///
    /// The decoder's working memory is allocated anew for each picture: `zune-jpeg` keeps none.
    ///
    /// # Errors
    /// Where it is damaged or too large; `frame` is then of no use.
    pub fn decode(&mut self, jpeg: &[u8], tables: bool, frame: &mut Frame) -> Result<(), String> {
        let jpeg = match (tables, jpeg.split_at_checked(2)) {
            (false, Some((start, rest))) => {
                self.completed.clear();
                [start, &AVI1, rest].into_iter().for_each(|part| self.completed.extend_from_slice(part));
                &self.completed
            }
            _ => jpeg,
        };
        let options = DecoderOptions::default()
            .jpeg_set_out_colorspace(ColorSpace::Luma)
            .set_max_width(LONGEST_SIDE)
            .set_max_height(LONGEST_SIDE);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
        decoder.decode_headers().map_err(|error| error.to_string())?;
        let info = decoder.info().ok_or("no size")?;
        let (width, height) = (usize::from(info.width), usize::from(info.height));
        if !size_is_sound(width, height) || decoder.output_buffer_size() != Some(width * height) {
            return Err(format!("{width}x{height} pixels cannot be read"));
        }
        frame.bytes.resize(width * height, 0);
        decoder.decode_into(&mut frame.bytes).map_err(|error| error.to_string())?;
        frame.luma = Luma { width, height, offset: 0, step: 1, stride: width };
        Ok(())
    }

    /// Decodes the first picture in `bytes`, such as a buffer of a camera that is longer than its picture.
    ///
    /// # Errors
    /// Where there is no whole picture, or it is damaged.
    pub fn decode_first(&mut self, mut bytes: &[u8], frame: &mut Frame) -> Result<(), String> {
        loop {
            match Framer::default().scan(bytes)? {
                Scan::Jpeg { bytes: end, tables } => {
                    return self.decode(bytes.get(..end).unwrap_or_default(), tables, frame);
                }
                Scan::Skip(before) if bytes.len() > before + 1 => bytes = bytes.get(before..).unwrap_or_default(),
                Scan::Damaged(_) => return Err("a damaged JPEG picture".into()),
                _ => return Err("no whole JPEG picture".into()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
