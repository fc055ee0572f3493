//! Names of the choices of faces that are kept.

use serde::{Deserialize, Serialize};

/// Which faces are kept, if any are: `all`, `unsure`, `changes` or `every=SECONDS`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Which {
    /// That of each record.
    #[default]
    All,
    /// Faces that could be read, but for which no label was likely enough.
    Unsure,
    /// The first face of a track, and those with another label than the one before.
    Changes,
    /// One face per track in so many seconds.
    Every(f64),
}

impl std::str::FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Which, String> {
        match text {
            "all" => return Ok(Which::All),
            "unsure" => return Ok(Which::Unsure),
            "changes" => return Ok(Which::Changes),
            _ => {}
        }
        let seconds = text.strip_prefix("every=").and_then(|seconds| seconds.parse().ok());
        let seconds = seconds.filter(|seconds: &f64| *seconds > 0.0 && *seconds <= 86_400.0);
        seconds.map(Which::Every).ok_or_else(|| {
            format!("expected all, unsure, changes or every=SECONDS (above 0, at most 86400), not {text:?}")
        })
    }
}

impl TryFrom<String> for Which {
    type Error = String;

    fn try_from(text: String) -> Result<Which, String> {
        text.parse()
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Which::All => f.write_str("all"),
            Which::Unsure => f.write_str("unsure"),
            Which::Changes => f.write_str("changes"),
            Which::Every(seconds) => write!(f, "every={seconds}"),
        }
    }
}

impl From<Which> for String {
    fn from(which: Which) -> String {
        which.to_string()
    }
}
