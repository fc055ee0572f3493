//! A sheet of what was loaded or drawn, for the eye.

use expression_core::Label;
use expression_engine::Picture;
use image::{Rgb, RgbImage, imageops};

use super::Sample;

/// Side of a cell in pixels.
const CELL: u32 = 64;
/// Pictures of each label.
const COLUMNS: usize = 12;

/// One row a label, in the order of their class index, of up to twelve samples each.
pub fn sheet(samples: &[Sample]) -> RgbImage {
    let height = CELL * Label::COUNT as u32;
    let mut sheet = RgbImage::from_pixel(CELL * COLUMNS as u32, height, Rgb([255; 3]));
    for label in Label::ALL {
        let row = samples.iter().filter(|sample| sample.label == label).take(COLUMNS);
        for (column, sample) in row.enumerate() {
            let cell = thumbnail(&sample.picture, CELL);
            imageops::replace(&mut sheet, &cell, i64::from(CELL) * column as i64, i64::from(CELL) * label as i64);
        }
    }
    sheet
}

/// The picture at `side` x `side` pixels.
pub fn thumbnail(picture: &Picture, side: u32) -> RgbImage {
    let mut cell = RgbImage::new(side, side);
    if let Some(view) = picture.view() {
        let side = side as usize;
        expression_core::resample::resample(view.centre_square(), side, side, false, |x, y, c, value| {
            cell.get_pixel_mut(x as u32, y as u32).0[c] = value;
        });
    }
    cell
}

/// The bytes of a PNG file.
///
/// # Errors
/// Of the encoder.
pub fn png(image: &RgbImage) -> image::ImageResult<Vec<u8>> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png)?;
    Ok(bytes.into_inner())
}
