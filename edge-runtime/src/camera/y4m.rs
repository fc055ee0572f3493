//! YUV4MPEG2, the plain video format of mjpegtools, ffmpeg and gstreamer (`man 5 yuv4mpeg`): a line that describes the
//! video, then a line `FRAME` and the planes for each frame. Another video may follow, with a first line of its own.

use std::time::Duration;

use expression_engine::picture::{MAX_PIXELS, MAX_SIDE, is_size_supported};

use super::framing::{Framing, Scan};

use crate::frame::Luma;

/// How a video begins.
const MAGIC: &[u8] = b"YUV4MPEG2";
/// How a frame begins.
const FRAME: &[u8] = b"FRAME";
/// The comment that tells the colour space.
const YSCSS: &[u8] = b"XYSCSS=";
/// The longest first line, bytes; real ones have about 80 and comments.
const MAX_FIRST_LINE: usize = 64 << 10;
/// The longest line of a frame, bytes.
const MAX_FRAME_LINE: usize = 4096;
/// How far apart width and height of a pixel may be: the natural logarithm of their ratio. PAL and NTSC are beyond that.
const MAX_SQUEEZE: f64 = 0.05;
/// Taken for the frame rate of a video that does not say.
const USUAL_RATE: [u32; 2] = [25, 1];

/// What the first line of a video says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Frames per second, as a fraction; 25 if the video does not say.
    pub rate: [u32; 2],
    /// Width of a pixel by its height; `[1, 1]` if the video does not say.
    pub pixel: [u32; 2],
    /// Bits per sample: 8, or up to 16 in two bytes each.
    pub depth: u8,
    /// Bytes of a frame: all planes.
    pub bytes: usize,
}

impl Header {
    /// Parses the first line, without its newline.
    ///
    /// # Errors
    /// Says what is wrong if it is not such a line, or describes what cannot be read.
    pub fn parse(line: &[u8]) -> Result<Header, String> {
        let fields = line.strip_prefix(MAGIC).ok_or("not a YUV4MPEG2 video: it does not start with YUV4MPEG2")?;
        let fields = fields.strip_suffix(b"\r").unwrap_or(fields);
        if !(fields.is_empty() || fields.starts_with(b" ")) {
            return Err("not a YUV4MPEG2 video: it does not start with YUV4MPEG2".into());
        }
        let (mut width, mut height, mut rate, mut pixel) = (None, None, USUAL_RATE, [1, 1]);
        let (mut chroma, mut comment) = (None, None);
        for field in fields.split(|byte| *byte == b' ') {
            let text =
                || std::str::from_utf8(&field[1..]).map_err(|_| format!("field {} is not valid text", shown(field)));
            match field.first() {
                Some(b'W') => width = Some(side(text()?)?),
                Some(b'H') => height = Some(side(text()?)?),
                Some(b'F') => rate = fraction(text()?)?,
                // It changes nothing about where luma lies: what cannot be read is no error. 0:0 stands for unknown.
                Some(b'A') => pixel = text().ok().and_then(parts).filter(|sides| !sides.contains(&0)).unwrap_or([1, 1]),
                Some(b'C') => chroma = Some(text()?.to_owned()),
                // What mjpegtools and ffmpeg write for readers that do not know C.
                Some(b'X') if field.starts_with(YSCSS) => {
                    comment = Some(String::from_utf8_lossy(&field[YSCSS.len()..]).to_ascii_lowercase());
                }
                // Interlacing, comments: luma lies the same.
                _ => {}
            }
        }
        let chroma = chroma.or(comment).unwrap_or_else(|| "420".into());
        let width = width.ok_or("the first line gives no width (W)")?;
        let height = height.ok_or("the first line gives no height (H)")?;
        if !is_size_supported(width, height) {
            return Err(format!(
                "a frame cannot have {width}x{height} pixels; sides up to {MAX_SIDE} and {MAX_PIXELS} pixels can be read"
            ));
        }
        let (samples, depth) = samples(width, height, &chroma)?;
        Ok(Header { width, height, rate, pixel, depth, bytes: if depth > 8 { 2 * samples } else { samples } })
    }

    /// Says what to do if pixels are so far from square that faces look squeezed.
    fn squeezed(&self) -> Option<String> {
        let [width, height] = self.pixel;
        ((f64::from(width) / f64::from(height)).ln().abs() > MAX_SQUEEZE).then(|| {
            format!(
                "the pixels of this video are not square (A{width}:{height}): faces look squeezed, and labels may be wrong; convert \
                 it with `ffmpeg -i IN -vf scale=iw*sar:ih,setsar=1 OUT.y4m`"
            )
        })
    }

