//! What deploying needs of a board file. The board's own `doctor` checks the whole of it before the switch.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Context, Error};

/// A board, as far as deploying needs to know it.
pub struct Board {
    /// Its name.
    pub name: String,
    /// Rust's target triple.
    pub target: String,
    /// Where it expects the bundle.
    pub bundle: PathBuf,
    /// The board file.
    pub path: PathBuf,
    /// The text of the board file.
    pub text: String,
}

#[derive(Deserialize)]
struct File {
    name: String,
    target: String,
    paths: Paths,
}

#[derive(Deserialize)]
struct Paths {
    bundle: PathBuf,
}

impl Board {
    /// Reads a board file: `name` is that of a file in `boards/`, or the path of another.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if there is no such file or it is not a board file.
    pub fn open(name: &str, boards: &Path) -> crate::Result<Board> {
        let is_path = name.contains('/') || name.ends_with(".toml");
        let path = if is_path { PathBuf::from(name) } else { boards.join(format!("{name}.toml")) };
        if !is_path && !path.is_file() {
            let known = known(boards).join(", ");
            return Err(Error::BadInput(format!(
                "no board is called {name:?}; give one of {known}, or the path of a board file"
            )));
        }
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read the board file {}", path.display()))?;
        let file: File = toml::from_str(&text).map_err(|error| {
            let reason = error.message().replace('\n', " ");
            Error::BadInput(format!("{}: {reason}; boards/README.md explains each key", path.display()))
        })?;
        Ok(Board { name: file.name, target: file.target, bundle: file.paths.bundle, path, text })
    }
}

/// The names of the board files in `boards`, in order.
fn known(boards: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(boards).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".toml")?.to_owned())).collect();
    names.sort();
    names
}
