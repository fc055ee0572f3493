//! TFD: one MATLAB 5 file.

use expression_core::Label;
use image::DynamicImage;
use rayon::prelude::*;

use super::super::mat::{self, Values};
use super::{Artist, Shot};

/// Labelled faces of the set; the last share of what is drawn beyond them has no label.
const LABELLED: usize = 4178;
/// Drawn without a label, of the many that the set has.
const UNLABELLED: usize = 222;
/// People drawn; the set does not say how many it shows.
const SUBJECTS: usize = 400;
/// Labels by their code, from 1.
const CODES: [Label; 7] =
    [Label::Anger, Label::Disgust, Label::Fear, Label::Happiness, Label::Sadness, Label::Surprise, Label::Neutral];

pub fn write(artist: &Artist) -> crate::Result<()> {
    let subjects = artist.subjects(SUBJECTS);
    let labelled = artist.pictures(LABELLED, SUBJECTS);
    let count = labelled + artist.pictures(UNLABELLED, SUBJECTS);
    let code = |face: usize| if face < labelled { 1 + face / subjects % CODES.len() } else { 0 };
    let faces: Vec<(Vec<u8>, usize)> = (0..count)
        .into_par_iter()
        .map(|face| -> crate::Result<_> {
            let label = CODES[code(face).max(1) - 1];
            let (subject, path) = (face % subjects, String::new());
            let shot = Shot { path, subject, label, variation: face as u64, share: 1.0, grey: true };
            let grey = DynamicImage::ImageRgb8(artist.face(&shot, 1.0, 48)?.image).into_luma8();
            Ok((grey.as_raw().clone(), grey.width() as usize))
        })
        .collect::<crate::Result<_>>()?;
    let side = faces.first().map_or(0, |(_, side)| *side);
    // Faces fastest, then rows, then columns.
    let pixels = (0..side * side).flat_map(|place| {
        let (x, y) = (place / side, place % side);
        faces.iter().map(move |(pixels, _)| pixels[y * side + x])
    });
    let codes = (0..count).map(|face| if face < labelled { code(face) as f64 } else { -1.0 });
    let identities = (0..count).map(|face| (1 + face % subjects) as f64);
    let parts = (0..5).flat_map(|fold| {
        // A fifth of the people each: tested, validated on, and the rest trained on.
        let part = move |face: usize| match (face % subjects + fold) % 5 {
            _ if face >= labelled => 0.0,
            0 => 3.0,
            1 => 2.0,
            _ => 1.0,
        };
        (0..count).map(part)
    });
    let variables = [
        ("images", vec![count, side, side], Values::Bytes(pixels.collect())),
        ("labs_ex", vec![count, 1], Values::Doubles(codes.collect())),
        ("labs_id", vec![count, 1], Values::Doubles(identities.collect())),
        ("folds", vec![count, 5], Values::Doubles(parts.collect())),
    ];
    let mut file = mat::header().to_vec();
    for (name, shape, values) in &variables {
        mat::write(&mut file, name, shape, values)?;
    }
    artist.put(&format!("TFD_{side}x{side}.mat"), &file)
}
