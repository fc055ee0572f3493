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
            let found = matching(input);
            let is_found = found.as_ref().is_ok_and(|found| !found.is_empty());
            let literal = (!is_found && input.contains(['[', ']'])).then(|| matching(&without_sets(input)));
            pictures.extend(match literal {
                Some(Ok(literal)) if !literal.is_empty() => literal,
                _ => found?,
            });
        }
        if pictures.len() == before {
            let advice = "give picture files, folders of them, a pattern, or - for names on stdin";
            return Err(Error::BadInput(format!("{input}: no pictures; {advice}")));
        }
    }
    Ok(pictures)
}

/// The files that a pattern names.
fn matching(pattern: &str) -> crate::Result<Vec<PathBuf>> {
    let found = glob::glob(pattern).map_err(|error| Error::BadInput(format!("{pattern}: {error}")))?;
    Ok(found.filter_map(Result::ok).filter(|path| path.is_file()).collect())
}

/// The pattern with brackets that stand for themselves, as in the names of many folders.
fn without_sets(pattern: &str) -> String {
    let plain = |c: char| match c {
        '[' => "[[]".to_owned(),
        ']' => "[]]".to_owned(),
        c => c.to_string(),
    };
    pattern.chars().map(plain).collect()
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
        std::fs::create_dir(path("[1] set")).unwrap();
        image::GrayImage::new(8, 8).save(path("[1] set/d.png")).unwrap();
        assert_eq!(listed(&[path("[1] set/*.png")], "").unwrap(), ["d.png"]);
        assert_eq!(listed(&[path("[ab].png")], "").unwrap(), ["a.png", "b.png"]);
        assert_eq!(listed(&["-".into()], "x.png\n\n y.png \n").unwrap(), ["x.png", "y.png"]);
        for nothing in [path("no-*.png"), "-".into(), path("[")] {
            assert!(listed(&[nothing], "").is_err());
        }
    }
}
