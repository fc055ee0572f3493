//! JPEG pictures one after another (Motion JPEG), decoded to luma alone: the chroma is never turned into pixels, but for RGB and
//! CMYK, which have no luma.
//!
//! Cameras leave out the Huffman tables or the end, cut pictures off and put garbage around them. What libjpeg or ffmpeg would
//! make a frame of becomes one here, unless more than half of its rows are missing.

use expression_core::View;
use expression_engine::picture::jpeg::{
    Part, STANDARD, Walker, check_components, end_strictly, huffman_tables, rebuild, turn_by_exif,
};
use expression_engine::picture::{MAX_SIDE, is_size_supported};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::framing::{Framing, JpegForm, Scan};
use crate::frame::{Frame, Luma};

/// Larger pictures are taken for damaged, bytes.
const MAX_BYTES: usize = 16 << 20;
/// Bytes that are asked for at a time.
const CHUNK: usize = 64 << 10;
/// What rows are filled with that no bytes were there for.
const MISSING: u8 = 128;

const START: [u8; 2] = [0xFF, 0xD8];
const END: [u8; 2] = [0xFF, 0xD9];

/// Finds where pictures begin and end, by walking their segments; thumbnails inside are not mistaken for pictures.
#[derive(Debug, Default)]
pub struct Framer {
    /// Walks through a picture whose start was seen.
    walker: Option<Walker>,
}

impl Framing for Framer {
    fn scan(&mut self, bytes: &[u8]) -> Result<Scan, String> {
        let walker = match &mut self.walker {
            Some(walker) => walker,
            None => match bytes.windows(2).position(|pair| pair == START) {
                Some(0) => self.walker.insert(Walker::new()),
                Some(before) => return Ok(Scan::Skip(before)),
                // The last byte may be the first of a start.
                None if bytes.len() > 1 => return Ok(Scan::Skip(bytes.len() - 1)),
                None => return Ok(Scan::Need(bytes.len() + CHUNK)),
            },
        };
        let scan = loop {
            match walker.next(bytes) {
                Part::Segment { .. } | Part::Pixels { .. } => {}
                Part::More if bytes.len() > MAX_BYTES => break Scan::Damaged(2),
                Part::More => return Ok(Scan::Need(bytes.len() + CHUNK)),
                Part::End { at } if walker.scan => break jpeg(walker, at + END.len(), true),
                Part::End { at } => break Scan::Damaged(at + END.len()),
                // A start twice.
                Part::Start { at: 2 } => break Scan::Skip(2),
                Part::Start { at } if walker.scan => break jpeg(walker, at, false),
                Part::Start { at } => break Scan::Damaged(at),
            }
        };
        self.walker = None;
        Ok(scan)
    }

    fn end(&mut self, bytes: &[u8]) -> Option<Scan> {
        Some(match self.walker.take() {
            Some(walker) if walker.scan => jpeg(&walker, bytes.len(), false),
            Some(_) => Scan::Damaged(bytes.len()),
            None => Scan::Skip(bytes.len()),
        })
    }
}

fn jpeg(walker: &Walker, bytes: usize, ended: bool) -> Scan {
    Scan::Jpeg {
        bytes,
        form: JpegForm { tables: walker.tables, progressive: walker.progressive, tidy: walker.tidy, ended },
    }
}

/// How much of a picture was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded {
    /// All of it.
    Whole,
    /// At least half of its rows.
    Part,
}

/// Decodes pictures into frames.
#[derive(Default)]
pub struct Decoder {
    /// A picture whose form the decoder does not understand, put right.
    rebuilt: Vec<u8>,
    /// The Huffman tables of an earlier picture, which hold for those that lack them.
    tables: Vec<u8>,
    /// Those of the last one.
    found: Vec<u8>,
}

impl Decoder {
    /// Decodes the luma of `jpeg` into the bytes of `frame`, and notes how it is to be turned by its EXIF orientation.
    ///
    /// The decoder's working memory is allocated anew for each picture: `zune-jpeg` keeps none.
    ///
    /// # Errors
    /// Says what is wrong if the picture is damaged or too large; `frame` is then of no use.
    pub fn decode(&mut self, jpeg: &[u8], form: JpegForm, frame: &mut Frame) -> Result<Decoded, String> {
        let JpegForm { tables, progressive, tidy, ended } = form;
        frame.turn = turn_by_exif(jpeg);
        if progressive && tables && tidy && ended {
            // Nothing tells how many of its rows were there.
            return decode_luma(jpeg, false, frame).map(|()| Decoded::Whole);
        }
        if tables && tidy && ended {
            self.rebuilt.clear();
            self.rebuilt.extend_from_slice(jpeg.strip_suffix(&END).unwrap_or(jpeg));
        } else if tables {
            rebuild(jpeg, &[], &mut self.rebuilt);
        } else {
            self.found.clear();
            self.found.extend_from_slice(&STANDARD);
            self.found.extend_from_slice(&self.tables);
            rebuild(jpeg, &self.found, &mut self.rebuilt);
        }
        let decoded = self.decode_rebuilt(progressive && ended, frame)?;
        if tables && decoded == Decoded::Whole {
            huffman_tables(jpeg, &mut self.found);
            std::mem::swap(&mut self.found, &mut self.tables);
        }
        Ok(decoded)
    }

