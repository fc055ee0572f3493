//! What lies in a data set's folders, in the same order on every machine.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use expression_engine::files;
use image::ImageFormat;

use crate::error::{Context, Error};

/// Bytes at the start of a file that tell its format.
const HEAD: usize = 32;
/// Folders below a class folder are searched this deep; more is a mistake or a loop of links.
const MAX_DEPTH: usize = 8;
/// Reasons that are named in a line; the files of rarer ones are counted together.
const MAX_REASONS: usize = 8;
/// Endings of archives, in which pictures may still be.
const ARCHIVES: [&str; 8] = [".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"];
/// What systems and archivers leave beside pictures, in lower case; it is passed over without a word.
const JUNK: [&str; 11] = [
    "__macosx",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "@eadir",
    "#recycle",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "__pycache__",
    "icon\r",
];

/// Files that are not read, counted by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut(BTreeMap<String, usize>);

impl LeftOut {
    /// Counts files that are left out for a reason.
    pub fn add(&mut self, reason: impl Into<String>, count: usize) {
        if count > 0 {
            *self.0.entry(reason.into()).or_default() += count;
        }
    }

    /// Takes over what another count holds.
    pub fn extend(&mut self, other: LeftOut) {
        other.0.into_iter().for_each(|(reason, count)| self.add(reason, count));
    }

    /// Whether no file is left out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Drops files of these reasons from the count, because they are read in another way.
    pub fn forget(&mut self, reasons: &[&str]) {
        self.0.retain(|reason, _| !reasons.contains(&reason.as_str()));
    }

    /// Logs one line that says what of `place` is left out, if anything is.
    pub fn warn(&self, place: &Path) {
        if !self.is_empty() {
            tracing::warn!("{}: {self}", place.display());
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts: Vec<(&String, usize)> = self.0.iter().map(|(reason, count)| (reason, *count)).collect();
        if counts.len() > MAX_REASONS {
            counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        }
        let others: usize = counts.iter().skip(MAX_REASONS).map(|(_, count)| count).sum();
        let mut reasons: Vec<String> =
            counts.iter().take(MAX_REASONS).map(|(reason, count)| format!("{count} {reason}")).collect();
        reasons.extend((others > 0).then(|| format!("{others} others")));
        write!(f, "{} files left out: {}", self.0.values().sum::<usize>(), reasons.join(", "))
    }
}

/// The folders in `folder` with their names, in ascending order, without hidden ones and what systems leave there.
///
/// # Errors
/// Returns an error if `folder` cannot be listed, and [`Error::BadInput`] if two names differ only in case: one is a copy
/// of the other, and its samples would count twice.
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

/// The picture files in `folder` itself, in ascending order of their names.
///
/// # Errors
/// Returns an error if `folder` cannot be listed.
pub fn pictures(folder: &Path) -> crate::Result<Vec<PathBuf>> {
    Ok(entries(folder)?.into_iter().filter(|path| path.is_file() && not_a_picture(path).is_none()).collect())
}

/// The picture files in `folder` and the folders below it, in ascending order of their paths, and what else lies there.
/// A file's content decides, not its name.
///
/// # Errors
/// Returns an error if a folder cannot be listed, and [`Error::BadInput`] if folders lie more than eight deep or a link leads back.
pub fn pictures_below(folder: &Path) -> crate::Result<(Vec<PathBuf>, LeftOut)> {
    let (mut found, mut left_out) = (Vec::new(), LeftOut::default());
    walk(folder, MAX_DEPTH, &mut |path| match not_a_picture(&path) {
        None => found.push(path),
        Some(reason) => left_out.add(reason, 1),
    })?;
    Ok((found, left_out))
}

/// What lies beside class folders and may be meant to belong to them: pictures and archives. Notes and tables are not counted.
///
/// # Errors
/// Returns an error if the folder cannot be listed.
pub fn strays(folder: &Path) -> crate::Result<LeftOut> {
    let mut strays = LeftOut::default();
    for path in entries(folder)?.into_iter().filter(|path| !path.is_dir()) {
        match not_a_picture(&path) {
            None => strays.add("pictures outside the class folders", 1),
            Some(reason) if ARCHIVES.contains(&reason.as_str()) || reason.contains("convert") => {
                strays.add(format!("{reason} outside the class folders"), 1);
            }
            Some(_) => {}
        }
    }
    Ok(strays)
}

/// Hands each file in `folder` and below it to `visit`, in ascending order of paths.
fn walk(folder: &Path, depth: usize, visit: &mut impl FnMut(PathBuf)) -> crate::Result<()> {
    for path in entries(folder)? {
        if !path.is_dir() {
            visit(path);
        } else if depth == 0 {
            let path = path.display();
            return Err(Error::BadInput(format!(
                "{path}: more than {MAX_DEPTH} folders deep; give a folder further down"
            )));
        } else if leads_back(&path, folder) {
            let path = path.display();
            return Err(Error::BadInput(format!(
                "{path}: this link leads back to a folder that it lies in; remove it"
            )));
        } else {
            walk(&path, depth - 1, visit)?;
        }
    }
    Ok(())
}

/// Whether a path is a link to the folder it lies in, or to one above that.
fn leads_back(path: &Path, folder: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    path.is_symlink() && real(folder).zip(real(path)).is_some_and(|(folder, target)| folder.starts_with(target))
}

/// Everything in `folder` in ascending order, without hidden files and what systems leave there.
///
/// # Errors
/// Returns an error if it cannot be listed.
pub fn entries(folder: &Path) -> crate::Result<Vec<PathBuf>> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        paths.retain(|path| !name(path).starts_with('.') && !JUNK.contains(&name(path).to_lowercase().as_str()));
        paths.sort();
        Ok(paths)
    };
    if folder.is_file() {
        let advice = "it is a file; unpack it if it is an archive, and give the folder";
        return Err(Error::BadInput(format!("{}: {advice}", folder.display())));
    }
    read().with_context(|| format!("{}: this folder of the data set cannot be listed", folder.display()))
}

