//! Picture files as frames: those of a folder, or those that a pattern names.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write;
use std::path::{Component, Path, PathBuf};

use expression_engine::Picture;
use expression_engine::picture::looks_like_picture;

use super::{CameraError, Next, Source, clock};
use crate::frame::{Frame, Luma};

/// Pictures, one after another.
pub struct Pictures {
    name: String,
    files: Vec<PathBuf>,
    next: usize,
    skipped: u64,
}

impl Pictures {
    /// Finds the pictures of a folder, known by their content or the endings of their names; its folders are not entered.
    ///
    /// # Errors
    /// Returns an error if it cannot be read, or holds none.
    pub fn in_folder(folder: &Path) -> Result<Pictures, CameraError> {
        let name = folder.display().to_string();
        let unreadable = |error| CameraError::unavailable(&name, &error);
        if folder.is_file() {
            let reason = format!("it is a file; write images:{name}");
            return Err(CameraError::Unavailable { what: name, reason });
        }
        let mut files = Vec::new();
        let mut left_out = 0;
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if !is_hidden(path.file_name()) && looks_like_picture(&path) {
                files.push(path);
            } else if holds_pictures(&path) {
                left_out += 1;
            }
        }
        if left_out > 0 && files.is_empty() {
            let reason =
                format!("there are no pictures in it, but in {left_out} of its folders; write images:{name}/**");
            return Err(CameraError::Unavailable { what: name, reason });
        }
        if left_out > 0 {
            tracing::warn!(
                "{name}: the pictures in {left_out} of its folders are left out; images:{name}/** reads them too"
            );
        }
        Pictures::new(name, files)
    }

    /// Finds the files that a pattern names; `*`, `?`, `[abc]`, and `**` for folders within folders. Brackets that match nothing
    /// stand for themselves. A pattern that ends with `**` means all files in these folders. Names that begin with a dot are only
    /// found by patterns that do.
    ///
    /// # Errors
    /// Returns an error if the pattern makes no sense, or names no file.
    pub fn matching(pattern: &str) -> Result<Pictures, CameraError> {
        let wrong = |error: glob::PatternError| CameraError::Spec {
            text: format!("images:{pattern}"),
            reason: format!("{error}; write a pattern such as faces/*.png"),
        };
        if Path::new(pattern).is_dir() {
            let reason = format!("it is a folder; write dir:{pattern}, or images:{}/**", pattern.trim_end_matches('/'));
            return Err(CameraError::Unavailable { what: pattern.to_owned(), reason });
        }
        let all = format!("{pattern}/*");
        let pattern = if pattern == "**" || pattern.ends_with("/**") { &all } else { pattern };
        let found = files_of(pattern);
        let files = match found.as_ref().is_ok_and(|files| !files.is_empty()) || !pattern.contains(['[', ']']) {
            true => found.map_err(wrong)?,
            false => {
                let literal: String = pattern
                    .chars()
                    .map(|c| match c {
                        '[' => "[[]".to_owned(),
                        ']' => "[]]".to_owned(),
                        c => c.to_string(),
                    })
                    .collect();
                match files_of(&literal) {
                    Ok(files) if !files.is_empty() => files,
                    _ => found.map_err(wrong)?,
                }
            }
        };
        Pictures::new(pattern.to_owned(), files)
    }

    fn new(name: String, mut files: Vec<PathBuf>) -> Result<Pictures, CameraError> {
        if files.is_empty() {
            let reason = "there are no pictures: give a folder of .jpg, .png, .webp, .tiff, .gif, .bmp or .pgm files, \
                          or a pattern such as 'faces/*.png'"
                .into();
            return Err(CameraError::Unavailable { what: name, reason });
        }
        files.sort();
        Ok(Pictures { name, files, next: 0, skipped: 0 })
    }
}

/// The files that a pattern names. Folders that may not be read have no pictures for us.
fn files_of(pattern: &str) -> Result<Vec<PathBuf>, glob::PatternError> {
    let dotted: Vec<glob::Pattern> = pattern
        .split('/')
        .filter(|part| part.starts_with('.'))
        .filter_map(|part| glob::Pattern::new(part).ok())
        .collect();
    // The crate's own option for this takes every name for UTF-8.
    let is_meant =
        |name: &OsStr| !is_hidden(Some(name)) || dotted.iter().any(|part| part.matches(&name.to_string_lossy()));
    let is_wanted = |path: &PathBuf| {
        let mut names =
            path.components().filter_map(|part| if let Component::Normal(name) = part { Some(name) } else { None });
        names.all(is_meant) && !path.is_dir()
    };
    Ok(glob::glob(pattern)?.filter_map(Result::ok).filter(is_wanted).collect())
}

/// Whether a path is that of a folder that is not hidden and in which pictures lie.
fn holds_pictures(path: &Path) -> bool {
    let entries = || std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_picture = |path: PathBuf| !is_hidden(path.file_name()) && looks_like_picture(&path);
    !is_hidden(path.file_name()) && path.is_dir() && entries().any(is_picture)
}

