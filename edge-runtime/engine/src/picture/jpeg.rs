//! The structure of JPEG files and of the frames of Motion JPEG cameras, and decoding such files.
//!
//! Devices write JPEG that the standard does not allow: fill bytes and garbage between segments, no Huffman tables, no end. A
//! [`Walker`] finds its way through, as libjpeg does, and [`rebuild`] makes a clean picture of what it found.

mod components;
mod turn;

use std::io::{self, Read};

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

pub use self::components::check_components;
pub use self::turn::turn_by_exif;
pub use super::huffman::STANDARD;
use super::huffman::Tables;
use super::kind::CONVERT;
use super::{MAX_SIDE, check_size, exif};

/// The marker that starts a picture.
const SOI: u8 = 0xD8;
/// The marker that ends a picture.
const EOI: u8 = 0xD9;
/// The marker of a scan's header; its compressed pixels follow.
const SOS: u8 = 0xDA;
/// The marker of Huffman tables.
const DHT: u8 = 0xC4;
/// The marker of the frame header of a progressive picture.
const SOF2: u8 = 0xC2;
/// The marker of EXIF metadata.
const APP1: u8 = 0xE1;

/// Zeros in place of the end marker: enough for what the decoder reads ahead, too few to make up for missing rows.
const READ_AHEAD: [u8; 8] = [0; 8];
/// Ones behind the last scan of a progressive picture: no Huffman code has only ones, so that a scan that is cut off runs into a
/// code that does not exist. Left to itself, the decoder would take zeros from the end marker on, which are a code.
const ONES: [u8; 2] = [0xFF, 0];
/// How many times they are written: more than the correction bits that may come before the next code.
const ONES_COUNT: usize = 1024;
/// Bytes that are read at a time until the size of the picture is known.
const CHUNK: u64 = 64 << 10;
/// Larger files are refused, bytes: several times what a picture of [`super::MAX_PIXELS`] takes.
const MAX_FILE: u64 = 64 << 20;

/// A part of a JPEG picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The bytes do not tell yet; ask again when there are more.
    More,
    /// A segment: marker, length and content.
    Segment {
        /// The second byte of its marker.
        code: u8,
        /// Where its marker begins.
        start: usize,
        /// One past its last byte.
        end: usize,
    },
    /// The compressed pixels of a scan.
    Pixels {
        /// Where they begin.
        start: usize,
        /// One past their last byte.
        end: usize,
    },
    /// The marker that ends the picture.
    End {
        /// Where it begins.
        at: usize,
    },
    /// Another picture starts before this one has ended.
    Start {
        /// Where it starts.
        at: usize,
    },
}

/// Walks through the parts of one picture. Thumbnails within segments are passed over.
#[derive(Debug, Clone)]
pub struct Walker {
    /// Whether the picture has the Huffman tables that its scans name, or has no scan yet.
    pub tables: bool,
    /// Whether its scans bring its coefficients bit by bit.
    pub progressive: bool,
    /// Whether a scan has begun: without one there is nothing to decode.
    pub scan: bool,
    /// Whether nothing but segments and pixels was found so far, so that the bytes can be decoded as they are.
    pub tidy: bool,
    at: usize,
    /// Up to where no marker was found behind `at`, outside of pixels.
    searched: usize,
    /// Where the pixels begin in which `at` lies.
    pixels: Option<usize>,
    /// The start of the last segment, if another picture that begins within it means that it was cut off.
    segment: Option<usize>,
    defined: Tables,
}

impl Walker {
    /// Starts behind the start marker, which must be the first two bytes.
    pub fn new() -> Walker {
        Walker {
            tables: true,
            progressive: false,
            scan: false,
            tidy: true,
            at: 2,
            searched: 0,
            pixels: None,
            segment: None,
            defined: Tables::default(),
        }
    }

