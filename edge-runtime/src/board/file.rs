//! What a board file holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use expression_core::Turn;
use expression_core::thermal::ThermalLimits;
use expression_engine::error::{Classify, ErrorKind};
use expression_engine::files;
use expression_engine::toml_error::{in_plain_words, key_before};
use serde::Deserialize;
use toml::de::DeTable;

use super::settings::{self, Entry, FileSetting};
use crate::journal;

/// The most bytes of a board file.
const MAX_BYTES: u64 = 1 << 20;

/// Why a board was refused.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// No built-in board has this name.
    #[error("no board is called {name:?}; give one of {}, or the path of a board file", known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// The names of those that are built in.
        known: Vec<&'static str>,
    },
    /// The file cannot be read.
    #[error("{path}: cannot read this board file ({reason}); give another path, or the name of a built-in board")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        reason: String,
    },
    /// The file does not say what it must.
    #[error("{path}{place}: {reason}; boards/README.md explains each key")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// `, line N` if it is known.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

impl Classify for BoardError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::BadInput
    }
}

/// A board, as its file describes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// Its name: lower-case letters, digits and hyphens.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// How the model in its device tree begins; empty if nothing is detected.
    pub models: Vec<String>,
    /// Rust's target triple.
    pub target: String,
    /// Its processor, as compilers and emulators name it.
    pub cpu: String,
    /// Threads that share one inference.
    pub threads: u16,
    /// Where pictures come from.
    pub camera: Camera,
    /// Lights and button, if there are any.
    #[serde(default)]
    pub gpio: Option<Gpio>,
    /// An SSD1306 display, if there is one.
    #[serde(default)]
    pub display: Option<DisplayBus>,
    /// How hot it may get.
    pub thermal: Thermal,
    /// Where its files lie.
    pub paths: Paths,
    /// Settings of the journal; flags override them.
    #[serde(default)]
    pub journal: journal::Config,
    /// Whose bundles it accepts; flags add to it.
    #[serde(default)]
    pub trust: expression_engine::trust::Settings,
    /// What to expect of it.
    pub expect: Expectation,
    /// Settings of `run` that stand for flags, such as the table `[preview]`.
    #[serde(skip)]
    pub settings: Vec<FileSetting>,
    /// Every key of the file with its line.
    #[serde(skip)]
    pub entries: Vec<Entry>,
}

/// Where pictures come from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// The source that is used when no other is asked for, as `--source` takes it.
    pub source: String,
    /// A source for a camera on the ribbon cable, to be copied into `source`.
    #[serde(default)]
    pub csi: Option<String>,
    /// The detector runs on every Nth frame; faces are tracked in between.
    pub detect_every: u16,
    /// Degrees by which frames are turned clockwise: 0, 90, 180 or 270.
    #[serde(default)]
    pub rotate: u16,
    /// How frames are mirrored after they were rotated.
    #[serde(default)]
    pub flip: Option<Flip>,
    /// Seconds without a frame after which the camera is opened again; without it the rate of its frames decides.
    #[serde(default)]
    pub stall: Option<f64>,
}

/// How frames are mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Flip {
    /// Left and right are exchanged.
    Horizontal,
    /// Top and bottom are exchanged.
    Vertical,
}

impl Camera {
    /// The rotation; none for an angle that [`Board::parse`] refuses.
    pub fn rotation(&self) -> Turn {
        Turn::from_degrees(self.rotate).unwrap_or_default()
    }

    /// The time without a frame after which the camera is opened again.
    pub fn stall(&self) -> Option<Duration> {
        self.stall.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }
}

/// Lights and button on the lines of a GPIO chip.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpio {
    /// Labels or device paths of the chip; the first that is there is used.
    pub chips: Vec<String>,
    /// Red part of an RGB light.
    #[serde(default)]
    pub red: Option<Line>,
    /// Green part of an RGB light.
    #[serde(default)]
    pub green: Option<Line>,
    /// Blue part of an RGB light.
    #[serde(default)]
    pub blue: Option<Line>,
    /// Lights for one state each, by the name of the state or label.
    #[serde(default)]
    pub lights: BTreeMap<String, Line>,
    /// The privacy button.
    #[serde(default)]
    pub button: Option<Line>,
}

/// A line of a GPIO chip.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Which line.
    pub line: Offset,
    /// The pin of the board's header that it leads to: for those who wire it; the program does not use it.
    #[serde(default)]
    pub pin: Option<u8>,
    /// Lights: shines when the line is low. Button: pulls the line low when pressed.
    #[serde(default)]
    pub active_low: bool,
    /// The chip's own resistor, for the button.
    #[serde(default)]
    pub bias: Option<Bias>,
}

