//! The keys of a board file that tasks need. `edge-runtime` reads and checks the whole file.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::error::bad_input;

/// What a board file says about the board's name and processor.
pub struct BoardFile {
    /// The key `name`, such as `raspberry-pi-3b`.
    pub name: String,
    /// The key `target`: Rust's target triple.
    pub target: String,
}

impl BoardFile {
    /// Reads a board file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, is not TOML, or lacks one of the keys.
    pub fn read(path: &Path) -> Result<BoardFile> {
        let text = fs::read_to_string(path)
            .map_err(|error| bad_input(format!("{}: {error}; board files are in boards/", path.display())))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<BoardFile> {
        let table: toml::Table =
            text.parse().map_err(|error: toml::de::Error| bad_input(format!("not TOML: {}", error.message())))?;
        let value = |key: &str| {
            let value = table.get(key).and_then(toml::Value::as_str);
            value.map(str::to_owned).ok_or_else(|| bad_input(format!("the key `{key}` is missing or not a string")))
        };
        Ok(BoardFile { name: value("name")?, target: value("target")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error;

    #[test]
    fn the_keys_are_read_and_a_file_without_them_is_bad_input() {
        let board = BoardFile::parse("name = \"a\" # a comment\ntarget = 'b'\n[camera]\ntarget = 'c'\n").unwrap();
        assert_eq!((board.name.as_str(), board.target.as_str()), ("a", "b"));
        for bad in ["name = \"a\"\n[camera]\ntarget = 'c'\n", "name = \"a\"\ntarget = 1\n", "name = "] {
            assert_eq!(error::exit_code(&BoardFile::parse(bad).err().unwrap()), 2, "{bad}");
        }
        assert_eq!(error::exit_code(&BoardFile::read(Path::new("/nowhere/board.toml")).err().unwrap()), 2);
    }
}
