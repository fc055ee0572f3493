//! What deploying needs of a board file. The board's own `doctor` checks the whole of it before the switch.

use std::path::{Path, PathBuf};

use expression_engine::files;
use expression_engine::trust::{Settings, Trust};
use serde::Deserialize;

use crate::error::Error;
use crate::toml_error::explained;

/// A board, as far as deploying needs to know it.
pub struct Board {
    /// Its name.
    pub name: String,
    /// Rust's target triple.
    pub target: String,
    /// Where it expects the bundle.
    pub bundle: PathBuf,
    /// Where it keeps its journal, and what it remembers of bundles.
    pub state: PathBuf,
    /// Whose bundles and programs it accepts.
    pub trust: Trust,
    /// The board file.
    pub path: PathBuf,
    /// The text of the board file.
    pub text: String,
}

/// The most bytes of a board file.
const MAX_FILE: u64 = 1 << 20;

/// The boards that the program knows: name and board file.
const BUILT_IN: [(&str, &str); 7] = [
    ("generic-x86-64", include_str!("../../../boards/generic-x86-64.toml")),
    ("jetson-nano", include_str!("../../../boards/jetson-nano.toml")),
    ("jetson-orin-nano", include_str!("../../../boards/jetson-orin-nano.toml")),
    ("raspberry-pi-3b", include_str!("../../../boards/raspberry-pi-3b.toml")),
    ("raspberry-pi-4b", include_str!("../../../boards/raspberry-pi-4b.toml")),
    ("raspberry-pi-5", include_str!("../../../boards/raspberry-pi-5.toml")),
    ("raspberry-pi-zero-2-w", include_str!("../../../boards/raspberry-pi-zero-2-w.toml")),
];

#[derive(Deserialize)]
struct File {
    name: String,
    target: String,
    paths: Paths,
    #[serde(default)]
    trust: Settings,
}

#[derive(Deserialize)]
struct Paths {
    bundle: PathBuf,
    journal: PathBuf,
}

impl Board {
    /// Reads a board file: `name` is that of a built-in board, or the path of a board file.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if there is no such board or the file is not a board file.
    pub fn open(name: &str) -> crate::Result<Board> {
        let built_in = BUILT_IN.iter().find(|(known, _)| *known == name);
        let (path, text) = match built_in {
            Some((name, text)) => (Path::new("boards").join(format!("{name}.toml")), (*text).to_owned()),
            None if name.contains('/') || name.ends_with(".toml") => {
                let path = PathBuf::from(name);
                let text = files::read_text(&path, MAX_FILE)?;
                (path, text)
            }
            None => {
                let known = BUILT_IN.map(|(name, _)| name).join(", ");
                return Err(Error::BadInput(format!(
                    "no board is called {name:?}; give one of {known}, or the path of a board file"
                )));
            }
        };
        let file: File = toml::from_str(&text).map_err(|error| {
            let reason = explained(&error, &text);
            Error::BadInput(format!("{}: {reason}; boards/README.md explains each key", path.display()))
        })?;
        let trust =
            file.trust.trust().map_err(|error| Error::BadInput(format!("{}: trust: {error}", path.display())))?;
        let state = file.paths.journal.parent().unwrap_or(Path::new("/")).to_owned();
        Ok(Board { name: file.name, target: file.target, bundle: file.paths.bundle, state, trust, path, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_in_the_place_of_a_board_file_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board.toml");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let error = Board::open(path.to_str().unwrap()).err().unwrap().to_string();
        assert!(error.contains("board.toml: not a regular file"), "{error}");
    }

    #[test]
    fn every_built_in_board_parses_and_none_is_forgotten() {
        for (name, _) in BUILT_IN {
            assert_eq!(Board::open(name).unwrap().name, name);
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../boards");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        assert_eq!(
            files.filter(|path| path.extension().is_some_and(|ending| ending == "toml")).count(),
            BUILT_IN.len()
        );
    }
}
