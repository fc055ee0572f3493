//! A folder with one folder a class, named after the labels. Below it, `train/` and `test/` with such folders each are
//! taken as the split; without them a fifth of each class becomes the test part.

use std::path::{Path, PathBuf};

use expression_core::Label;

use super::{DataSet, Request, Sample, listing, sample, shuffled};
use crate::error::Error;

/// A picture file and its class.
pub type Item = (PathBuf, Label);

/// Loads a folder of class folders.
///
/// # Errors
/// [`Error::BadInput`] where it is missing or empty or a class folder's name is no label.
pub fn load(folder: &Path, request: Request) -> crate::Result<DataSet> {
    let parts = ["train", "test"].map(|part| folder.join(part));
    let (mut train, test) = if parts.iter().all(|part| part.is_dir()) {
        let [train, test] = [pictures(&parts[0])?, pictures(&parts[1])?];
        (shuffled(train, request.seed), test)
    } else {
        split_by_class(shuffled(pictures(folder)?, request.seed))
    };
    train.truncate(request.limit.unwrap_or(usize::MAX));
    let calibration = train.split_off(train.len() - request.held_out(train.len()));
    let mut skipped = Vec::new();
    let mut read = |items: &[Item]| {
        let (samples, unreadable) = sample::read_all(
            items,
            |(path, _)| path.clone(),
            |(_, label), path, picture| {
                let name = path.strip_prefix(folder).unwrap_or(path).display().to_string();
                Ok(Sample::labelled(name, None, picture, *label))
            },
        );
        skipped.extend(unreadable);
        samples
    };
    Ok(DataSet {
        name: format!("folder {}", folder.file_name().unwrap_or_default().to_string_lossy()),
        source: "pictures of the user's own; their terms apply".into(),
        train: read(&train),
        calibration: read(&calibration),
        test: read(&test),
        skipped,
    })
}

/// Every fifth picture of each class, in the order given, goes to the test part.
fn split_by_class(items: Vec<Item>) -> (Vec<Item>, Vec<Item>) {
    let mut seen = [0usize; Label::COUNT];
    items.into_iter().partition(|(_, label)| {
        seen[*label as usize] += 1;
        seen[*label as usize] % 5 != 0
    })
}

/// The pictures in the class folders of `folder`, in the order of their paths.
///
/// # Errors
/// [`Error::BadInput`] where it is missing or empty or a class folder's name is no label.
pub fn pictures(folder: &Path) -> crate::Result<Vec<Item>> {
    let mut items = Vec::new();
    for (name, class) in listing::folders(folder)? {
        let label = Label::from_name(&name).ok_or_else(|| {
            let known = Label::ALL.map(Label::name).join(", ");
            Error::BadInput(format!("{}: unknown class {name:?}; name class folders {known}", class.display()))
        })?;
        items.extend(listing::pictures(&class)?.into_iter().map(|path| (path, label)));
    }
    if items.is_empty() {
        let advice = "it needs one folder a class (neutral, happiness, ...) with PNG, JPEG, BMP or PNM files";
        return Err(Error::BadInput(format!("{}: no pictures found; {advice}", folder.display())));
    }
    Ok(items)
}
