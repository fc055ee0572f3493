//! Which folders are the parts of a set, and which its classes.

use std::path::{Path, PathBuf};

use crate::dataset::{ClassNames, Split, class_names, listing};
use crate::error::Error;

/// Names of the folders of parts, in lower case and without what stands between words. The last ones of the validation and the
/// test part are FER2013's.
const PARTS: [(Split, &[&str]); 3] = [
    (Split::Train, &["train", "training", "trainset", "traindata"]),
    (Split::Valid, &["valid", "validation", "val", "dev", "valset", "valdata", "publictest"]),
    (Split::Test, &["test", "testing", "testset", "testdata", "privatetest"]),
];
/// Words that may stand beside the name of a part: `Training Set`, `test_data`, `val_class`.
const FILLERS: [&str; 10] =
    ["set", "data", "dataset", "split", "part", "images", "pictures", "faces", "class", "classes"];

/// Folders that may lie between the one given and the classes: those that archives wrap their content in.
const MAX_WRAPPERS: usize = 3;

/// The class folders of a part.
#[derive(Debug)]
pub struct PartFolder {
    /// The folder of the part, for messages.
    pub(super) path: PathBuf,
    /// The class folders with their names.
    pub(super) classes: Vec<(String, PathBuf)>,
}

impl PartFolder {
    /// The part whose class folders lie in `path`.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be listed.
    pub fn open(path: PathBuf) -> crate::Result<PartFolder> {
        Ok(PartFolder { classes: listing::folders(&path)?, path })
    }
}

/// The folder with the classes or parts, and the class folders of the training, the validation and the test part. Nothing is
/// logged.
///
/// # Errors
/// Returns [`Error::BadInput`] if the folder is missing, or it is not clear which of its folders are parts.
pub fn find_parts(folder: &Path, classes: &ClassNames) -> crate::Result<(PathBuf, [Option<PartFolder>; 3])> {
    let folder = unwrapped(folder, classes)?;
    let found = listing::folders(&folder)?;
    let parts = if found.iter().any(|(name, _)| part_named(name).is_some()) {
        let [train, valid, test] = by_part(&found)?.map(|path| path.map(PartFolder::open).transpose());
        [train?, valid?, test?]
    } else {
        refuse_sets(&found, classes)?;
        match parts_in_classes(&folder, &found)? {
            Some(parts) => parts,
            None => [Some(PartFolder { path: folder.clone(), classes: found }), None, None],
        }
    };
    if parts[0].is_none() {
        let path = folder.display();
        return Err(Error::BadInput(format!(
            "{path}: no folder train beside the other parts; give a folder with train, and valid or test"
        )));
    }
    Ok((folder, parts))
}

/// Refuses a folder in which a whole set lies, with its parts, beside something else.
fn refuse_sets(found: &[(String, PathBuf)], classes: &ClassNames) -> crate::Result<()> {
    for (_, path) in found.iter().filter(|(name, _)| !classes.knows(name)) {
        let is_part_of_set = |(name, path): &(String, PathBuf)| {
            part_named(name) == Some(Split::Train) && class_names::are_classes(&names_in(path))
        };
        if subfolders(path)?.iter().any(is_part_of_set) {
            let path = path.display();
            return Err(Error::BadInput(format!(
                "{path}: not a class but a set with parts; give --data folder:{path}"
            )));
        }
    }
    Ok(())
}

/// The names of the folders in a folder; none if it cannot be listed.
fn names_in(folder: &Path) -> Vec<String> {
    listing::folders(folder).unwrap_or_default().into_iter().map(|(name, _)| name).collect()
}

/// The part that a folder's name stands for.
pub fn part_named(name: &str) -> Option<Split> {
    let name = name.to_lowercase();
    let words = name.split([' ', '_', '-', '.']).filter(|word| !FILLERS.contains(word));
    let told: String = words.collect();
    PARTS.iter().find(|(_, names)| names.contains(&told.as_str())).map(|(split, _)| *split)
}

