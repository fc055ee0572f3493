//! A folder with one folder per class, named after the labels. `train/`, `valid/` and `test/` with such folders each, or within
//! each of such folders, are taken as the split; without them a fifth of each class becomes the test part.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use expression_core::Label;

use super::copies::EqualFiles;
use super::listing::LeftOut;
use super::{
    ClassNames, DataSet, Part, Request, SPLIT_SEED, Sample, Split, class_names, listing, sample, shuffled, track,
};
use crate::error::Error;

mod parts;

pub use parts::{PartFolder, advice};
use parts::{find_parts, part_named, unwrapped};

/// A picture file and its class.
pub type Item = (PathBuf, Label);

/// What a folder must look like.
const NEEDED: &str = "it needs one folder per class (neutral, happiness, ...) with PNG, JPEG, WebP, TIFF, GIF, BMP or PNM \
                      files; labels in tables and in names of files are not read";

/// The pictures of a folder by the part that they lie in.
#[derive(Debug)]
struct Pictures {
    train: Vec<Item>,
    valid: Option<Vec<Item>>,
    test: Option<Vec<Item>>,
    equal: EqualFiles,
}

/// Loads a folder of class folders, or of parts that hold class folders, or of class folders that hold parts.
///
/// With `train/` and `test/`, and `valid/` if there is one, these are the parts: the validation part calibrates. With
/// `train/` and `valid/` alone the validation part is reported on, and training samples are held out to calibrate. Without
/// parts every fifth picture of a class is tested on, or every fifth track of faces that a board kept, the same ones with every seed.
/// What is held out to calibrate has no track, and no file byte by byte, in common with what is trained on. Files that are in the test
/// part too are neither trained on nor calibrate, and those of the validation part are not trained on.
///
/// # Errors
/// Returns [`Error::BadInput`] if the folder is missing or empty or a class folder's name is not understood.
pub fn load(folder: &Path, classes: &ClassNames, request: Request) -> crate::Result<DataSet> {
    let Pictures { train, valid, test, equal } = read_parts(folder, classes)?;
    let (train, mut calibration, test) = match (valid, test) {
        (Some(valid), Some(test)) => (train, Some(shuffled(valid, request.seed)), test),
        (None, Some(test)) | (Some(test), None) => (train, None, test),
        (None, None) => {
            let (train, test) = split_by_class(shuffled(train, SPLIT_SEED));
            (train, None, test)
        }
    };
    let mut train = shuffled(train, request.seed);
    leave_out_copies(folder, &mut train, calibration.as_mut(), &test, &equal)?;
    // If the validation part was a copy of another, training samples are held out instead.
    let (train, calibration) = match calibration.filter(|items| items.len() >= 2) {
        Some(mut calibration) => {
            request.cut(&mut train, &mut calibration);
            (train, calibration)
        }
        None => {
            train.truncate(request.limit.unwrap_or(usize::MAX));
            let alike = |path: &Path| track::of(&listing::name(path)).or_else(|| equal.key(path).map(str::to_owned));
            request.hold_out(train, |(path, _)| alike(path))
        }
    };
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

/// Leaves out training pictures that are also in another part, and validation pictures that are also in the test part. Logs one
/// line.
fn leave_out_copies(
    folder: &Path,
    train: &mut Vec<Item>,
    calibration: Option<&mut Vec<Item>>,
    test: &[Item],
    equal: &EqualFiles,
) -> crate::Result<()> {
    let mut elsewhere = keys(test, equal);
    let mut left_out = LeftOut::default();
    let mut drop = |items: &mut Vec<Item>, elsewhere: &HashSet<&str>, reason: &str| {
        let all = items.len();
        items.retain(|(path, _)| !is_among(path, elsewhere, equal));
        left_out.add(reason, all - items.len());
    };
    let held_out = calibration.map(|calibration| {
        drop(calibration, &elsewhere, "validation pictures that are in the test part too");
        keys(calibration, equal)
    });
    elsewhere.extend(held_out.unwrap_or_default());
    drop(train, &elsewhere, "training pictures that are in another part too");
    left_out.warn(folder);
    let advice = "use different pictures there";
    let message = || {
        Error::BadInput(format!("{}: every training picture is also in valid/ or test/; {advice}", folder.display()))
    };
    if train.is_empty() { Err(message()) } else { Ok(()) }
}

/// What the files that have copies share with these.
fn keys<'a>(items: &[Item], equal: &'a EqualFiles) -> HashSet<&'a str> {
    items.iter().filter_map(|(path, _)| equal.key(path)).collect()
}