    /// Returns the next part of the picture in `bytes`, which begin with its start marker and may have grown since the last
    /// call. After [`Part::End`] or [`Part::Start`] the walk is over.
    pub fn next(&mut self, bytes: &[u8]) -> Part {
        if let Some(start) = self.pixels {
            let rest = bytes.get(self.at..).unwrap_or_default();
            let Some(found) = rest.windows(2).position(|pair| pair[0] == 0xFF && ends_pixels(pair[1])) else {
                self.at = bytes.len().saturating_sub(1).max(self.at);
                return Part::More;
            };
            self.at += found;
            (self.pixels, self.segment) = (None, None);
            return Part::Pixels { start, end: self.at };
        }
        loop {
            let rest = bytes.get(self.at..).unwrap_or_default();
            let from = self.searched.saturating_sub(self.at).min(rest.len());
            let found = rest[from..].windows(2).position(|pair| pair[0] == 0xFF && is_marker(pair[1]));
            let Some(found) = found.map(|found| from + found) else {
                self.searched = bytes.len().saturating_sub(1);
                return Part::More;
            };
            if found > 0 {
                self.tidy = false;
                let garbage = rest[..found].iter().any(|byte| *byte != 0xFF);
                if let Some(at) =
                    self.segment.filter(|_| garbage).and_then(|start| start_within(bytes, start + 2, self.at))
                {
                    return Part::Start { at };
                }
                self.at += found;
            }
            let (start, code) = (self.at, bytes[self.at + 1]);
            match code {
                SOI => return Part::Start { at: start },
                EOI => return Part::End { at: start },
                0xD0..=0xD7 => {
                    (self.at, self.tidy) = (start + 2, false);
                    continue;
                }
                _ => {}
            }
            let Some(&[high, low]) = bytes.get(start + 2..start + 4) else { return Part::More };
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length < 2 {
                (self.at, self.tidy) = (start + 2, false);
                continue;
            }
            let end = start + 2 + length;
            if end > bytes.len() {
                return Part::More;
            }
            self.at = end;
            // Metadata may hold thumbnails.
            self.segment = (!matches!(code, 0xE0..=0xEF)).then_some(start);
            let content = bytes.get(start + 4..end).unwrap_or_default();
            match code {
                DHT => self.defined.define(content),
                SOF2 => self.progressive = true,
                SOS => {
                    (self.scan, self.pixels) = (true, Some(end));
                    self.tables &= self.defined.suffice(content, self.progressive);
                }
                _ => {}
            }
            return Part::Segment { code, start, end };
        }
    }
}

impl Default for Walker {
    fn default() -> Walker {
        Walker::new()
    }
}

/// Whether 0xFF and this byte are a marker outside of pixels, not fill bytes or garbage.
fn is_marker(code: u8) -> bool {
    (0xC0..=0xFE).contains(&code)
}

/// Whether 0xFF and this byte end the pixels of a scan. A 0xFF among them is followed by 0, or by a marker that restarts them.
fn ends_pixels(code: u8) -> bool {
    matches!(code, DHT | 0xD8..=0xDD | 0xE0..=0xEF | 0xFE)
}

/// Returns where a picture begins in bytes that begin with something else.
pub(super) fn start(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|three| three == [0xFF, SOI, 0xFF])
}

/// Returns how many bytes of a picture are start markers before its last one: some cameras write it twice.
pub(super) fn repeated_starts(jpeg: &[u8]) -> usize {
    let pairs = jpeg.chunks_exact(2).take_while(|pair| *pair == [0xFF, SOI]).count();
    2 * pairs.saturating_sub(1)
}

/// Where in `from..to` another picture begins.
fn start_within(bytes: &[u8], from: usize, to: usize) -> Option<usize> {
    let found = bytes.get(from..to + 2)?.windows(3).position(|three| three == [0xFF, SOI, 0xFF])?;
    Some(from + found)
}

