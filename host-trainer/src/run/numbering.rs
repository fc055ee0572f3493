//! Numbers of runs whose names were not given.

use std::fs;
use std::path::{Path, PathBuf};

/// The highest number of a run whose name was not given: what is higher, such as a date, was given.
const MAX_NUMBER: usize = 999_999;

/// The folder of run `number` of a name: `stem`, `stem-2`, `stem-3`, ...
fn numbered(stem: &Path, number: usize) -> PathBuf {
    match number {
        1 => stem.to_owned(),
        _ => stem.with_file_name(format!("{}-{number}", stem.file_name().unwrap_or_default().display())),
    }
}

/// The highest number of the runs of a name that exist. Lower ones may have been deleted.
fn last_number(stem: &Path) -> Option<usize> {
    let name = stem.file_name()?.to_str()?;
    let number = |file: &str| match file.strip_prefix(name)? {
        "" => Some(1),
        rest => rest.strip_prefix('-')?.parse::<usize>().ok().filter(|number| (2..=MAX_NUMBER).contains(number)),
    };
    let parent = stem.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    entries.filter_map(|entry| number(entry.file_name().to_str()?)).max()
}

/// Returns the folder after the last of `stem`, `stem-2`, `stem-3`, ... that exists. The place of one that was deleted stays
/// free, so that the last run is always the newest.
pub fn free_folder(stem: &Path) -> PathBuf {
    numbered(stem, last_number(stem).map_or(1, |number| number + 1))
}

/// Returns the last of `stem`, `stem-2`, `stem-3`, ... that exists, or `stem` if none does.
pub fn last_folder(stem: &Path) -> PathBuf {
    numbered(stem, last_number(stem).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_run_is_the_newest_even_if_an_earlier_one_was_deleted() {
        let runs = tempfile::tempdir().unwrap();
        let [stem, second, third] = ["a-smoke", "a-smoke-2", "a-smoke-3"].map(|name| runs.path().join(name));
        assert_eq!([free_folder(&stem), last_folder(&stem)], [stem.clone(), stem.clone()]);
        for other in ["a-smoke-", "a-smoke-x", "a-smoke-20261127", "a-smoke-crossval-7", "b-smoke-9"] {
            fs::create_dir(runs.path().join(other)).unwrap();
        }
        fs::create_dir(&second).unwrap();
        assert_eq!([free_folder(&stem), last_folder(&stem)], [third, second]);
    }
}