/// The folder of each part, in the order of [`PARTS`].
fn by_part(found: &[(String, PathBuf)]) -> crate::Result<[Option<PathBuf>; 3]> {
    let mut parts = [const { None }; 3];
    for (name, path) in found {
        let split = part_named(name).ok_or_else(|| {
            let advice = "only train, valid and test are read here; rename, move or remove it";
            Error::BadInput(format!("{}: folder {name:?} is not a part; {advice}", path.display()))
        })?;
        if let Some(other) = parts[split as usize].replace(path.clone()) {
            let (path, other) = (path.display(), Path::display(&other));
            return Err(Error::BadInput(format!("{path} and {other} are the same part; keep one of them")));
        }
    }
    Ok(parts)
}

/// The folders in a class folder: names are not those of classes, so they may differ by case alone.
fn subfolders(folder: &Path) -> crate::Result<Vec<(String, PathBuf)>> {
    let named = |path: PathBuf| (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), path);
    Ok(listing::entries(folder)?.into_iter().filter(|path| path.is_dir()).map(named).collect())
}

/// The parts of class folders that hold the folders of parts; `None` if they hold none.
fn parts_in_classes(folder: &Path, found: &[(String, PathBuf)]) -> crate::Result<Option<[Option<PartFolder>; 3]>> {
    let below = found.iter().map(|(_, path)| subfolders(path)).collect::<crate::Result<Vec<_>>>()?;
    let is_train = |(name, _): &(String, PathBuf)| part_named(name) == Some(Split::Train);
    let first = match below.iter().position(|below| below.iter().any(is_train)) {
        Some(first) => first,
        None => {
            // A folder called val or test may be that of a person or a session, unless every class has such folders alone.
            let are_parts = |below: &Vec<(String, PathBuf)>| below.iter().all(|(name, _)| part_named(name).is_some());
            let Some(first) = below.iter().position(|below| !below.is_empty()) else { return Ok(None) };
            let has_pictures = |path: &PathBuf| listing::pictures(path).map(|pictures| !pictures.is_empty());
            for ((_, path), below) in found.iter().zip(&below) {
                if !are_parts(below) || has_pictures(path)? {
                    return Ok(None);
                }
            }
            first
        }
    };
    let mut parts = [const { None }; 3];
    for ((name, path), below) in found.iter().zip(&below) {
        let outside = listing::pictures(path)?.len();
        if outside > 0 {
            let (path, first) = (path.display(), &found[first].0);
            let advice = "move them into one of these";
            return Err(Error::BadInput(format!(
                "{path}: {outside} pictures outside the parts that class folder {first:?} has; {advice}"
            )));
        }
        // A class without pictures counts to the training part, so that it is named.
        let of_class = if below.is_empty() { [Some(path.clone()), None, None] } else { by_part(below)? };
        for ((part, (_, names)), of_class) in parts.iter_mut().zip(PARTS).zip(of_class) {
            let new = || PartFolder { path: folder.join("*").join(names[0]), classes: Vec::new() };
            if let Some(of_class) = of_class {
                part.get_or_insert_with(new).classes.push((name.clone(), of_class));
            }
        }
    }
    Ok(Some(parts))
}

/// The folder with the classes or parts: `folder`, or the one below it that an archive wrapped its content in.
pub fn unwrapped(folder: &Path, classes: &ClassNames) -> crate::Result<PathBuf> {
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

/// What to do about a folder that is not in the layout of a set: to read its class folders, as copies from elsewhere have them, or
/// `otherwise` if it has none.
pub fn advice(folder: &Path, otherwise: &str) -> String {
    let has_classes = |folder: &Path| class_names::are_classes(&names_in(folder));
    let is_set = |folder: &Path| {
        let below = listing::folders(folder).unwrap_or_default();
        has_classes(folder) || below.iter().any(|(name, path)| part_named(name).is_some() && has_classes(path))
    };
    let below = listing::folders(folder).unwrap_or_default();
    let set = std::iter::once(folder).chain(below.iter().map(|(_, path)| path.as_path())).find(|path| is_set(path));
    match set {
        Some(set) => {
            format!("if its pictures show just a face, its class folders are read with --data folder:{}", set.display())
        }
        None => otherwise.to_owned(),
    }
}
