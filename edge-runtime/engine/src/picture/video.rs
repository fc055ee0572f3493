//! Motion JPEG videos, which begin as pictures do.

use std::io::ErrorKind;
use std::path::Path;

use super::jpeg::{self, Part, Walker};
use crate::files;

/// Endings of the names of such videos, in lower case.
const ENDINGS: [&str; 3] = ["mjpeg", "mjpg", "mjpe"];
/// Larger files of such a name are no single picture, bytes.
const MAX_FILE: u64 = 64 << 20;

/// Whether a file is called a Motion JPEG video and holds more than one picture, so that its first frame would pass for the whole.
/// A frame that was saved under such a name is a picture, and so is a photograph with another one behind it.
pub fn is_video(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    if !ENDINGS.contains(&ending.as_str()) {
        return false;
    }
    match files::read_at_most(path, MAX_FILE) {
        Ok(bytes) => jpeg::start(&bytes).is_some_and(|start| {
            let first = &bytes[start..];
            goes_on(&first[jpeg::repeated_starts(first)..])
        }),
        Err(error) => error.kind() == ErrorKind::FileTooLarge,
    }
}

/// Whether another picture follows the one that bytes begin with.
fn goes_on(bytes: &[u8]) -> bool {
    let mut walker = Walker::new();
    loop {
        match walker.next(bytes) {
            Part::Segment { .. } | Part::Pixels { .. } => {}
            Part::More => return false,
            Part::Start { .. } => return true,
            Part::End { at } => return bytes.get(at + 2..).and_then(jpeg::start).is_some(),
        }
    }
}