fn is_among(path: &Path, keys: &HashSet<&str>, equal: &EqualFiles) -> bool {
    equal.key(path).is_some_and(|key| keys.contains(key))
}

/// The pictures of a part that has a folder of its own, `valid/` for `test` if there is only that; `None` if the folder
/// does not name such a part, so that it is one that [`load`] makes. For the validation and test parts, it marks the pictures that
/// are also in the training part.
///
/// # Errors
/// As [`load`].
pub fn part(folder: &Path, classes: &ClassNames, split: Split) -> crate::Result<Option<Part>> {
    // Nothing is read that [`load`] reads again: what is left out would be told twice.
    let (_, [_, valid, test]) = find_parts(folder, classes)?;
    if valid.is_none() && (split == Split::Valid || test.is_none()) {
        return Ok(None);
    }
    let Pictures { train, valid, test, equal } = read_parts(folder, classes)?;
    let (items, trained) = match (split, valid, test) {
        (_, None, None) | (Split::Valid, None, _) => return Ok(None),
        (Split::Train, ..) => (train, HashSet::new()),
        (Split::Valid, Some(items), _) | (Split::Test, _, Some(items)) | (Split::Test, Some(items), None) => {
            (items, keys(&train, &equal))
        }
    };
    Ok(Some(measured(folder, &split.to_string(), &items, |path| is_among(path, &trained, &equal))))
}

/// Every picture of the folder, whatever part it lies in.
///
/// # Errors
/// As [`load`].
pub fn whole(folder: &Path, classes: &ClassNames) -> crate::Result<Part> {
    let Pictures { train, valid, test, equal } = read_parts(folder, classes)?;
    let trained = keys(&train, &equal);
    let of_train: HashSet<PathBuf> = train.iter().map(|(path, _)| path.clone()).collect();
    let items: Vec<Item> = [Some(train), valid, test].into_iter().flatten().flatten().collect();
    Ok(measured(folder, "all", &items, |path| !of_train.contains(path) && is_among(path, &trained, &equal)))
}

/// At most `count` pictures of a folder that has neither parts nor class folders, whatever its folders are called, for those who
/// need no labels; `None` if it has some, so that [`load`] reads it.
///
/// # Errors
/// Returns [`Error::BadInput`] if the folder cannot be listed or more than 1 % of the pictures cannot be read.
pub fn unlabelled(folder: &Path, count: usize, seed: u64) -> crate::Result<Option<Part>> {
    let classes = ClassNames::Common;
    let found = listing::folders(&unwrapped(folder, &classes)?)?;
    let names: Vec<String> = found.iter().map(|(name, _)| name.clone()).collect();
    let is_part = |(name, path): &(String, PathBuf)| part_named(name).is_some() || holds_classes(name, path, &classes);
    // A single one that is known may be that of a person called Joy, and one called unsorted has no label.
    let is_set = class_names::are_classes(&names)
        || classes.labels(&names).is_ok_and(|labels| labels.iter().any(Option::is_some));
    if found.iter().any(is_part) || is_set {
        return Ok(None);
    }
    let (paths, left_out) = listing::pictures_below(folder)?;
    left_out.warn(folder);
    let items = shuffled(paths, seed).into_iter().take(count).map(|path| (path, Label::Neutral));
    let part = measured(folder, "without labels", &items.collect::<Vec<_>>(), |_| false);
    sample::few_skipped(&part.name, &part.skipped, part.samples.len())?;
    Ok(Some(part))
}