/// Writes to `into` what a decoder understands of the first picture in `jpeg`: its segments and pixels without what lies between
/// them, behind `tables`, which are segments of Huffman tables that it lacks, and without its end marker.
pub fn rebuild(jpeg: &[u8], tables: &[u8], into: &mut Vec<u8>) {
    into.clear();
    into.extend_from_slice(&[0xFF, SOI]);
    into.extend_from_slice(tables);
    let mut walker = Walker::new();
    loop {
        match walker.next(jpeg) {
            Part::Segment { start, end, .. } | Part::Pixels { start, end } => into.extend_from_slice(&jpeg[start..end]),
            Part::More => {
                // The picture ends within its pixels.
                into.extend_from_slice(walker.pixels.and_then(|start| jpeg.get(start..)).unwrap_or_default());
                return;
            }
            Part::End { .. } | Part::Start { .. } => return,
        }
    }
}

/// Writes to `into` the segments of Huffman tables in the first picture in `jpeg`, up to its first scan.
pub fn huffman_tables(jpeg: &[u8], into: &mut Vec<u8>) {
    into.clear();
    let mut walker = Walker::new();
    loop {
        match walker.next(jpeg) {
            Part::Segment { code: DHT, start, end } => into.extend_from_slice(&jpeg[start..end]),
            Part::Segment { code, .. } if code != SOS => {}
            _ => return,
        }
    }
}

/// Ends a picture without an end marker so that a strict decoder refuses it if rows are missing, and only then.
pub fn end_strictly(jpeg: &mut Vec<u8>) {
    jpeg.extend_from_slice(&READ_AHEAD);
}

/// Reads a JPEG file. Its size in pixels is checked before more than its head is read.
pub(super) fn read(mut file: impl Read) -> Result<Vec<u8>, String> {
    let failed = |error: io::Error| error.to_string();
    let (mut bytes, mut walker) = (Vec::new(), Walker::new());
    loop {
        match walker.next(&bytes) {
            // SOF0 to SOF15; the others in this range are tables. JPEG-LS has one of its own.
            Part::Segment { code: code @ (0xC0..=0xCF | 0xF7), start, .. } if !matches!(code, DHT | 0xC8 | 0xCC) => {
                if let Some(&[bits, h1, h2, w1, w2]) = bytes.get(start + 4..start + 9) {
                    let what = match code {
                        0xC0..=0xC2 if bits == 8 => None,
                        0xC0..=0xC2 => Some(format!("a JPEG picture with {bits} bits per sample")),
                        0xC3 => Some("a lossless JPEG picture".into()),
                        0xC9..=0xCF => Some("a JPEG picture with arithmetic coding".into()),
                        0xF7 => Some("a JPEG-LS picture".into()),
                        _ => Some("a hierarchical JPEG picture".into()),
                    };
                    if let Some(what) = what {
                        return Err(format!("it is {what}, which is not read; {CONVERT}"));
                    }
                    check_size(u16::from_be_bytes([w1, w2]).into(), u16::from_be_bytes([h1, h2]).into())?;
                }
                break;
            }
            Part::Segment { .. } => {}
            Part::More if bytes.len() as u64 > MAX_FILE => {
                return Err(format!("it has more than {} MiB", MAX_FILE >> 20));
            }
            Part::More if file.by_ref().take(CHUNK).read_to_end(&mut bytes).map_err(failed)? > 0 => {}
            _ => return Err("it is cut off before its pixels".into()),
        }
    }
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > MAX_FILE {
        true => Err(format!("it has more than {} MiB", MAX_FILE >> 20)),
        false => Ok(bytes),
    }
}

