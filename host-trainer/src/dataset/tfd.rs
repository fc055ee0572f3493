//! TFD: Susskind, Anderson, Hinton, "The Toronto Face Database", University of Toronto 2010: one MATLAB 5 file of aligned
//! faces, `TFD_48x48.mat` or `TFD_96x96.mat`, with `images` (faces, rows, columns), `labs_ex`, `labs_id` and `folds`.

use std::path::{Path, PathBuf};

use expression_core::Label;
use expression_engine::Picture;

use super::mat::{self, Variable};
use super::{Collection, Fold, Sample};
use crate::error::Error;

/// Looked for in a folder, in this order.
const FILES: [&str; 2] = ["TFD_48x48.mat", "TFD_96x96.mat"];
/// Labels by their code, from 1.
const CODES: [Label; 7] =
    [Label::Anger, Label::Disgust, Label::Fear, Label::Happiness, Label::Sadness, Label::Surprise, Label::Neutral];
/// The code of a face without label or identity.
const NONE: f64 = -1.0;
/// Official folds.
const FOLDS: usize = 5;
/// More faces than this are refused (the set has 112,234), and so are larger ones, in pixels a side.
const MAX_FACES: usize = 200_000;
/// See `MAX_FACES`.
const MAX_SIDE: usize = 1024;
/// The most pixels of all labelled faces (the set has 38.5 million).
const MAX_PIXELS: usize = 100_000_000;

/// Reads the labelled faces of TFD, 4,178, in its five official folds of a training, a validation and a test part each.
/// The faces are aligned already.
///
/// # Errors
/// [`Error::BadInput`] where the file is missing or damaged, lacks a variable, or one has another shape or an unknown code.
pub fn collect(path: &Path) -> crate::Result<Collection> {
    let file = file(path)?;
    let refuse = |reason: String| Error::BadInput(format!("{}: {reason}", file.display()));
    let (labels, count) = mat::read(&file, "labs_ex", |codes| {
        let codes = list(codes, "labs_ex")?;
        let labels: Vec<Option<Label>> = codes.iter().map(|code| label(*code)).collect::<Result<_, _>>()?;
        Ok((labels, codes.len()))
    })?;
    let identities = mat::read(&file, "labs_id", |codes| list(codes, "labs_id"))?;
    if identities.len() != count {
        return Err(refuse(format!("labs_id has {} values, labs_ex {count}", identities.len())));
    }
    let parts = mat::read(&file, "folds", |mut folds| {
        expect(&folds, "folds", &[count, FOLDS])?;
        let mut parts = vec![0.0; count * FOLDS];
        folds.fill(&mut parts).map_err(|error| error.to_string())?;
        Ok(parts)
    })?;
    let chosen: Vec<usize> = (0..count).filter(|face| labels[*face].is_some()).collect();
    let pictures = mat::read(&file, "images", |images| pictures(images, count, &chosen))?;
    let samples: Vec<Sample> = chosen
        .iter()
        .zip(pictures)
        .filter_map(|(face, picture)| {
            let subject = (identities[*face] != NONE).then(|| format!("{}", identities[*face]));
            Some(Sample::labelled(format!("face {}", face + 1), subject, picture, labels[*face]?))
        })
        .collect();
    let folds: Vec<Fold> =
        parts.chunks_exact(count).map(|part| fold(part, &chosen)).collect::<Result<_, _>>().map_err(refuse)?;
    let source = "TFD (Susskind, Anderson, Hinton 2010); for research, by agreement with its owners".into();
    Ok(Collection { name: "TFD".into(), source, samples, skipped: Vec::new(), folds })
}

fn file(path: &Path) -> crate::Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let found = FILES.iter().map(|name| path.join(name)).find(|file| file.is_file());
    found.ok_or_else(|| Error::BadInput(format!("{}: neither {} nor {} is there", path.display(), FILES[0], FILES[1])))
}

/// The values of a variable that is a row or a column.
fn list(mut variable: Variable, name: &str) -> Result<Vec<f64>, String> {
    let count = match variable.shape[..] {
        [1, count] | [count, 1] | [count] if (1..=MAX_FACES).contains(&count) => count,
        _ => return Err(format!("{name} has shape {:?}, which is no list of faces", variable.shape)),
    };
    let mut values = vec![0.0; count];
    variable.fill(&mut values).map_err(|error| format!("{name}: {error}; copy the file again"))?;
    Ok(values)
}

fn label(code: f64) -> Result<Option<Label>, String> {
    if code == NONE {
        return Ok(None);
    }
    let place = (1..).zip(CODES).find(|(known, _)| f64::from(*known) == code);
    place.map(|(_, label)| Some(label)).ok_or_else(|| format!("labs_ex: unknown code {code}; known are 1 to 7, and -1"))
}

fn expect(variable: &Variable, name: &str, shape: &[usize]) -> Result<(), String> {
    let found = &variable.shape;
    (found == shape).then_some(()).ok_or_else(|| format!("{name} has shape {found:?}, not {shape:?}"))
}

/// The chosen faces of `images`, a pixel of all faces after the other: the first index is the fastest.
fn pictures(mut images: Variable, count: usize, chosen: &[usize]) -> Result<Vec<Picture>, String> {
    let (height, width) = match images.shape[..] {
        [faces, height, width] if faces == count => (height, width),
        _ => return Err(format!("images has shape {:?}, not {count} faces of rows and columns", images.shape)),
    };
    if !(1..=MAX_SIDE).contains(&height) || !(1..=MAX_SIDE).contains(&width) {
        return Err(format!("images: faces of {width}x{height} pixels; at most {MAX_SIDE} a side are read"));
    }
    if chosen.len() * width * height > MAX_PIXELS {
        let faces = chosen.len();
        return Err(format!("images: {faces} faces of {width}x{height} pixels; at most {MAX_PIXELS} pixels are read"));
    }
    let blank = Picture { width, height, channels: 1, data: vec![0; width * height] };
    let mut pictures = vec![blank; chosen.len()];
    let mut pixel = vec![0.0; count];
    for place in 0..width * height {
        images.fill(&mut pixel).map_err(|error| format!("images: {error}; copy the file again"))?;
        let (x, y) = (place / height, place % height);
        for (picture, face) in pictures.iter_mut().zip(chosen) {
            // A cast brings what is no byte to the nearest one.
            picture.data[y * width + x] = pixel[*face] as u8;
        }
    }
    Ok(pictures)
}

/// One official fold, from the codes of all faces: 1 training, 2 validation, 3 test, 0 not used.
fn fold(codes: &[f64], chosen: &[usize]) -> Result<Fold, String> {
    let mut fold = Fold::default();
    for (sample, face) in chosen.iter().enumerate() {
        match codes[*face] {
            0.0 => {}
            1.0 => fold.train.push(sample),
            2.0 => fold.validation.push(sample),
            3.0 => fold.test.push(sample),
            code => return Err(format!("folds: unknown code {code}; known are 0 to 3")),
        }
    }
    let empty = fold.train.is_empty() || fold.validation.is_empty() || fold.test.is_empty();
    if empty { Err("folds: a fold lacks its training, validation or test part".into()) } else { Ok(fold) }
}

#[cfg(test)]
mod tests;
