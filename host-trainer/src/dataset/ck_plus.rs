//! CK+: Lucey et al., "The Extended Cohn-Kanade Dataset (CK+)", CVPR workshops 2010, as its owners distribute it:
//! `cohn-kanade-images/S005/001/S005_001_00000001.png`, `Emotion/S005/001/S005_001_00000011_emotion.txt` (one code) and
//! `Landmarks/S005/001/S005_001_00000001_landmarks.txt` (68 lines of x and y in pixels).

use std::path::{Path, PathBuf};

use expression_core::Label;
use expression_core::align::KeyPoints;

use super::class_names::Numbering;
use super::{Collection, Sample, cut, folder, folds, listing, sample, table};
use crate::error::Error;

/// So many frames at a sequence's end show its expression; the first one is neutral.
const APEX: usize = 3;
/// The most bytes of a label or a landmark file.
const MAX_TEXT: u64 = 1 << 20;

/// The task: which labels take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classes {
    /// Without contempt and the neutral first frames: 927 pictures of 309 sequences.
    Six,
    /// All: 1,308 pictures of 327 sequences.
    Eight,
}

/// A frame that takes part.
struct Frame {
    path: PathBuf,
    subject: String,
    points: KeyPoints,
    label: Label,
}

/// Reads CK+ in `count` subject-disjoint folds: the last three frames of every sequence that has a label, and for eight
/// classes the first one as neutral. Faces are aligned by the landmarks that come with the set.
///
/// # Errors
/// [`Error::BadInput`] where a folder, or a labelled sequence's landmark file, is missing or does not parse, or a sequence has
/// fewer than four frames.
pub fn collect(folder: &Path, classes: Classes, count: usize) -> crate::Result<Collection> {
    for needed in ["cohn-kanade-images", "Emotion", "Landmarks"] {
        if !folder.join(needed).is_dir() {
            let advice = folder::advice(folder, "give the folder that holds cohn-kanade-images, Emotion and Landmarks");
            return Err(Error::BadInput(format!("{}: no folder {needed}; {advice}", folder.display())));
        }
    }
    let mut frames = Vec::new();
    for (subject, path) in listing::folders(&folder.join("cohn-kanade-images"))? {
        for (sequence, path) in listing::folders(&path)? {
            frames.extend(sequence_frames(folder, &subject, &sequence, &path, classes)?);
        }
    }
    if frames.is_empty() {
        return Err(Error::BadInput(format!("{}: no sequence has an emotion file", folder.display())));
    }
    let (samples, skipped) = sample::read_all(
        &frames,
        |frame| frame.path.clone(),
        |frame, path, picture| {
            let face = cut::face(&picture, &frame.points)?;
            Ok(Sample::labelled(listing::name(path), Some(frame.subject.clone()), face, frame.label))
        },
    );
    sample::few_skipped("CK+", &skipped, samples.len())?;
    let folds = folds::by_subject(&samples, count)?;
    let source = "CK+ (Lucey et al. 2010); for research, by agreement with its owners".into();
    Ok(Collection { name: "CK+".into(), source, samples, skipped, folds })
}

/// The frames of one sequence that take part; none where it has no label.
fn sequence_frames(
    folder: &Path,
    subject: &str,
    sequence: &str,
    path: &Path,
    classes: Classes,
) -> crate::Result<Vec<Frame>> {
    let part = |name: &str| folder.join(name).join(subject).join(sequence);
    let Some(label) = emotion(&part("Emotion"))? else { return Ok(Vec::new()) };
    let pictures = listing::pictures(path)?;
    let start = format!("{subject}_{sequence}_");
    if let Some(stranger) = pictures.iter().find(|picture| !listing::name(picture).starts_with(&start)) {
        return Err(Error::BadInput(format!("{}: no frame of {subject}/{sequence}", stranger.display())));
    }
    if pictures.len() <= APEX {
        let found = pictures.len();
        let what = "a labelled sequence has a neutral first frame and three of its expression";
        return Err(Error::BadInput(format!("{}: {found} frames, fewer than {}; {what}", path.display(), APEX + 1)));
    }
    let apex = pictures[pictures.len() - APEX..].iter().map(|picture| (picture, label));
    let taken: Vec<_> = match classes {
        Classes::Six if matches!(label, Label::Neutral | Label::Contempt) => Vec::new(),
        Classes::Six => apex.collect(),
        Classes::Eight => std::iter::once((&pictures[0], Label::Neutral)).chain(apex).collect(),
    };
    let frame = |(path, label): (&PathBuf, Label)| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let points = landmarks(&part("Landmarks").join(format!("{stem}_landmarks.txt")))?;
        Ok(Frame { path: path.clone(), subject: subject.to_owned(), points, label })
    };
    taken.into_iter().map(frame).collect()
}

/// The label in a sequence's folder of `Emotion`; many have none, and no folder.
fn emotion(folder: &Path) -> crate::Result<Option<Label>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let files = listing::entries(folder)?;
    let file = match files.as_slice() {
        [] => return Ok(None),
        [file] => file,
        _ => return Err(Error::BadInput(format!("{}: {} files, not one label", folder.display(), files.len()))),
    };
    let text = text(file)?.trim().to_owned();
    let code: Option<f64> = text.parse().ok();
    let label = code.and_then(|code| (0..Label::COUNT).find(|known| *known as f64 == code));
    let label = label.and_then(|code| Numbering::CkPlus.label(code));
    let (place, text) = (file.display(), table::shown(&text));
    let unknown =
        || Error::BadInput(format!("{place}: {text} is no emotion code; known are 0 (neutral) to 7 (surprise)"));
    Ok(Some(label.ok_or_else(unknown)?))
}

fn text(file: &Path) -> crate::Result<String> {
    table::text(file, MAX_TEXT).map_err(|error| Error::BadInput(error.to_string()))
}

/// The key points of a landmark file: the means of the points around each eye and around the outer lips.
fn landmarks(file: &Path) -> crate::Result<KeyPoints> {
    let text = text(file)?;
    let mut points = Vec::with_capacity(cut::LANDMARKS);
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let values: Vec<f32> = line.split_whitespace().map_while(|value| value.parse().ok()).collect();
        match values.as_slice() {
            [x, y] if x.is_finite() && y.is_finite() && line.split_whitespace().count() == 2 => points.push([*x, *y]),
            _ => return Err(Error::BadInput(format!("{}:{number}: not x and y in pixels", file.display()))),
        }
    }
    if points.len() != cut::LANDMARKS {
        return Err(Error::BadInput(format!("{}: {} points, not {}", file.display(), points.len(), cut::LANDMARKS)));
    }
    cut::key_points(&points).ok_or_else(|| Error::BadInput(format!("{}: points far outside a picture", file.display())))
}

#[cfg(test)]
mod tests;
