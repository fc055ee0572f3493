//! Oulu-CASIA NIR&VIS: Zhao et al., "Facial expression recognition from near-infrared videos", Image and Vision Computing
//! 2011. The paper's part of it is visible light, strong: `OriginalImg/VL/Strong/P001/Anger/000.jpeg`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use expression_core::Label;

use super::cut::Finder;
use super::{Collection, Sample, folds, listing, sample};
use crate::error::Error;

/// So many frames at a sequence's end show its expression.
const APEX: usize = 3;
/// What every subject shows.
const EXPRESSIONS: [Label; 6] =
    [Label::Anger, Label::Disgust, Label::Fear, Label::Happiness, Label::Sadness, Label::Surprise];
/// Folders that may lie between the folder given and the subjects', the original pictures first.
const WAY: [&str; 8] =
    ["OriginalImg", "B_OriginalImg", "PreProcessImg", "PreProcess_Img", "C_PreProcessImg", "VL", "VIS", "Strong"];
/// So many of them one below another.
const MAX_DEPTH: usize = 5;

struct Frame {
    path: PathBuf,
    name: String,
    subject: String,
    label: Label,
}

/// Reads Oulu-CASIA in `count` subject-disjoint folds: the last three frames of each subject's six sequences, 1,440 of 80
/// subjects. Faces are found by the detector.
///
/// # Errors
/// [`Error::BadInput`] where a folder is missing or has an unknown name, or a sequence has fewer than three frames.
pub fn collect(folder: &Path, count: usize) -> crate::Result<Collection> {
    let frames = frames(folder)?;
    let finder = Finder::open()?;
    let (samples, skipped) = sample::read_all(
        &frames,
        |frame| frame.path.clone(),
        |frame, _, picture| {
            let face = finder.face(&picture)?;
            Ok(Sample::labelled(frame.name.clone(), Some(frame.subject.clone()), face, frame.label))
        },
    );
    sample::few_skipped("Oulu-CASIA", &skipped, samples.len())?;
    let folds = folds::by_subject(&samples, count)?;
    let source = "Oulu-CASIA NIR&VIS (Zhao et al. 2011); for research, by agreement with its owners".into();
    Ok(Collection { name: "Oulu-CASIA, visible, strong light".into(), source, samples, skipped, folds })
}

/// The frames that take part.
fn frames(folder: &Path) -> crate::Result<Vec<Frame>> {
    let root = subjects_folder(folder, MAX_DEPTH).ok_or_else(|| {
        let advice = "give the folder that holds OriginalImg/VL/Strong/P001/..., or one below it";
        Error::BadInput(format!("{}: no folder of a subject (P001, ...); {advice}", folder.display()))
    })?;
    let mut frames = Vec::new();
    for (subject, path) in listing::folders(&root)? {
        if !is_subject(&subject) {
            return Err(Error::BadInput(format!("{}: no subject's name, which is P and a number", path.display())));
        }
        let mut sequences = BTreeMap::new();
        for (name, path) in listing::folders(&path)? {
            let label = Label::from_name(&name).filter(|label| EXPRESSIONS.contains(label));
            let unknown = || Error::BadInput(format!("{}: unknown expression {name:?}", path.display()));
            if let Some(other) = sequences.insert(label.ok_or_else(unknown)?, path.clone()) {
                return Err(Error::BadInput(format!("{}: the same expression as {}", path.display(), other.display())));
            }
        }
        for label in EXPRESSIONS {
            let missing = || Error::BadInput(format!("{}: no sequence of {}", path.display(), label.name()));
            frames.extend(apex(&root, &subject, sequences.get(&label).ok_or_else(missing)?, label)?);
        }
    }
    Ok(frames)
}

/// The last frames of a sequence.
fn apex(root: &Path, subject: &str, sequence: &Path, label: Label) -> crate::Result<Vec<Frame>> {
    let pictures = listing::pictures(sequence)?;
    let first = pictures.len().checked_sub(APEX).ok_or_else(|| {
        Error::BadInput(format!("{}: {} frames, fewer than the {APEX} that count", sequence.display(), pictures.len()))
    })?;
    let frame = |path: &PathBuf| Frame {
        path: path.clone(),
        name: path.strip_prefix(root).unwrap_or(path).display().to_string(),
        subject: subject.to_owned(),
        label,
    };
    Ok(pictures[first..].iter().map(frame).collect())
}

/// The folder of `P001` and so on, at or below `folder`.
fn subjects_folder(folder: &Path, deepest: usize) -> Option<PathBuf> {
    if listing::entries(folder).ok()?.iter().any(|path| path.is_dir() && is_subject(&listing::name(path))) {
        return Some(folder.to_owned());
    }
    let below = WAY.iter().map(|name| folder.join(name)).filter(|path| path.is_dir());
    below.into_iter().find_map(|path| subjects_folder(&path, deepest.checked_sub(1)?))
}

fn is_subject(name: &str) -> bool {
    name.strip_prefix(['P', 'p']).is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