fn measured(folder: &Path, what: &str, items: &[Item], is_copy: impl Fn(&Path) -> bool) -> Part {
    let (samples, skipped) = samples(folder, items);
    let copies: HashSet<String> =
        items.iter().filter(|(path, _)| is_copy(path)).map(|(path, _)| name_of(folder, path)).collect();
    let copies = samples.iter().map(|sample| copies.contains(&sample.name)).collect();
    Part { name: format!("{} {what}", title(folder)), source: TERMS.into(), samples, skipped, copies }
}

const TERMS: &str = "pictures of the user's own; their terms apply";

fn title(folder: &Path) -> String {
    format!("folder {}", listing::folder_name(folder))
}

fn samples(folder: &Path, items: &[Item]) -> (Vec<Sample>, Vec<String>) {
    sample::read_all(
        items,
        |(path, _)| path.clone(),
        |(_, label), path, picture| {
            let name = name_of(folder, path);
            let track = track::of(&name);
            Ok(Sample::labelled(name, track, picture, *label))
        },
    )
}

fn name_of(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).display().to_string()
}

/// Every fifth picture of each class, in the order given, goes to the test part. Of faces that a board kept, every fifth
/// track goes there: those of one track are almost the same.
fn split_by_class(items: Vec<Item>) -> (Vec<Item>, Vec<Item>) {
    let mut seen = [0usize; Label::COUNT];
    let mut is_trained = |label: Label| {
        seen[label as usize] += 1;
        seen[label as usize] % 5 != 0
    };
    let mut tracks: HashMap<String, bool> = HashMap::new();
    items.into_iter().partition(|(path, label)| match track::of(&listing::name(path)) {
        // Counted over all classes: a track may have faces of several.
        Some(track) => {
            let number = tracks.len() + 1;
            *tracks.entry(track).or_insert(!number.is_multiple_of(5))
        }
        None => is_trained(*label),
    })
}

fn read_parts(folder: &Path, classes: &ClassNames) -> crate::Result<Pictures> {
    let (folder, parts) = find_parts(folder, classes)?;
    let there = parts.each_ref().map(Option::is_some);
    let parts: Vec<PartFolder> = parts.into_iter().flatten().collect();
    let mut read = pictures(&folder, &parts, classes)?.into_iter();
    let equal = EqualFiles::among(read.as_slice().iter().flatten().map(|(path, _)| path.as_path()));
    warn_of_two_classes(&folder, read.as_slice(), &equal);
    let mut next = |there: bool| if there { read.next() } else { None };
    let (train, valid, test) = (next(true).unwrap_or_default(), next(there[1]), next(there[2]));
    Ok(Pictures { train, valid, test, equal })
}

/// Logs one line if a picture is in two classes: at most one of them is right.
fn warn_of_two_classes(folder: &Path, parts: &[Vec<Item>], equal: &EqualFiles) {
    let mut of_key: BTreeMap<&str, Vec<&Item>> = BTreeMap::new();
    for item in parts.iter().flatten() {
        if let Some(key) = equal.key(&item.0) {
            of_key.entry(key).or_default().push(item);
        }
    }
    let other = |items: &[&Item]| {
        items.iter().find(|item| item.1 != items[0].1).map(|other| [items[0].0.clone(), other.0.clone()])
    };
    let mut pairs: Vec<[PathBuf; 2]> = of_key.values().filter_map(|items| other(items)).collect();
    pairs.sort();
    if let Some([one, other]) = pairs.first() {
        let (place, count) = (folder.display(), pairs.len());
        let (one, other) = (name_of(folder, one), name_of(folder, other));
        tracing::warn!(
            "{place}: {count} pictures are in two classes, such as {one} and {other}; remove the wrong copies"
        );
    }
}

