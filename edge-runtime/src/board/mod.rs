//! The board that the runtime stands on: what is wired to it, how hot it may get, where its files lie.
//!
//! A board is a file of `boards/`, or one like them; `boards/README.md` explains each key. The files of `boards/` are built
//! in and found by their names.

mod check;
mod file;
mod indicator;
#[cfg(all(feature = "gpio", target_os = "linux"))]
mod lines;
mod settings;
pub mod thermal;
#[cfg(any(test, all(feature = "gpio", target_os = "linux")))]
mod worker;

use std::path::{Path, PathBuf};

pub use file::{Bias, Board, BoardError, Camera, DisplayBus, Expectation, Flip, Gpio, Line, Offset, Paths, Thermal};
pub use indicator::Indicator;
pub use settings::{Entry, FileSetting, Kind, SETTINGS, Setting, nearest};

/// The boards that are built in, in the order of their names.
const BUILT_IN: [(&str, &str); 7] = [
    (GENERIC, include_str!("../../../boards/generic-x86-64.toml")),
    ("jetson-nano", include_str!("../../../boards/jetson-nano.toml")),
    ("jetson-orin-nano", include_str!("../../../boards/jetson-orin-nano.toml")),
    ("raspberry-pi-3b", include_str!("../../../boards/raspberry-pi-3b.toml")),
    ("raspberry-pi-4b", include_str!("../../../boards/raspberry-pi-4b.toml")),
    ("raspberry-pi-5", include_str!("../../../boards/raspberry-pi-5.toml")),
    ("raspberry-pi-zero-2-w", include_str!("../../../boards/raspberry-pi-zero-2-w.toml")),
];

/// Where the board file of an installed service lies.
pub const INSTALLED_BOARD: &str = "/etc/edge-runtime/board.toml";
/// The name of the board that is used for every unknown machine.
pub const GENERIC: &str = "generic-x86-64";

impl Board {
    /// The board of a name, `raspberry-pi-4b` for instance, or of a file: what ends with `.toml` or has a slash is a path.
    ///
    /// # Errors
    /// [`BoardError`], each with what to do.
    pub fn open(name_or_path: &str) -> Result<Board, BoardError> {
        if name_or_path.contains('/') || name_or_path.ends_with(".toml") {
            return Board::read(Path::new(name_or_path));
        }
        let (name, text) = BUILT_IN
            .iter()
            .find(|(name, _)| *name == name_or_path)
            .ok_or_else(|| BoardError::Unknown { name: name_or_path.to_owned(), known: names().collect() })?;
        Board::parse(text, &PathBuf::from(format!("{name}.toml")))
    }

    /// Returns the built-in board that this machine is, by its device tree; [`GENERIC`] if it is none of them.
    ///
    /// # Errors
    /// Returns an error if a built-in file is wrong, which a test rules out.
    pub fn detect() -> Result<Board, BoardError> {
        Board::detect_at(Path::new("/"))
    }

    /// [`Board::detect`] below another root than `/`.
    ///
    /// # Errors
    /// As [`Board::detect`].
    pub fn detect_at(root: &Path) -> Result<Board, BoardError> {
        if let Some(model) = model(root) {
            for name in names() {
                let board = Board::open(name)?;
                if board.is_model(&model) {
                    return Ok(board);
                }
            }
        }
        Board::open(GENERIC)
    }

    /// Whether a device tree's model, `Raspberry Pi 4 Model B Rev 1.4` for instance, is this board. Whole words count:
    /// `Raspberry Pi 5` is not the 500.
    pub fn is_model(&self, model: &str) -> bool {
        let mut rests = self.models.iter().filter_map(|known| model.strip_prefix(known.as_str()));
        rests.any(|rest| rest.is_empty() || rest.starts_with(' '))
    }
}

/// The names of the boards that are built in.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// The model that the device tree of this machine names, if it has one; `root` is `/` except in tests.
pub fn model(root: &Path) -> Option<String> {
    let bytes = std::fs::read(root.join("proc/device-tree/model")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end_matches('\0').trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