/// Whether a name begins with a dot, as those of hidden files and of what macOS puts beside pictures on other disks.
fn is_hidden(name: Option<&OsStr>) -> bool {
    name.is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

impl Source for Pictures {
    fn next(&mut self, frame: &mut Frame) -> Result<Next, CameraError> {
        let Some(path) = self.files.get(self.next) else { return Ok(Next::End) };
        let sequence = self.next as u64;
        self.next += 1;
        let stamp = clock::now();
        match Picture::open(path) {
            Ok(picture) => fill(frame, &picture),
            Err(error) => {
                tracing::warn!("skipped: {error}");
                self.skipped += 1;
                return Ok(Next::Waiting);
            }
        }
        let name = frame.name.get_or_insert_default();
        name.clear();
        // Writing to a string does not fail.
        _ = write!(name, "{}", path.display());
        (frame.stamp, frame.sequence) = (stamp, sequence);
        Ok(Next::Frame)
    }

    fn describe(&self) -> String {
        format!("{} pictures of {}", self.files.len(), self.name)
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut found = BTreeSet::new();
        for path in &self.files {
            found.extend(
                path.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder }),
            );
        }
        let links = self.files.iter().filter(|path| path.is_symlink()).filter_map(|path| path.canonicalize().ok());
        found.into_iter().map(Path::to_owned).chain(links).collect()
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }
}

