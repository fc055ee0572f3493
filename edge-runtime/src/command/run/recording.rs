//! Whether and where a run records.

use std::path::{Path, PathBuf};

use clap::builder::{PathBufValueParser, TypedValueParser};
use expression_engine::files::from_home;

use crate::board::Board;

/// What `--journal`, its variable or `journal.record` of the board file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recording {
    /// No journal.
    Off,
    /// The journal of the board file.
    Board,
    /// This file.
    File(PathBuf),
}

/// Words that would name a file by mistake.
const WORDS: [&str; 7] = ["yes", "no", "on", "off", "1", "0", "auto"];

impl Recording {
    /// Reads `true`, `false` or a path.
    pub fn parser() -> impl TypedValueParser<Value = Recording> {
        PathBufValueParser::new().try_map(|path| match path.to_str() {
            Some("true") => Ok(Recording::Board),
            Some("false") => Ok(Recording::Off),
            Some(text) => {
                let lower = text.to_ascii_lowercase();
                match WORDS.contains(&lower.as_str()) || lower == "true" || lower == "false" {
                    true => Err(format!("expected true, false or a path; write ./{text} for a file of this name")),
                    false => Ok(Recording::File(from_home(text).into())),
                }
            }
            None => Ok(Recording::File(path)),
        })
    }

    /// The journal; `None` if there is none.
    pub fn path<'a>(&'a self, board: &'a Board) -> Option<&'a Path> {
        match self {
            Recording::Off => None,
            Recording::Board => Some(&board.paths.journal),
            Recording::File(path) => Some(path),
        }
    }
}
