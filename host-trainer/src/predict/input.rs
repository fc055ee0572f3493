//! The pictures that were asked for.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use crate::dataset::listing;
use crate::error::{Context, Error};

/// The pictures of inputs in their order: files, all pictures of folders and the folders in them, patterns such as
/// `*/face-?.png`, and for `-` the names that `stdin` holds, one per line. What else lies in a folder is logged in one line.
///
/// # Errors
/// Returns [`Error::BadInput`] if an input leads to no picture.
pub fn pictures(inputs: &[String], mut stdin: impl BufRead) -> crate::Result<Vec<PathBuf>> {
    let mut pictures = Vec::new();
    for input in inputs {
        let before = pictures.len();
        let path = Path::new(input);
        if input == "-" {
            for line in (&mut stdin).lines() {
                let line = line.context("cannot read the names of pictures from stdin")?;
                pictures.extend(Some(line.trim()).filter(|name| !name.is_empty()).map(PathBuf::from));
            }
        } else if path.is_dir() {
            let (found, left_out) = listing::pictures_below(path)?;
            left_out.warn(path);
            pictures.extend(found);
        } else if path.exists() {
            pictures.push(path.to_owned());
        } else {
            let found = glob::glob(input).map_err(|error| Error::BadInput(format!("{input}: {error}")))?;
            pictures.extend(found.filter_map(Result::ok).filter(|path| path.is_file()));
        }
        if pictures.len() == before {
            let advice = "give picture files, folders of them, a pattern, or - for names on stdin";
            return Err(Error::BadInput(format!("{input}: no pictures; {advice}")));
        }
    }
    Ok(pictures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_folders_patterns_and_names_on_stdin() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(path("below")).unwrap();
        for name in ["b.png", "a.png", "below/c.png"] {
            image::GrayImage::new(8, 8).save(path(name)).unwrap();
        }
        let listed = |inputs: &[String], stdin: &str| {
            let found = pictures(inputs, stdin.as_bytes())?;
            let name = |found: &PathBuf| found.file_name().unwrap().to_str().unwrap().to_owned();
            Ok::<_, Error>(found.iter().map(name).collect::<Vec<_>>())
        };
        assert_eq!(listed(&[path("b.png")], "").unwrap(), ["b.png"]);
        assert_eq!(listed(&[path("")], "").unwrap(), ["a.png", "b.png", "c.png"]);
        assert_eq!(listed(&[path("?.png")], "").unwrap(), ["a.png", "b.png"]);
        assert_eq!(listed(&["-".into()], "x.png\n\n y.png \n").unwrap(), ["x.png", "y.png"]);
        for nothing in [path("no-*.png"), "-".into(), path("[")] {
            assert!(listed(&[nothing], "").is_err());
        }
    }
}
