//! What outlives a crash of a pause: recording must not resume by itself because the service was started again.

use std::io::ErrorKind;
use std::path::PathBuf;

/// A file in the service's runtime directory that is there while recording is paused. systemd removes the directory when the
/// service is stopped, and keeps it when the service is restarted.
#[derive(Debug, Clone, Default)]
pub struct PauseMarker(Option<PathBuf>);

/// Who can pause a run, by the names in events. A pause by `start` needs no memory: the settings bring it back.
const REMEMBERED: [&str; 2] = ["button", "mqtt"];

impl PauseMarker {
    /// The marker at a path; without one nothing is remembered.
    pub fn new(path: Option<PathBuf>) -> PauseMarker {
        PauseMarker(path)
    }

    /// Returns who had paused recording when the run before this one ended; `None` if nobody had.
    pub fn paused_by(&self) -> Option<&'static str> {
        let text = std::fs::read_to_string(self.0.as_ref()?).ok()?;
        // Whatever else is in the file: its being there means a pause.
        Some(REMEMBERED.into_iter().find(|by| *by == text.trim()).unwrap_or("mqtt"))
    }

    /// Remembers who paused, or that recording was resumed.
    pub fn remember(&self, paused_by: Option<&str>) {
        let Some(path) = &self.0 else { return };
        let done = match paused_by {
            Some(by) if REMEMBERED.contains(&by) => std::fs::write(path, by),
            Some(_) => Ok(()),
            None => match std::fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        if let Err(error) = done {
            tracing::warn!("cannot remember in {} whether recording is paused: {error}", path.display());
        }
    }
}
