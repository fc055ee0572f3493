//! What lies in a data set's folders, in the same order on every machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error};

/// The folders in `folder` with their names, in ascending order; hidden ones are left out.
///
/// # Errors
/// Where `folder` cannot be listed; [`Error::BadInput`] where two names differ only in case: one is a copy of the other, and its
/// samples would count twice.
pub fn folders(folder: &Path) -> crate::Result<Vec<(String, PathBuf)>> {
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut found = Vec::new();
    for path in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        let name = name(&path);
        if let Some(other) = seen.insert(name.to_lowercase(), path.clone()) {
            let (path, other) = (path.display(), other.display());
            return Err(Error::BadInput(format!("{path}: the same name as {other} but for case; remove the copy")));
        }
        found.push((name, path));
    }
    Ok(found)
}

/// The picture files in `folder`, in ascending order of their names.
///
/// # Errors
/// Where `folder` cannot be listed.
pub fn pictures(folder: &Path) -> crate::Result<Vec<PathBuf>> {
    Ok(entries(folder)?.into_iter().filter(|path| is_picture(path)).collect())
}

/// Everything in `folder` but what is hidden, in ascending order.
///
/// # Errors
/// Where it cannot be listed.
pub fn entries(folder: &Path) -> crate::Result<Vec<PathBuf>> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        paths.retain(|path| !name(path).starts_with('.'));
        paths.sort();
        Ok(paths)
    };
    read().with_context(|| format!("{}: this folder of the data set cannot be listed", folder.display()))
}

/// The last part of a path.
pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    matches!(extension.as_str(), "png" | "jpg" | "jpeg" | "bmp" | "pgm" | "ppm" | "pnm")
}
