//! Pictures from files, decoded to bytes: JPEG, PNG, WebP, TIFF, GIF (its first frame), BMP and PNM.
//!
//! The content of a file decides what it is, not its name. Pictures are turned the way that their EXIF orientation says, and what
//! is too large is refused before memory is set aside for it.

mod exif;
mod huffman;
pub mod jpeg;
mod kind;
mod video;

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::error::{Classify, ErrorKind};
use crate::files;
use expression_core::{FaceInput, View};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use kind::Kind;

/// The longest side of a picture or frame, pixels.
pub const MAX_SIDE: usize = 8192;
/// The most pixels of a picture or frame.
pub const MAX_PIXELS: usize = 1 << 24;
/// The most bytes of a decoded picture: eight per pixel, which is 16 bits in each of four channels.
const MAX_DECODED: u64 = 8 * MAX_PIXELS as u64;
/// The most bytes of text and colour profiles in a PNG file, unpacked.
const MAX_PNG_METADATA: u64 = 8 << 20;

/// Where the start of a JPEG picture is looked for in a file that begins with something else, bytes: cameras and their programs
/// leave headers of HTTP before frames that they save.
const SEARCHED: usize = 4 << 10;

/// Endings of the names of pictures in lower case: those that are read, then those that are named as not readable.
const EXTENSIONS: [&str; 23] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "webp", "tif", "tiff", "gif", "bmp", "dib", "pgm", "ppm", "pbm", "pnm", "pam",
    "heic", "heif", "avif", "svg", "jxl", "jp2", "psd",
];

/// A picture: u8, row-major, channels interleaved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// 1: grey, 3: RGB.
    pub channels: usize,
    /// `height * width * channels` bytes.
    pub data: Vec<u8>,
}

/// Why a picture could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The file is missing, is not a picture that can be read, is too large, or is damaged.
    #[error("{path}: cannot read this picture: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The picture has no pixels, or the sizes of the input do not fit each other.
    #[error("a picture of {width}x{height} pixels cannot become an aligned face of {input:?}")]
    Geometry {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// What was asked for.
        input: FaceInput,
    },
}

impl Classify for PictureError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::BadInput
    }
}

/// Whether a picture or frame may have this size: sides up to [`MAX_SIDE`] and [`MAX_PIXELS`] in all.
pub fn is_size_supported(width: usize, height: usize) -> bool {
    (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height) && width * height <= MAX_PIXELS
}

fn check_size(width: usize, height: usize) -> Result<(), String> {
    match is_size_supported(width, height) {
        true => Ok(()),
        false if width == 0 || height == 0 => {
            Err(format!("it is damaged: its size is said to be {width}x{height} pixels"))
        }
        false => Err(format!(
            "it has {width}x{height} pixels; scale it to sides of at most {MAX_SIDE} and {:.1} million pixels",
            MAX_PIXELS as f64 / 1e6
        )),
    }
}

/// Whether a file is a picture by its content or by the ending of its name; it may still prove unreadable.
pub fn looks_like_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    if EXTENSIONS.contains(&ending.as_str()) {
        return true;
    }
    let mut head = [0; 16];
    let length = files::open_regular(path).ok().and_then(|mut file| file.read(&mut head).ok());
    Kind::from_head(head.get(..length.unwrap_or(0)).unwrap_or_default()).is_surely_picture()
}

impl Picture {
    /// Decodes a picture file and turns it the way up that its EXIF orientation says. Grey files stay grey, all others become
    /// RGB; transparency is dropped.
    ///
    /// # Errors
    /// Returns [`PictureError::Unreadable`] if the file is missing, cut off, damaged, a video, not a picture in a known format, or has
    /// more than [`MAX_PIXELS`] pixels or a side longer than [`MAX_SIDE`].
    pub fn open(path: &Path) -> Result<Picture, PictureError> {
        let unreadable =
            |error: io::Error| PictureError::Unreadable { path: path.to_owned(), reason: error.to_string() };
        if video::is_video(path) {
            return Err(unreadable(io::Error::other("it is a video; give it to `edge-runtime run --source FILE`")));
        }
        Picture::read(BufReader::new(files::open_regular(path).map_err(unreadable)?), path)
    }

    /// Decodes the bytes of such a file; `path` is for messages.
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn read(bytes: impl BufRead + Seek, path: &Path) -> Result<Picture, PictureError> {
        let (decoded, orientation) =
            decode(bytes).map_err(|reason| PictureError::Unreadable { path: path.to_owned(), reason })?;
        let mut image = match decoded.color().has_color() {
            false => DynamicImage::from(decoded.into_luma8()),
            true => DynamicImage::from(decoded.into_rgb8()),
        };
        image.apply_orientation(orientation);
        let (width, height) = (image.width() as usize, image.height() as usize);
        Ok(Picture { width, height, channels: image.color().channel_count().into(), data: image.into_bytes() })
    }