    fn decode_rebuilt(&mut self, has_end: bool, frame: &mut Frame) -> Result<Decoded, String> {
        if has_end {
            self.rebuilt.extend_from_slice(&END);
            return decode_luma(&self.rebuilt, false, frame).map(|()| Decoded::Whole);
        }
        // Behind an end marker the decoder makes up rows that are missing: it is left out.
        let length = self.rebuilt.len();
        end_strictly(&mut self.rebuilt);
        if decode_luma(&self.rebuilt, true, frame).is_ok() {
            return Ok(Decoded::Whole);
        }
        self.rebuilt.truncate(length);
        decode_luma(&self.rebuilt, false, frame)?;
        let rows = frame.bytes.chunks_exact(frame.luma.width).rev();
        let missing = rows.take_while(|row| row.iter().all(|pixel| *pixel == MISSING)).count();
        match 2 * missing > frame.luma.height {
            true => Err("more than half of the picture is missing".into()),
            false => Ok(Decoded::Part),
        }
    }

    /// Decodes the first whole picture in `bytes`, such as a buffer of a camera that is longer than its picture; if none is
    /// whole, the first of which at least half is there.
    ///
    /// # Errors
    /// Says why if there is none.
    pub fn decode_first(&mut self, bytes: &[u8], frame: &mut Frame) -> Result<(), String> {
        let (mut framer, mut at, mut part) = (Framer::default(), 0, None);
        let mut reason = "there is no JPEG picture".to_owned();
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let scan = match framer.scan(rest)? {
                Scan::Need(_) => framer.end(rest),
                scan => Some(scan),
            };
            match scan {
                Some(Scan::Jpeg { bytes, form }) => {
                    let jpeg = rest.get(..bytes).unwrap_or_default();
                    match self.decode(jpeg, form, frame) {
                        Ok(Decoded::Whole) => return Ok(()),
                        Ok(Decoded::Part) => part = part.or(Some((jpeg, form))),
                        Err(error) => reason = error,
                    }
                    at += bytes;
                }
                Some(Scan::Skip(bytes) | Scan::Damaged(bytes)) => at += bytes,
                _ => break,
            }
        }
        let (jpeg, form) = part.ok_or(reason)?;
        self.decode(jpeg, form, frame).map(|_| ())
    }
}

fn decode_luma(jpeg: &[u8], strict: bool, frame: &mut Frame) -> Result<(), String> {
    check_components(jpeg, true)?;
    let options = DecoderOptions::default()
        .set_strict_mode(strict)
        .jpeg_set_out_colorspace(ColorSpace::Luma)
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
    decoder.decode_headers().map_err(|error| error.to_string())?;
    let info = decoder.info().ok_or("it has no size")?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    if !is_size_supported(width, height) || decoder.output_buffer_size() != Some(width * height) {
        return Err(format!("{width}x{height} pixels cannot be read"));
    }
    frame.bytes.resize(width * height, 0);
    match decoder.input_colorspace() {
        // No component of these is luma.
        Some(ColorSpace::RGB | ColorSpace::CMYK | ColorSpace::YCCK) => {
            let options = options.jpeg_set_out_colorspace(ColorSpace::RGB);
            let decoded = JpegDecoder::new_with_options(ZCursor::new(jpeg), options).decode();
            let pixels = decoded.map_err(|error| error.to_string())?;
            let view = View::new(&pixels, width, height, 3, 3 * width).ok_or("its components do not fit its size")?;
            let rows = frame.bytes.chunks_exact_mut(width).enumerate();
            rows.for_each(|(y, row)| view.copy_row([0, y], None, row));
        }
        _ => decoder.decode_into(&mut frame.bytes).map_err(|error| error.to_string())?,
    }
    frame.luma = Luma { width, height, offset: 0, step: 1, stride: width };
    Ok(())
}

#[cfg(test)]
mod tests;
