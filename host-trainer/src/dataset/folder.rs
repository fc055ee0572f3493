//! A folder with one folder per class, named after the labels. Below it, `train/`, `valid/` and `test/` with such folders
//! each are taken as the split; without them a fifth of each class becomes the test part.

use std::path::{Path, PathBuf};

use expression_core::Label;

use super::{ClassNames, DataSet, Part, Request, Sample, Split, listing, sample, shuffled};
use crate::error::Error;

/// A picture file and its class.
pub type Item = (PathBuf, Label);

/// Names of the folders of parts, in lower case.
const PARTS: [(Split, &[&str]); 3] = [
    (Split::Train, &["train", "training", "train_set", "trainset"]),
    (Split::Valid, &["valid", "validation", "val", "val_set", "dev", "valset"]),
    (Split::Test, &["test", "testing", "test_set", "testset"]),
];
/// Folders that may lie between the one given and the classes: those that archives wrap their content in.
const MAX_WRAPPERS: usize = 3;

/// The pictures of a folder by the part that they lie in.
#[derive(Debug)]
struct Pictures {
    train: Vec<Item>,
    valid: Option<Vec<Item>>,
    test: Option<Vec<Item>>,
}

/// Loads a folder of class folders, or of parts that hold class folders.
///
/// With `train/` and `test/`, and `valid/` if there is one, these are the parts: the validation part calibrates. With
/// `train/` and `valid/` alone the validation part is reported on, and training samples are held out to calibrate. Without
/// parts every fifth picture of a class is tested on.
///
/// # Errors
/// Returns [`Error::BadInput`] if the folder is missing or empty or a class folder's name is not understood.
pub fn load(folder: &Path, classes: &ClassNames, request: Request) -> crate::Result<DataSet> {
    let (mut train, calibration, test) = match read_parts(folder, classes)? {
        Pictures { train, valid: Some(valid), test: Some(test) } => {
            (shuffled(train, request.seed), Some(shuffled(valid, request.seed)), test)
        }
        Pictures { train, valid, test: None } if valid.is_none() => {
            let (train, test) = split_by_class(shuffled(train, request.seed));
            (train, None, test)
        }
        Pictures { train, valid, test } => (shuffled(train, request.seed), None, test.or(valid).unwrap_or_default()),
    };
    train.truncate(request.limit.unwrap_or(usize::MAX));
    let calibration = calibration.unwrap_or_else(|| train.split_off(train.len() - request.held_out(train.len())));
    let mut skipped = Vec::new();
    let mut read = |items: &[Item]| {
        let (samples, unreadable) = samples(folder, items);
        skipped.extend(unreadable);
        samples
    };
    Ok(DataSet {
        name: title(folder),
        source: TERMS.into(),
        train: read(&train),
        calibration: read(&calibration),
        test: read(&test),
        skipped,
    })
}

/// The pictures of a part that has a folder of its own, `valid/` for `test` if there is only that; `None` if the folder
/// does not name such a part, so that it is one that [`load`] makes.
///
/// # Errors
/// As [`load`].
pub fn part(folder: &Path, classes: &ClassNames, split: Split) -> crate::Result<Option<Part>> {
    let Pictures { train, valid, test } = read_parts(folder, classes)?;
    let items = match (split, valid, test) {
        (_, None, None) | (Split::Valid, None, _) => return Ok(None),
        (Split::Train, ..) => train,
        (Split::Valid, Some(items), _) | (Split::Test, _, Some(items)) | (Split::Test, Some(items), None) => items,
    };
    let (samples, skipped) = samples(folder, &items);
    Ok(Some(Part { name: format!("{} {split}", title(folder)), source: TERMS.into(), samples, skipped }))
}

/// Every picture of the folder, whatever part it lies in.
///
/// # Errors
/// As [`load`].
pub fn whole(folder: &Path, classes: &ClassNames) -> crate::Result<Part> {
    let Pictures { train, valid, test } = read_parts(folder, classes)?;
    let items: Vec<Item> = [Some(train), valid, test].into_iter().flatten().flatten().collect();
    let (samples, skipped) = samples(folder, &items);
    Ok(Part { name: format!("{} all", title(folder)), source: TERMS.into(), samples, skipped })
}

const TERMS: &str = "pictures of the user's own; their terms apply";

fn title(folder: &Path) -> String {
    format!("folder {}", folder.file_name().unwrap_or_default().to_string_lossy())
}