/// Decodes the bytes of a JPEG file, grey or RGB, and reads how it is to be turned.
///
/// # Errors
/// Says what is wrong if rows are missing, or it is damaged, or coded in a way that is not supported.
pub(super) fn decode(mut bytes: Vec<u8>) -> Result<(DynamicImage, Orientation), String> {
    let (mut walker, mut orientation, mut scans) = (Walker::new(), None, None::<Scans>);
    let end = loop {
        match walker.next(&bytes) {
            Part::Segment { code: APP1, start, end } if orientation.is_none() => {
                orientation = exif::orientation(&bytes[start + 4..end]);
            }
            Part::Segment { code: SOF2, start, end } => scans = Some(Scans::of_frame(&bytes[start + 4..end])),
            Part::Segment { code: SOS, start, end } => {
                scans.iter_mut().for_each(|scans| scans.note(&bytes[start + 4..end]));
            }
            Part::Segment { .. } => {}
            Part::Pixels { .. } => {}
            Part::End { at } => break Some(at),
            Part::Start { at } => {
                bytes.truncate(at);
                break None;
            }
            Part::More => break None,
        }
    };
    if !walker.scan {
        return Err("it is cut off before its pixels".into());
    }
    check_components(&bytes, false)?;
    if walker.tables && walker.tidy {
        bytes.truncate(end.unwrap_or(bytes.len()));
    } else {
        let tables = if walker.tables { &[][..] } else { &STANDARD };
        let mut clean = Vec::with_capacity(bytes.len() + tables.len() + READ_AHEAD.len());
        rebuild(&bytes, tables, &mut clean);
        bytes = clean;
    }
    match (scans, end) {
        (None, _) => end_strictly(&mut bytes),
        // Correction bits at the end of its last scan may be missing, which nothing tells.
        (Some(_), None) => return Err("it is cut off: its end is missing".into()),
        (Some(scans), Some(_)) if !scans.is_complete() => return Err("it is cut off: scans are missing".into()),
        (Some(_), Some(_)) => {
            bytes.extend(ONES.iter().cycle().take(ONES.len() * ONES_COUNT));
            bytes.extend_from_slice(&[0xFF, EOI]);
        }
    }
    let image = pixels(&bytes).map_err(|reason| format!("it is cut off or damaged: {reason}"))?;
    Ok((image, orientation.unwrap_or(Orientation::NoTransforms)))
}

/// What the scans of a progressive picture have told of its first component, luma or grey: one scan brings the high bits of some
/// coefficients, later ones a bit each (ITU-T T.81, annex G).
#[derive(Debug)]
struct Scans {
    component: Option<u8>,
    /// The bits that are still missing of each coefficient; [`Scans::ALL`] before the first scan.
    missing: [u8; 64],
}

impl Scans {
    const ALL: u8 = u8::MAX;

    /// `frame` is the content of the frame header: precision, height, width, number of components, and the first one's name.
    fn of_frame(frame: &[u8]) -> Scans {
        Scans { component: frame.get(6).copied(), missing: [Scans::ALL; 64] }
    }

    /// `scan` is the content of the scan header: components, the range of coefficients, and their bits before and after.
    fn note(&mut self, scan: &[u8]) {
        let count = usize::from(scan.first().copied().unwrap_or_default());
        let (Some(components), Some(&[first, last, bits])) =
            (scan.get(1..1 + 2 * count), scan.get(1 + 2 * count..4 + 2 * count))
        else {
            return;
        };
        if components.chunks(2).any(|component| Some(component[0]) == self.component) {
            let range = self.missing.iter_mut().take(usize::from(last) + 1).skip(first.into());
            range.for_each(|missing| *missing = bits & 0x0F);
        }
    }

    /// Whether every bit of every coefficient was sent.
    fn is_complete(&self) -> bool {
        self.missing == [0; 64]
    }
}

fn pixels(jpeg: &[u8]) -> Result<DynamicImage, String> {
    let options = DecoderOptions::default().set_strict_mode(true).set_max_width(MAX_SIDE).set_max_height(MAX_SIDE);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
    decoder.decode_headers().map_err(|error| error.to_string())?;
    let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let colours = if grey { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(colours));
    let (width, height) = decoder.dimensions().ok_or("it has no size")?;
    check_size(width, height)?;
    let mut data = vec![0; decoder.output_buffer_size().ok_or("it has no size")?];
    decoder.decode_into(&mut data).map_err(|error| error.to_string())?;
    let (width, height) = (width as u32, height as u32);
    let image = match grey {
        true => GrayImage::from_raw(width, height, data).map(DynamicImage::from),
        false => RgbImage::from_raw(width, height, data).map(DynamicImage::from),
    };
    image.ok_or_else(|| "its components do not fit its size".into())
}