/// Whether a folder is that of a part or a person rather than of a class: its name is not a class, and those in it are.
fn holds_classes(name: &str, path: &Path, classes: &ClassNames) -> bool {
    let is_class = |(name, _): &(String, PathBuf)| classes.knows(name);
    !classes.knows(name) && listing::folders(path).is_ok_and(|below| below.first().is_some_and(is_class))
}

/// The pictures in the class folders of each part and the folders below them, in the order of their paths. What the names of
/// classes mean is decided for all parts together. What is left out is logged in one line.
///
/// # Errors
/// Returns [`Error::BadInput`] if a folder is missing or a part is empty or a class folder's name is not understood.
pub fn pictures(folder: &Path, parts: &[PartFolder], classes: &ClassNames) -> crate::Result<Vec<Vec<Item>>> {
    let names: BTreeSet<&String> = parts.iter().flat_map(|part| part.classes.iter().map(|(name, _)| name)).collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    let labels = classes.labels(&names).map_err(|reason| {
        let mut all = parts.iter().flat_map(|part| &part.classes);
        if let Some((name, path)) = all.find(|(name, path)| holds_classes(name, path, classes)) {
            let advice = "give this folder if it is the set, call the parts of a set train, valid and test, or put class \
                          folders first, as in happiness/anna";
            return Error::BadInput(format!("{}: {name:?} is not a class but holds classes; {advice}", path.display()));
        }
        if names.iter().all(|name| class_names::is_of_no_class(name)) {
            let names = names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" and ");
            return Error::BadInput(format!("{}: no class folders, only {names}; {NEEDED}", folder.display()));
        }
        let is_named = |name: &str| reason.starts_with(&format!("unknown class {name:?}"));
        let place = parts.iter().find(|part| part.classes.iter().any(|(name, _)| is_named(name)));
        Error::BadInput(format!("{}: {reason}", place.map_or(folder, |part| &part.path).display()))
    })?;
    let unused: Vec<String> = classes.unused(&names).iter().map(|name| format!("{name:?}")).collect();
    if !unused.is_empty() {
        tracing::warn!(
            "{}: --classes names {}, but no class folder is called that",
            folder.display(),
            unused.join(", ")
        );
    }
    let labels: BTreeMap<String, Option<Label>> = names.into_iter().zip(labels).collect();
    let (mut left_out, mut empty) = (LeftOut::default(), Vec::new());
    let roots: BTreeSet<&Path> = parts.iter().map(|part| part.path.as_path()).chain([folder]).collect();
    for root in roots.into_iter().filter(|root| root.is_dir()) {
        left_out.extend(listing::strays(root)?);
    }
    let mut read = Vec::new();
    for part in parts {
        let mut items = Vec::new();
        for (name, class) in &part.classes {
            let (paths, others) = listing::pictures_below(class)?;
            left_out.extend(others);
            match labels.get(name).copied().flatten() {
                Some(_) if paths.is_empty() => empty.push(name_of(folder, class)),
                Some(label) => items.extend(paths.into_iter().map(|path| (path, label))),
                None => left_out.add(format!("of class {name}"), paths.len()),
            }
        }
        read.push(items);
    }
    if let Some(part) = parts.iter().zip(&read).find(|(_, items)| items.is_empty()).map(|(part, _)| part) {
        let others = if left_out.is_empty() { String::new() } else { format!(" ({left_out})") };
        return Err(Error::BadInput(format!(
            "{}: no pictures found in class folders{others}; {NEEDED}",
            part.path.display()
        )));
    }
    left_out.warn(folder);
    if !empty.is_empty() {
        tracing::warn!("{}: class folders without pictures: {}", folder.display(), empty.join(", "));
    }
    Ok(read)
}

#[cfg(test)]
mod tests;