/// The last part of a path.
pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The name of a folder, also of one that is given as `.` or `..`.
pub fn folder_name(folder: &Path) -> String {
    match folder.file_name() {
        Some(_) => name(folder),
        None => fs::canonicalize(folder).map(|folder| name(&folder)).unwrap_or_default(),
    }
}

/// Why a file is not a picture that can be read, in a word that counts it; `None` for pictures and for files that cannot be
/// opened, which decoding names.
fn not_a_picture(path: &Path) -> Option<String> {
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Some("pipe or device".into());
    }
    let mut head = Vec::with_capacity(HEAD);
    if files::open_regular(path).and_then(|file| file.take(HEAD as u64).read_to_end(&mut head)).is_err() {
        return None;
    }
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Pnm, Tiff, WebP};
    match image::guess_format(&head) {
        Ok(Bmp | Gif | Jpeg | Png | Pnm | Tiff | WebP) => return None,
        Ok(ImageFormat::Avif) => return Some("AVIF (convert them to JPEG)".into()),
        _ => {}
    }
    let brand = head.get(4..12).filter(|brand| brand.starts_with(b"ftyp")).map(|brand| &brand[4..]);
    if brand.is_some_and(|brand| [b"heic", b"heix", b"mif1", b"msf1", b"hevc"].iter().any(|heif| brand == *heif)) {
        return Some("HEIC (convert them to JPEG)".into());
    }
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    Some(match extension.as_str() {
        // Named like a picture, so that decoding says what is wrong with it.
        "png" | "jpg" | "jpeg" | "bmp" | "pgm" | "ppm" | "pnm" | "webp" | "tif" | "tiff" | "gif" => return None,
        "" => "without an ending".into(),
        other => format!(".{other}"),
    })
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_read_in_another_way_is_not_counted() {
        let mut left_out = LeftOut::default();
        left_out.add(".csv", 2);
        left_out.add(".txt", 1);
        left_out.forget(&[".csv", ".jsonl"]);
        assert_eq!(left_out.to_string(), "1 files left out: 1 .txt");
        (0..10).for_each(|number| left_out.add(format!(".{number}"), 2));
        let line = left_out.to_string();
        assert!(line.starts_with("21 files left out: 2 .0, 2 .1,") && line.ends_with(", 2 .7, 5 others"), "{line}");
    }

    #[test]
    fn pictures_and_archives_beside_class_folders_are_counted_and_notes_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("happy")).unwrap();
        image::GrayImage::new(8, 8).save(path("a.png")).unwrap();
        for (name, text) in [("more.ZIP", "PK"), ("README.md", "text"), ("b.heic", "\0\0\0\x18ftypheic")] {
            fs::write(path(name), text).unwrap();
        }
        let told = "3 files left out: 1 .zip outside the class folders, 1 HEIC (convert them to JPEG) outside the class \
                    folders, 1 pictures outside the class folders";
        assert_eq!(strays(folder.path()).unwrap().to_string(), told);
    }

    #[test]
    fn a_folder_has_a_name_however_it_is_given() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("faces/happy")).unwrap();
        for given in ["faces", "faces/", "faces/.", "faces/happy/.."] {
            assert_eq!(folder_name(&folder.path().join(given)), "faces", "{given}");
        }
    }

    #[test]
    fn a_pipe_is_left_out_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("x.png");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(not_a_picture(&pipe).as_deref(), Some("pipe or device"));
    }

    #[test]
    fn a_link_that_leads_back_is_named_and_another_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("set/happiness/more")).unwrap();
        fs::create_dir(path("elsewhere")).unwrap();
        image::GrayImage::new(8, 8).save(path("elsewhere/a.png")).unwrap();
        symlink(path("elsewhere"), path("set/happiness/linked")).unwrap();
        assert_eq!(pictures_below(&path("set")).unwrap().0, [path("set/happiness/linked/a.png")]);
        symlink("../..", path("set/happiness/more/back")).unwrap();
        let error = pictures_below(&path("set")).unwrap_err().to_string();
        assert!(error.contains("more/back: this link leads back"), "{error}");
    }
}