    /// The picture as `expression-core` reads it.
    pub fn view(&self) -> Option<View<'_>> {
        View::new(&self.data, self.width, self.height, self.channels, self.width * self.channels)
    }

    /// The aligned face of this picture: u8 `[channels, size, size]`, the same bytes on every machine.
    ///
    /// # Errors
    /// Returns [`PictureError::Geometry`] if the picture is empty or the input makes no sense.
    pub fn aligned_face(&self, input: FaceInput) -> Result<Vec<u8>, PictureError> {
        let mut face = vec![0; input.len()];
        let made = self.view().is_some_and(|view| input.aligned_face(view, &mut face));
        made.then_some(face).ok_or(PictureError::Geometry { width: self.width, height: self.height, input })
    }
}

/// Decodes a file, and tells how it is to be turned.
fn decode(mut file: impl BufRead + Seek) -> Result<(DynamicImage, Orientation), String> {
    let failed = |error: io::Error| error.to_string();
    let start = file.stream_position().map_err(failed)?;
    let mut head = Vec::with_capacity(kind::HEAD);
    file.by_ref().take(kind::HEAD as u64).read_to_end(&mut head).map_err(failed)?;
    let format = match Kind::from_head(&head) {
        kind @ (Kind::Jpeg | Kind::Unknown) => {
            file.by_ref().take((SEARCHED - kind::HEAD) as u64).read_to_end(&mut head).map_err(failed)?;
            let found = if kind == Kind::Jpeg { Some(0) } else { jpeg::start(&head) };
            let Some(found) = found else {
                return Err("its content is not that of a picture; give JPEG, PNG, WebP, TIFF, GIF, BMP or PNM".into());
            };
            let at = found + jpeg::repeated_starts(&head[found..]);
            file.seek(SeekFrom::Start(start + at as u64)).map_err(failed)?;
            return jpeg::decode(jpeg::read(file)?);
        }
        Kind::Readable(format) => format,
        Kind::Other(what, advice) => return Err(format!("it is {what}; {advice}")),
    };
    if let (ImageFormat::Png, Some(&[b'I', b'H', b'D', b'R', w1, w2, w3, w4, h1, h2, h3, h4])) =
        (format, head.get(12..24))
    {
        // Before the decoder, which only says that it needs too much memory.
        let side = |bytes| usize::try_from(u32::from_be_bytes(bytes)).unwrap_or(usize::MAX);
        check_size(side([w1, w2, w3, w4]), side([h1, h2, h3, h4]))?;
    }
    file.seek(SeekFrom::Start(start)).map_err(failed)?;
    if format == ImageFormat::Tiff && exif::is_raw_photograph(&mut file) {
        return Err(format!("it is a raw photograph, of which only a small preview can be read; {}", kind::DEVELOP));
    }
    file.seek(SeekFrom::Start(start)).map_err(failed)?;
    let told = match format {
        ImageFormat::Png => exif::in_png(&mut file),
        ImageFormat::WebP => exif::in_webp(&mut file),
        _ => None,
    };
    file.seek(SeekFrom::Start(start)).map_err(failed)?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(if format == ImageFormat::Png { MAX_PNG_METADATA } else { MAX_DECODED });
    let wrong = |error: image::ImageError| match error {
        image::ImageError::Limits(_) => {
            "it needs too much memory; scale it down, or save it again without metadata, as 8-bit PNG or JPEG".into()
        }
        image::ImageError::Unsupported(error) => format!("{error}; save it as 8-bit PNG or JPEG"),
        error => format!("it is cut off or damaged: {error}"),
    };
    let mut reader = ImageReader::with_format(file, format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(wrong)?;
    let (width, height) = decoder.dimensions();
    check_size(width as usize, height as usize)?;
    if decoder.total_bytes() > MAX_DECODED {
        return Err("it has more than 16 bits per channel; save it with 8".into());
    }
    let orientation = match format {
        // Metadata that is damaged does not make a picture unreadable.
        ImageFormat::Tiff => decoder.orientation().unwrap_or(Orientation::NoTransforms),
        _ => told.unwrap_or(Orientation::NoTransforms),
    };
    Ok((DynamicImage::from_decoder(decoder).map_err(wrong)?, orientation))
}

#[cfg(test)]
mod tests;