/// The picture's luma, by the integers of [`expression_core::View::luma`].
fn fill(frame: &mut Frame, picture: &Picture) {
    let (width, height) = (picture.width, picture.height);
    frame.bytes.clear();
    if let Some(view) = picture.view() {
        frame.bytes.extend((0..height).flat_map(|y| (0..width).map(move |x| view.luma(x, y))));
    }
    frame.luma = Luma { width, height, offset: 0, step: 1, stride: width };
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma as Grey, Rgb, RgbImage};

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        RgbImage::from_fn(5, 4, |x, y| Rgb([(x * 50) as u8, (y * 60) as u8, 200])).save(path("b.png")).unwrap();
        GrayImage::from_fn(3, 2, |x, y| Grey([(x * 9 + y) as u8])).save(path("a2.PGM")).unwrap();
        GrayImage::from_pixel(3, 2, Grey([7])).save(path("a10.bmp")).unwrap();
        std::fs::write(path("c.jpg"), b"no picture").unwrap();
        std::fs::write(path("notes.txt"), b"no picture either").unwrap();
        std::fs::create_dir(path("sub.png")).unwrap();
        folder
    }

    /// Names in the order that they come in, and the frames.
    fn all(source: &mut Pictures) -> (Vec<String>, Vec<Frame>) {
        let (mut frame, mut names, mut frames) = (Frame::default(), Vec::new(), Vec::new());
        loop {
            match source.next(&mut frame).unwrap() {
                Next::Frame => {
                    let path = PathBuf::from(frame.name.clone().unwrap());
                    names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
                    frames.push(frame.clone());
                }
                Next::End => return (names, frames),
                other => assert_eq!(other, Next::Waiting),
            }
        }
    }

    #[test]
    fn pictures_come_sorted_by_name_and_unreadable_ones_are_counted() {
        let folder = folder();
        let mut source = Pictures::in_folder(folder.path()).unwrap();
        let (names, frames) = all(&mut source);
        assert_eq!(names, ["a10.bmp", "a2.PGM", "b.png"]);
        assert_eq!(source.skipped(), 2); // c.jpg, and a folder with the name of a picture
        assert_eq!(frames.iter().map(|frame| frame.sequence).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(frames.windows(2).all(|pair| pair[0].stamp.monotonic_ns <= pair[1].stamp.monotonic_ns));
        assert!(source.describe().starts_with("5 pictures of "), "{}", source.describe());
    }

    #[test]
    fn luma_is_that_of_the_picture() {
        let folder = folder();
        let (_, frames) = all(&mut Pictures::in_folder(folder.path()).unwrap());
        let picture = Picture::open(&folder.path().join("b.png")).unwrap();
        assert_eq!(picture.channels, 3);
        let (wanted, view) = (picture.view().unwrap(), frames[2].view().unwrap());
        assert_eq!((view.width(), view.height()), (5, 4));
        assert!((0..20).all(|i| view.luma(i % 5, i / 5) == wanted.luma(i % 5, i / 5)));
        assert_eq!(frames[1].view().unwrap().luma(2, 1), 19);
    }

    #[test]
    fn a_pattern_chooses_pictures() {
        let folder = folder();
        let pattern = |pattern: &str| Pictures::matching(folder.path().join(pattern).to_str().unwrap());
        assert_eq!(all(&mut pattern("a*").unwrap()).0, ["a10.bmp", "a2.PGM"]);
        let mut with_damaged = pattern("[bc].*").unwrap();
        assert_eq!((all(&mut with_damaged).0, with_damaged.skipped()), (vec!["b.png".into()], 1));
        for (bad, part) in [("z*", "no pictures"), ("a[", "such as faces/*.png")] {
            let error = pattern(bad).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn two_stars_at_the_end_mean_all_files_below() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        for name in ["x.png", "a/y.png", "a/b/z.png"] {
            GrayImage::from_pixel(3, 2, Grey([7])).save(folder.path().join(name)).unwrap();
        }
        let text = folder.path().to_str().unwrap();
        let names = |pattern: &str| all(&mut Pictures::matching(&format!("{text}/{pattern}")).unwrap()).0;
        assert_eq!(names("**"), ["z.png", "y.png", "x.png"]);
        assert_eq!(names("a/**"), ["z.png", "y.png"]);
        for folder in ["a", "a/"] {
            let error = Pictures::matching(&format!("{text}/{folder}")).err().unwrap().to_string();
            assert!(error.contains("write dir:") && error.contains("/a/**"), "{error}");
        }
    }

    #[test]
    fn folders_with_pictures_are_told_from_others() {
        let folder = folder();
        let path = |name: &str| folder.path().join(name);
        for name in ["with", "without", ".hidden"] {
            std::fs::create_dir(path(name)).unwrap();
            std::fs::write(path(name).join("notes.txt"), "text").unwrap();
        }
        for name in ["with/a.png", ".hidden/a.png"] {
            std::fs::copy(path("b.png"), path(name)).unwrap();
        }
        let found = ["with", "without", ".hidden", "b.png", "absent"].map(|name| holds_pictures(&path(name)));
        assert_eq!(found, [true, false, false, false, false]);
        for file in ["a2.PGM", "a10.bmp", "b.png", "c.jpg"] {
            std::fs::remove_file(path(file)).unwrap();
        }
        std::fs::remove_dir(path("sub.png")).unwrap();
        let error = Pictures::in_folder(folder.path()).err().unwrap().to_string();
        assert!(error.contains("in 1 of its folders; write images:"), "{error}");
    }

    #[test]
    fn hidden_files_are_passed_over_unless_they_are_asked_for() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join(".cache")).unwrap();
        for name in ["a.png", ".hidden.png", ".cache/b.png"] {
            GrayImage::from_pixel(3, 2, Grey([7])).save(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("._a.png"), b"Mac OS X").unwrap();
        std::fs::write(folder.path().join(OsStr::from_bytes(b"\xe9.txt")), b"text").unwrap();
        let mut source = Pictures::in_folder(folder.path()).unwrap();
        assert_eq!((all(&mut source).0, source.skipped()), (vec!["a.png".into()], 0));
        for (pattern, wanted) in [
            ("*.png", "a.png"),
            ("**/*.png", "a.png"),
            (".h*", ".hidden.png"),
            (".cache/*", "b.png"),
            (".c*/b*", "b.png"),
        ] {
            let mut source = Pictures::matching(folder.path().join(pattern).to_str().unwrap()).unwrap();
            assert_eq!((all(&mut source).0, source.skipped()), (vec![wanted.to_owned()], 0), "{pattern}");
        }
    }

    #[test]
    fn brackets_that_match_nothing_stand_for_themselves() {
        let folder = tempfile::tempdir().unwrap();
        let set = folder.path().join("[2024] set");
        std::fs::create_dir(&set).unwrap();
        GrayImage::from_pixel(3, 2, Grey([7])).save(set.join("a[1].png")).unwrap();
        for pattern in ["[2024] set/*.png", "[2024] set/a[1].png", "*/a[1].png"] {
            let mut source = Pictures::matching(folder.path().join(pattern).to_str().unwrap()).unwrap();
            assert_eq!(all(&mut source).0, ["a[1].png"], "{pattern}");
        }
    }

    #[test]
    fn pictures_that_are_too_large_or_in_a_strange_format_are_left_out_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        GrayImage::new(8193, 2).save(path("wide.png")).unwrap();
        std::fs::write(path("phone.HEIC"), b"\0\0\0\x18ftypheic").unwrap();
        GrayImage::from_pixel(3, 2, Grey([7])).save(path("good.png")).unwrap();
        std::fs::rename(path("good.png"), path("no ending")).unwrap();
        let mut source = Pictures::in_folder(folder.path()).unwrap();
        assert_eq!((all(&mut source).0, source.skipped()), (vec!["no ending".into()], 2));
    }

    #[test]
    fn a_named_pipe_is_left_out_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        GrayImage::from_pixel(3, 2, Grey([7])).save(folder.path().join("a.png")).unwrap();
        let pipe = folder.path().join("b.png");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let mut source = Pictures::in_folder(folder.path()).unwrap();
        assert_eq!((all(&mut source).0, source.skipped()), (vec!["a.png".into()], 1));
    }

    #[test]
    fn folders_without_pictures_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Pictures::in_folder(folder.path()).err().unwrap().to_string().contains(".png"));
        assert!(Pictures::in_folder(&folder.path().join("absent")).is_err());
        let file = folder.path().join("a.png");
        std::fs::write(&file, b"").unwrap();
        assert!(Pictures::in_folder(&file).err().unwrap().to_string().contains("write images:"));
    }
}
