//! Neurons' pictures and histograms laid out. They bear no text: the page does.

use image::{DynamicImage, GrayImage, Rgb, RgbImage, imageops};

use super::{BITS, Inspection, LayerFigures};

/// Side of a neuron's picture in pixels.
const CELL: u32 = 64;
/// Between pictures, in pixels; between nets eight times that.
const GAP: u32 = 2;
/// Pictures in a row.
const COLUMNS: usize = 8;

/// Pictures in rows, in the order given.
pub fn grid(pictures: &[GrayImage]) -> RgbImage {
    let [columns, rows] = [pictures.len().clamp(1, COLUMNS), pictures.len().div_ceil(COLUMNS).max(1)];
    let side = |cells: usize| cells as u32 * (CELL + GAP) - GAP;
    let mut sheet = RgbImage::from_pixel(side(columns), side(rows), Rgb([255; 3]));
    for (number, picture) in pictures.iter().enumerate() {
        let cell = imageops::resize(picture, CELL, CELL, imageops::FilterType::Triangle);
        let [x, y] = [number % COLUMNS, number / COLUMNS].map(|place| (place as u32 * (CELL + GAP)).into());
        imageops::replace(&mut sheet, &DynamicImage::ImageLuma8(cell).to_rgb8(), x, y);
    }
    sheet
}

/// Sheets next to each other, from the left.
pub fn side_by_side(sheets: &[RgbImage]) -> RgbImage {
    let gap = 8 * GAP;
    let width = sheets.iter().map(|sheet| sheet.width() + gap).sum::<u32>().saturating_sub(gap).max(1);
    let height = sheets.iter().map(RgbImage::height).max().unwrap_or(1);
    let mut all = RgbImage::from_pixel(width, height, Rgb([255; 3]));
    let mut x = 0;
    for sheet in sheets {
        imageops::replace(&mut all, sheet, x, 0);
        x += i64::from(sheet.width() + gap);
    }
    all
}

/// Width of a histogram's bar and height of a histogram, in pixels.
const BAR: u32 = 8;
const HEIGHT: u32 = 96;
const BLUE: Rgb<u8> = Rgb([47, 127, 201]);
const RULE: Rgb<u8> = Rgb([221, 226, 232]);

/// Histograms of label entropy from 0 to [`BITS`] with a rule at each whole bit: a column a net, a row a layer. Layers stand
/// on the bottom row, so that the last ones of all nets are side by side.
pub fn histograms(inspection: &Inspection) -> RgbImage {
    let rows = inspection.nets.iter().map(|net| net.layers.len()).max().unwrap_or(0);
    let columns = inspection.nets.iter().map(|net| {
        let drawn: Vec<_> = net.layers.iter().map(|layer| histogram(layer, inspection.highest())).collect();
        let width = drawn.first().map_or(1, RgbImage::width);
        let mut column = RgbImage::from_pixel(width, (rows as u32 * (HEIGHT + 8 * GAP)).max(1), Rgb([255; 3]));
        for (row, drawn) in (rows - drawn.len()..).zip(&drawn) {
            imageops::replace(&mut column, drawn, 0, (row as u32 * (HEIGHT + 8 * GAP)).into());
        }
        column
    });
    side_by_side(&columns.collect::<Vec<_>>())
}

fn histogram(layer: &LayerFigures, highest: f64) -> RgbImage {
    let shares = layer.shares();
    let width = shares.len() as u32 * BAR;
    let mut drawn = RgbImage::from_pixel(width, HEIGHT, Rgb([255; 3]));
    for bit in 0..=BITS as u32 {
        let x = (f64::from(bit) / BITS * f64::from(width - 1)) as u32;
        (0..HEIGHT).for_each(|y| drawn.put_pixel(x, y, RULE));
    }
    for (bin, share) in shares.iter().enumerate() {
        let height = (share / highest.max(f64::MIN_POSITIVE) * f64::from(HEIGHT)).round() as u32;
        for x in bin as u32 * BAR..(bin as u32 + 1) * BAR - 1 {
            (HEIGHT - height.min(HEIGHT)..HEIGHT).for_each(|y| drawn.put_pixel(x, y, BLUE));
        }
    }
    drawn
}
