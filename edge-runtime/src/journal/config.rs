//! Settings of the journal.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{JournalError, Which};

/// Settings of the journal: the table `[journal]` of a board file. A key that is left out has its default.
///
/// The *loss window*: a power cut or a kill loses at most what was observed in the last [`Config::commit_every`], and
/// what waited while the disk did not take it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time between commits; `commit_every_seconds` in TOML, 2 s by default. Each commit writes some kilobytes however
    /// few records it holds, so flash wear is inverse to it.
    #[serde(rename = "commit_every_seconds", with = "seconds")]
    pub commit_every: Duration,
    /// Most records of one track in a second of its frames' time, 5 by default; `inf` records every frame. Frames that
    /// have a name, which are picture files, are always recorded.
    pub max_records_per_second: f32,
    /// Most bytes of the file and its write-ahead log together, 256 MiB by default, at least 1 MiB. The oldest records
    /// and events go first.
    pub max_bytes: u64,
    /// Most bytes that wait in memory, 2 MiB by default, at least 64 KiB: what a full disk or a locked file leaves
    /// behind. The oldest records are dropped first, and counted.
    pub queue_bytes: u64,
    /// Longest time between attempts to write while writing fails; `retry_seconds` in TOML, 30 s by default. Attempts
    /// begin after a quarter of a second and grow twofold.
    #[serde(rename = "retry_seconds", with = "seconds")]
    pub retry: Duration,
    /// Whether aligned faces are kept, false by default. The journal says so in an event at each start.
    pub keep_faces: bool,
    /// Which faces are kept then: `all` (the default), `unsure`, `changes` or `every=SECONDS`.
    pub keep_faces_which: Which,
    /// Most faces that are kept of one track; 20 by default, no limit for `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_faces_per_track: Option<u32>,
    /// Most faces that are kept on one day in UTC; 500 by default, no limit for `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_faces_per_day: Option<u32>,
    /// Days after which faces are deleted, 1 to 36500; by default only the size of the journal limits their age.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_faces_days: Option<u32>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            commit_every: Duration::from_secs(2),
            max_records_per_second: 5.0,
            max_bytes: 256 << 20,
            queue_bytes: 2 << 20,
            retry: Duration::from_secs(30),
            keep_faces: false,
            keep_faces_which: Which::All,
            keep_faces_per_track: None,
            keep_faces_per_day: None,
            keep_faces_days: None,
        }
    }
}

impl Config {
    /// Checks the settings.
    ///
    /// # Errors
    /// Returns [`JournalError::Config`], which names the key and its bounds.
    pub fn check(&self) -> Result<(), JournalError> {
        let refuse = |text: String| Err(JournalError::Config(text));
        if self.commit_every > Duration::from_secs(3600) {
            return refuse(format!("commit_every_seconds is {}; at most 3600", self.commit_every.as_secs_f64()));
        }
        if self.max_records_per_second.is_nan() || self.max_records_per_second <= 0.0 {
            return refuse(format!("max_records_per_second is {}; above 0, or inf", self.max_records_per_second));
        }
        if self.max_bytes < 1 << 20 {
            return refuse(format!("max_bytes is {}; at least {} (1 MiB)", self.max_bytes, 1 << 20));
        }
        if self.queue_bytes < 64 << 10 {
            return refuse(format!("queue_bytes is {}; at least {} (64 KiB)", self.queue_bytes, 64 << 10));
        }
        if self.retry < Duration::from_millis(10) || self.retry > Duration::from_secs(3600) {
            return refuse(format!("retry_seconds is {}; 0.01 to 3600", self.retry.as_secs_f64()));
        }
        if let Some(days) = self.keep_faces_days.filter(|days| !(1..=36_500).contains(days)) {
            return refuse(format!("keep_faces_days is {days}; 1 to 36500"));
        }
        Ok(())
    }

    /// Most bytes of the write-ahead log. Larger logs write the same page to the file less often.
    pub(super) fn log_bytes(&self) -> u64 {
        (self.max_bytes / 8).clamp(128 << 10, 4 << 20)
    }

    /// Most bytes of the queue that one commit takes.
    pub(super) fn batch_bytes(&self) -> usize {
        (self.log_bytes() / 4) as usize
    }
}

/// A duration as a number of seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(duration.as_secs_f64())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(seconds)
            .map_err(|_| D::Error::custom(format!("{seconds}: expected seconds, 0 to 3600")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toml_part_is_read_and_written_and_nonsense_is_refused() {
        let config: Config = toml::from_str("commit_every_seconds = 0.5\nmax_records_per_second = inf").unwrap();
        assert_eq!(config.commit_every, Duration::from_millis(500));
        assert_eq!(config.max_bytes, Config::default().max_bytes);
        assert!(config.check().is_ok());
        assert_eq!(toml::from_str::<Config>(&toml::to_string(&config).unwrap()).unwrap(), config);
        for wrong in [
            "commit_every_seconds = -1.0",
            "commit_every_seconds = nan",
            "max_byte = 3",
            "max_bytes = -1",
            "keep_faces_which = \"some\"",
        ] {
            assert!(toml::from_str::<Config>(wrong).is_err(), "{wrong}");
        }
        for wrong in [
            "max_bytes = 1000",
            "max_records_per_second = 0.0",
            "max_records_per_second = nan",
            "queue_bytes = 1",
            "retry_seconds = 0.0",
            "commit_every_seconds = 1e6",
            "keep_faces_days = 0",
        ] {
            assert!(toml::from_str::<Config>(wrong).unwrap().check().is_err(), "{wrong}");
        }
    }
}