fn samples(folder: &Path, items: &[Item]) -> (Vec<Sample>, Vec<String>) {
    sample::read_all(
        items,
        |(path, _)| path.clone(),
        |(_, label), path, picture| {
            let name = path.strip_prefix(folder).unwrap_or(path).display().to_string();
            Ok(Sample::labelled(name, None, picture, *label))
        },
    )
}

/// Every fifth picture of each class, in the order given, goes to the test part.
fn split_by_class(items: Vec<Item>) -> (Vec<Item>, Vec<Item>) {
    let mut seen = [0usize; Label::COUNT];
    items.into_iter().partition(|(_, label)| {
        seen[*label as usize] += 1;
        seen[*label as usize] % 5 != 0
    })
}

/// The part that a folder's name stands for.
fn part_named(name: &str) -> Option<Split> {
    let name = name.to_lowercase();
    PARTS.iter().find(|(_, names)| names.contains(&name.as_str())).map(|(split, _)| *split)
}

fn read_parts(folder: &Path, classes: &ClassNames) -> crate::Result<Pictures> {
    let folder = unwrapped(folder, classes)?;
    let found = listing::folders(&folder)?;
    let parts: Vec<(Split, &Path)> =
        found.iter().filter_map(|(name, path)| Some((part_named(name)?, path.as_path()))).collect();
    if parts.is_empty() {
        return Ok(Pictures { train: pictures(&folder, classes)?, valid: None, test: None });
    }
    if let Some((name, path)) = found.iter().find(|(name, _)| part_named(name).is_none()) {
        let advice = "beside train, valid and test only class folders within them are read; move or remove it";
        return Err(Error::BadInput(format!("{}: folder {name:?} is not a part; {advice}", path.display())));
    }
    let of = |wanted: Split| -> crate::Result<Option<Vec<Item>>> {
        let mut of_part = parts.iter().filter(|(split, _)| *split == wanted).map(|(_, path)| *path);
        let path = of_part.next();
        if let (Some(path), Some(other)) = (path, of_part.next()) {
            let (path, other) = (path.display(), other.display());
            return Err(Error::BadInput(format!("{path} and {other} are the same part; keep one of them")));
        }
        path.map(|path| pictures(path, classes)).transpose()
    };
    let train = of(Split::Train)?.ok_or_else(|| {
        let path = folder.display();
        Error::BadInput(format!(
            "{path}: no folder train beside the other parts; give a folder with train, and valid or test"
        ))
    })?;
    Ok(Pictures { train, valid: of(Split::Valid)?, test: of(Split::Test)? })
}

/// The folder with the classes or parts: `folder`, or the one below it that an archive wrapped its content in.
fn unwrapped(folder: &Path, classes: &ClassNames) -> crate::Result<PathBuf> {
    let mut folder = folder.to_owned();
    for _ in 0..MAX_WRAPPERS {
        let found = listing::folders(&folder)?;
        let [(name, path)] = &found[..] else { break };
        if part_named(name).is_some() || classes.knows(name) {
            break;
        }
        if listing::folders(path)?.is_empty() {
            break;
        }
        folder = path.clone();
    }
    Ok(folder)
}

/// The pictures in the class folders of `folder` and the folders below them, in the order of their paths. What is left out
/// is logged in one line.
///
/// # Errors
/// Returns [`Error::BadInput`] if the folder is missing or empty or a class folder's name is not understood.
pub fn pictures(folder: &Path, classes: &ClassNames) -> crate::Result<Vec<Item>> {
    let found = listing::folders(folder)?;
    let names: Vec<String> = found.iter().map(|(name, _)| name.clone()).collect();
    let labels = classes.labels(&names).map_err(|reason| Error::BadInput(format!("{}: {reason}", folder.display())))?;
    let (mut items, mut left_out) = (Vec::new(), listing::LeftOut::default());
    left_out.add("pictures outside the class folders", listing::pictures(folder)?.len());
    for ((name, class), label) in found.iter().zip(labels) {
        let (paths, others) = listing::pictures_below(class)?;
        left_out.extend(others);
        match label {
            Some(label) => items.extend(paths.into_iter().map(|path| (path, label))),
            None => left_out.add(format!("of class {name}"), paths.len()),
        }
    }
    left_out.warn(folder);
    if items.is_empty() {
        let advice =
            "it needs one folder per class (neutral, happiness, ...) with PNG, JPEG, WebP, TIFF, GIF, BMP or PNM files";
        return Err(Error::BadInput(format!("{}: no pictures found; {advice}", folder.display())));
    }
    Ok(items)
}

#[cfg(test)]
mod tests;
