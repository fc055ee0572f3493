//! Files that commands write where a flag says, kept apart from what they read.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use expression_engine::files;

use crate::error::Error;

/// Refuses an output that would destroy what is read: an input file, or a file in an input folder or below it, under whatever
/// name and through whatever links. A new file in an input folder is allowed.
///
/// # Errors
/// Returns an error that names the two, or if the output is a folder or `-`, which would be a file of that name.
pub fn refuse_overwriting<'a>(output: &Path, inputs: impl IntoIterator<Item = &'a Path>) -> crate::Result<()> {
    if output == Path::new("-") {
        return Err(Error::BadInput("cannot write -: name a file".into()));
    }
    if output.is_dir() {
        return Err(Error::BadInput(format!("cannot write {}: it is a folder; name a file", output.display())));
    }
    for input in inputs {
        if !input.is_dir() {
            files::refuse_overwriting(output, [input])?;
        } else if output.is_file() {
            let mut below = Vec::new();
            files_below(input, &mut HashSet::new(), &mut below);
            let earlier = "delete it first if it is an earlier output";
            let refused = files::refuse_overwriting(output, below);
            refused.map_err(|error| Error::BadInput(format!("{error}; {earlier}")))?;
        }
    }
    Ok(())
}

/// The files in a folder and below it, through links too. What cannot be listed is not read either.
fn files_below(folder: &Path, seen: &mut HashSet<PathBuf>, found: &mut Vec<PathBuf>) {
    // Links may lead in a circle.
    if !fs::canonicalize(folder).is_ok_and(|folder| seen.insert(folder)) {
        return;
    }
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.is_dir() { files_below(&path, seen, found) } else { found.push(path) }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_read_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("data/happy")).unwrap();
        fs::create_dir_all(at("store")).unwrap();
        for name in ["data/happy/0.png", "store/1.png", "table.csv", "notes.txt"] {
            fs::write(at(name), "kept").unwrap();
        }
        symlink("../store", at("data/sad")).unwrap();
        symlink("table.csv", at("link.csv")).unwrap();
        symlink("../data", at("data/circle")).unwrap();
        let (data, table) = (at("data"), at("table.csv"));
        let refused = |name: &str| refuse_overwriting(&at(name), [data.as_path(), &table]).map_err(|it| it.to_string());
        for name in [
            "table.csv",
            "./store/../table.csv",
            "link.csv",
            "data/happy/0.png",
            "data/circle/happy/0.png",
            "data/sad/1.png",
            "store/1.png",
        ] {
            let error = refused(name).unwrap_err();
            assert!(error.contains("it would overwrite the input"), "{name}: {error}");
        }
        assert!(refused("data/happy").unwrap_err().contains("it is a folder"));
        assert!(refuse_overwriting(Path::new("-"), [table.as_path()]).unwrap_err().to_string().contains("name a file"));
        for name in ["notes.txt", "data/answers.csv", "new/answers.csv"] {
            refused(name).unwrap();
        }
    }
}
