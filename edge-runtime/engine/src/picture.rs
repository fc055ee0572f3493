//! Pictures from files, decoded to bytes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek};
use std::path::{Path, PathBuf};

use crate::error::{Classify, ErrorKind};
use expression_core::{FaceInput, View};
use image::{DynamicImage, ImageReader};

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
    /// The file is missing, is no picture, or is damaged.
    #[error("{path}: not a readable picture ({reason}); give PNG, JPEG, BMP or PNM files")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
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

impl Picture {
    /// Decodes a PNG, JPEG, BMP or PNM file. Grey files stay grey, all others become RGB; transparency is dropped.
    ///
    /// # Errors
    /// [`PictureError::Unreadable`] where the file is missing, damaged, or larger than 512 MiB decoded.
    pub fn open(path: &Path) -> Result<Picture, PictureError> {
        let unreadable =
            |error: io::Error| PictureError::Unreadable { path: path.to_owned(), reason: error.to_string() };
        Picture::read(BufReader::new(File::open(path).map_err(unreadable)?), path)
    }

    /// Decodes the bytes of such a file; `path` is for messages.
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn read(bytes: impl BufRead + Seek, path: &Path) -> Result<Picture, PictureError> {
        let decoded = ImageReader::new(bytes)
            .with_guessed_format()
            .map_err(image::ImageError::from)
            .and_then(ImageReader::decode)
            .map_err(|error| PictureError::Unreadable { path: path.to_owned(), reason: error.to_string() })?;
        let grey = !decoded.color().has_color();
        let (width, height) = (decoded.width() as usize, decoded.height() as usize);
        Ok(match grey {
            true => Picture { width, height, channels: 1, data: to_luma(decoded) },
            false => Picture { width, height, channels: 3, data: decoded.into_rgb8().into_raw() },
        })
    }

    /// The picture as `expression-core` reads it.
    pub fn view(&self) -> Option<View<'_>> {
        View::new(&self.data, self.width, self.height, self.channels, self.width * self.channels)
    }

    /// The aligned face of this picture: u8 `[channels, size, size]`, the same bytes on every machine.
    ///
    /// # Errors
    /// [`PictureError::Geometry`] where the picture is empty or the input makes no sense.
    pub fn aligned_face(&self, input: FaceInput) -> Result<Vec<u8>, PictureError> {
        let mut face = vec![0; input.len()];
        let made = self.view().is_some_and(|view| input.aligned_face(view, &mut face));
        made.then_some(face).ok_or(PictureError::Geometry { width: self.width, height: self.height, input })
    }
}

fn to_luma(decoded: DynamicImage) -> Vec<u8> {
    decoded.into_luma8().into_raw()
}