    /// Time from the first frame to the frame of this number.
    pub fn time(&self, frame: u64) -> Duration {
        let [frames, seconds] = self.rate;
        // The product fits: 64 + 32 + 30 bits.
        let nanoseconds = u128::from(frame) * u128::from(seconds) * 1_000_000_000 / u128::from(frames.max(1));
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

/// Text of a file as it may be shown: it may hold anything.
fn shown(text: impl AsRef<[u8]>) -> String {
    let text: String = String::from_utf8_lossy(text.as_ref()).chars().take(20).collect();
    text.escape_debug().to_string()
}

fn side(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("invalid width or height {}: expected a number of pixels", shown(text)))
}

/// Two numbers with a colon between them.
fn parts(text: &str) -> Option<[u32; 2]> {
    let (one, other) = text.split_once(':')?;
    Some([one.parse().ok()?, other.parse().ok()?])
}

/// Frames a second; 0 stands for unknown.
fn fraction(text: &str) -> Result<[u32; 2], String> {
    match parts(text).ok_or_else(|| format!("invalid frame rate {}: expected two numbers such as 30:1", shown(text)))? {
        [0, _] | [_, 0] => Ok(USUAL_RATE),
        rate => Ok(rate),
    }
}

/// Samples of a frame, and bits of each: `420p10` has 10, `mono12` 12.
fn samples(width: usize, height: usize, chroma: &str) -> Result<(usize, u8), String> {
    let luma = width * height;
    let deep =
        |depth: &&(&str, u8)| chroma.strip_suffix(depth.0).is_some_and(|rest| rest.ends_with('p') || rest == "mono");
    let (name, depth) = match [("9", 9), ("10", 10), ("12", 12), ("14", 14), ("16", 16)].iter().find(deep) {
        Some((suffix, depth)) => (chroma.trim_end_matches(suffix).trim_end_matches('p'), *depth),
        None => (chroma, 8),
    };
    let samples = match name {
        "mono" => luma,
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => luma + 2 * width.div_ceil(2) * height.div_ceil(2),
        "411" => luma + 2 * width.div_ceil(4) * height,
        "422" => luma + 2 * width.div_ceil(2) * height,
        "444" => 3 * luma,
        "444alpha" => 4 * luma,
        _ => return Err(format!("colour space C{} cannot be read; convert it to 8-bit 420", shown(chroma))),
    };
    Ok((samples, depth))
}

/// Finds the frames of a video.
#[derive(Debug, Default)]
pub struct Framer {
    header: Option<Header>,
    /// Whether the first line of another video is being read, which follows the one of `header`.
    follows: bool,
    /// Bytes of the first line in which its end was looked for.
    searched: usize,
    /// Frames so far.
    frames: u64,
    /// The first frame of this video, and its time: others may have come before it.
    first: (u64, Duration),
}

impl Framer {
    /// What the first line says, once it was read.
    pub fn header(&self) -> Option<Header> {
        self.header
    }

    /// The first line is read byte by byte: it ends anywhere, and what follows belongs to a frame.
    fn first_line(&mut self, bytes: &[u8]) -> Result<Scan, String> {
        let begun = bytes.len().min(MAGIC.len());
        if bytes[..begun] != MAGIC[..begun] {
            // What a program says to its stdout shows here.
            return Err(format!(
                "not a YUV4MPEG2 video: it does not start with YUV4MPEG2, but with \"{}\"",
                shown(bytes)
            ));
        }
        let found = bytes.iter().skip(self.searched).position(|byte| *byte == b'\n').map(|end| self.searched + end);
        self.searched = bytes.len();
        match found {
            Some(end) => {
                let header = Header::parse(&bytes[..end])?;
                // Not with each of the videos that a loop writes.
                if let Some(squeezed) = header.squeezed().filter(|_| self.header != Some(header)) {
                    tracing::warn!("{squeezed}");
                }
                self.first = (self.frames, self.time(self.frames).unwrap_or_default());
                (self.header, self.follows) = (Some(header), false);
                Ok(Scan::Skip(end + 1))
            }
            None if bytes.len() > MAX_FIRST_LINE => {
                Err(format!("the first line does not end within {MAX_FIRST_LINE} bytes"))
            }
            None => Ok(Scan::Need(bytes.len().max(MAGIC.len()) + 1)),
        }
    }
}

impl Framing for Framer {
    fn time(&self, frame: u64) -> Option<Duration> {
        let (first, begun) = self.first;
        self.header.map(|header| begun.saturating_add(header.time(frame.saturating_sub(first))))
    }

    fn scan(&mut self, bytes: &[u8]) -> Result<Scan, String> {
        let Some(header) = self.header.filter(|_| !self.follows) else { return self.first_line(bytes) };
        let another = bytes.len().min(MAGIC.len());
        if another > 0 && bytes[..another] == MAGIC[..another] {
            if another < MAGIC.len() {
                return Ok(Scan::Need(MAGIC.len()));
            }
            // Files that were joined, a program that is started in a loop, or GStreamer when the size changes.
            (self.follows, self.searched) = (true, 0);
            return self.first_line(bytes);
        }
        let begun = bytes.len().min(FRAME.len());
        if bytes[..begun] != FRAME[..begun] {
            return Err("damaged: a frame does not begin with FRAME".into());
        }
        // The shortest line is FRAME and a newline: so much can be read without reading into the next frame.
        let shortest = FRAME.len() + 1 + header.bytes;
        let after = bytes.get(FRAME.len()..).unwrap_or_default();
        let newline = match after.first() {
            None => return Ok(Scan::Need(shortest)),
            Some(b'\n') => FRAME.len(),
            Some(b'\r') if after.len() < 2 => return Ok(Scan::Need(shortest)),
            Some(b'\r') if after[1] == b'\n' => FRAME.len() + 1,
            Some(b' ') => match after.iter().take(MAX_FRAME_LINE).position(|byte| *byte == b'\n') {
                Some(end) => FRAME.len() + end,
                None if after.len() >= MAX_FRAME_LINE => {
                    return Err("damaged: the line of a frame does not end".into());
                }
                None => return Ok(Scan::Need(shortest.max(bytes.len() + 1))),
            },
            Some(_) => return Err("damaged: a frame does not begin with FRAME".into()),
        };
        let whole = newline + 1 + header.bytes;
        if bytes.len() < whole {
            return Ok(Scan::Need(whole));
        }
        let Header { width, height, depth, .. } = header;
        let luma = Luma { width, height, offset: newline + 1, step: 1, stride: width };
        self.frames += 1;
        Ok(Scan::Frame { bytes: whole, luma, depth })
    }
}

#[cfg(test)]
mod tests;