/// Which line of a chip.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(untagged, expecting = "a line is its number from 0, or its name in quotes")]
pub enum Offset {
    /// By its number, from 0.
    Number(u32),
    /// By the name that the kernel gives it, `GPIO17` for instance.
    Name(String),
}

/// The resistor of an input line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bias {
    /// To the supply voltage.
    PullUp,
    /// To ground.
    PullDown,
}

/// An SSD1306 display of 128x64 pixels.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisplayBus {
    /// The device of its I2C bus.
    pub bus: PathBuf,
    /// Its 7-bit address.
    pub address: u8,
}

/// How hot the board may get, in degrees Celsius.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thermal {
    /// Pattern of the files that hold temperatures in thousandths of a degree.
    pub zones: String,
    /// Types of the zones that count; the hottest of them does. Empty: all of them.
    pub types: Vec<String>,
    /// Pattern of the file in which a Raspberry Pi's firmware says whether it throttles.
    #[serde(default)]
    pub throttled: Option<String>,
    /// From here on every second frame is taken.
    pub half: f32,
    /// From here on every fourth frame is taken.
    pub quarter: f32,
    /// From here on none is.
    pub pause: f32,
    /// How far the temperature must fall below a limit before it is taken back.
    pub hysteresis: f32,
}

impl Thermal {
    /// The limits, as the policy takes them.
    pub fn limits(&self) -> ThermalLimits {
        let thousandths = |celsius: f32| (celsius * 1000.0).round() as i32;
        ThermalLimits {
            half: thousandths(self.half),
            quarter: thousandths(self.quarter),
            pause: thousandths(self.pause),
            hysteresis: thousandths(self.hysteresis),
        }
    }
}

/// Where files lie.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paths {
    /// Folder of the bundle.
    pub bundle: PathBuf,
    /// The journal.
    pub journal: PathBuf,
}

/// What to expect of the board, in words: measured, with the command, or said to be not measured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Frames a second.
    pub speed: String,
    /// Peak memory.
    pub memory: String,
    /// What else its owner should know.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl Board {
    /// Reads a board file.
    ///
    /// # Errors
    /// [`BoardError::Unreadable`] or [`BoardError::Wrong`].
    pub fn read(path: &Path) -> Result<Board, BoardError> {
        let unreadable = |reason: String| BoardError::Unreadable { path: path.to_owned(), reason };
        let text = files::read_text(path, MAX_BYTES).map_err(|error| unreadable(error.to_string()))?;
        Board::parse(&text, path)
    }

    /// Reads the text of a board file; `path` is for messages.
    ///
    /// # Errors
    /// [`BoardError::Wrong`].
    pub fn parse(text: &str, path: &Path) -> Result<Board, BoardError> {
        let wrong = |place: String, reason| BoardError::Wrong { path: path.to_owned(), place, reason };
        let at = |start: Option<usize>, reason: String| {
            let place = start.map(|start| format!(", line {}", settings::line(text, start)));
            wrong(place.unwrap_or_default(), reason)
        };
        let refused = |error: toml::de::Error| {
            let start = error.span().map(|span| span.start);
            let reason = match in_plain_words(error.message()) {
                Some(plain) => match start.and_then(|start| text.get(..start)).and_then(key_before) {
                    Some(key) => format!("{key}: {plain}"),
                    None => plain,
                },
                None => settings::with_nearest(&error.message().replace('\n', " ")),
            };
            at(start, reason)
        };
        let mut file = DeTable::parse(text).map_err(refused)?;
        let entries = settings::entries(file.get_ref(), text);
        let found = settings::take(file.get_mut(), text).map_err(|(span, reason)| at(Some(span.start), reason))?;
        let board = Board::deserialize(toml::de::Deserializer::from(file)).map_err(refused)?;
        let board = Board { settings: found, entries, ..board };
        board.check().map_err(|reason| wrong(String::new(), reason))?;
        Ok(board)
    }
}

impl Gpio {
    /// Every line in use, each with its key.
    pub fn lines(&self) -> impl Iterator<Item = (&str, &Line)> {
        let single = [("red", &self.red), ("green", &self.green), ("blue", &self.blue), ("button", &self.button)];
        let single = single.into_iter().filter_map(|(key, line)| Some((key, line.as_ref()?)));
        single.chain(self.lights.iter().map(|(key, line)| (key.as_str(), line)))
    }
}
