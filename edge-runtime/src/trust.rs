//! Which bundles this board accepts: by the keys of its board file, by flags, and by what it accepted before.
//!
//! [`expression_engine::trust`] verifies signatures. What a board adds is its memory: the highest sequence number of each key, so
//! that nobody can put an older bundle back, whose faults are known. `docs/trust.md` explains all of it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use expression_engine::error::{Context, Result};
use expression_engine::trust::{Key, KeyId, Trust, Verdict};
use expression_engine::{Bundle, files};
use serde::{Deserialize, Serialize};

use crate::board::{self, Board};
use crate::event::Event;

/// The file, beside the board's journal, that holds the highest sequence number accepted from each key.
pub const NEWEST: &str = "trust.toml";
/// The file, beside it, with the sha256 of a manifest that is accepted although it is older: `deploy` writes it when it goes back
/// to the version before. It ends when a bundle with a higher sequence number than any before is accepted.
pub const PERMITTED: &str = "older-bundle.sha256";
/// Bytes of each of these files, at most.
const MAX_BYTES: u64 = 16 << 10;
const HEAD: &str =
    "# The highest sequence number of a bundle that this board accepted, by the key that signed it: docs/trust.md.\n";

/// Flags that decide about trust.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Flags {
    /// Also accept what this public key signed, and refuse unsigned bundles: its 56 characters, or the path of its .pub file. Can
    /// be repeated [default: the board's keys]
    #[arg(long = "trust-key", value_name = "KEY|FILE", help_heading = "Trust")]
    pub keys: Vec<String>,
    /// Accept a bundle although a newer one was accepted before; log and journal say so
    #[arg(long = "allow-older-bundle", help_heading = "Trust")]
    pub allow_older: bool,
}

/// Flags that decide about trust, for commands that need no board otherwise.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct BoardFlags {
    /// Board whose keys count: the name of a built-in one, or the path of a board file [default: that of the installed service]
    #[arg(long, value_name = "NAME|FILE", help_heading = "Trust")]
    board: Option<String>,
    #[command(flatten)]
    flags: Flags,
}

impl BoardFlags {
    /// Returns what these flags, and the board's file, trust.
    ///
    /// # Errors
    /// Returns an error if the board file or a key is bad input.
    pub fn policy(&self) -> Result<Policy> {
        let board = match &self.board {
            Some(board) => Some(Board::open(board)?),
            None => installed()?,
        };
        Policy::new(board.as_ref(), &self.flags, Path::new("/"))
    }
}

/// Returns the board of the installed service, if there is one.
///
/// # Errors
/// Returns an error if its file is not a board file: it might hold keys.
pub fn installed() -> Result<Option<Board>> {
    let path = Path::new(board::INSTALLED_BOARD);
    if path.exists() { Ok(Some(Board::read(path)?)) } else { Ok(None) }
}

/// What a board trusts, and what it remembers.
#[derive(Debug, Clone)]
pub struct Policy {
    trust: Trust,
    newest: Option<Newest>,
}

impl Policy {
    /// The policy of a board and of flags. `root` is where the board's files begin, `/` but in tests. A memory that cannot be read
    /// is logged and taken for empty: whoever could damage it could delete it, too.
    ///
    /// # Errors
    /// Returns an error if a key is not one.
    pub fn new(board: Option<&Board>, flags: &Flags, root: &Path) -> Result<Policy> {
        let settings = board.map(|board| board.trust.clone()).unwrap_or_default();
        let mut keys = settings.keys()?;
        for text in &flags.keys {
            keys.push(Key::from_argument(text).context("--trust-key")?);
        }
        let required = if flags.keys.is_empty() { settings.requires_signature() } else { true };
        let mut trust = Trust::new(keys, required)?;
        if flags.allow_older {
            trust = trust.allowing_older();
        }
        let mut newest = None;
        if let Some(folder) = board.filter(|_| trust.has_keys()).and_then(|board| board.paths.journal.parent()) {
            let folder = root.join(folder.strip_prefix("/").unwrap_or(folder));
            let known = Newest::read(&folder.join(NEWEST)).unwrap_or_else(|error| {
                tracing::warn!("an older bundle would not be noticed: {error}");
                Newest { path: folder.join(NEWEST), numbers: BTreeMap::new() }
            });
            trust = trust.with_newest(known.numbers.clone());
            if let Ok(text) = files::read_at_most(&folder.join(PERMITTED), MAX_BYTES) {
                trust = trust.permitting(String::from_utf8_lossy(&text).trim().to_owned());
            }
            newest = Some(known);
        }
        Ok(Policy { trust, newest })
    }

    /// Returns what the engine verifies bundles with.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Returns the folder in which [`Policy::remember`] writes; `None` if it remembers nothing.
    pub fn folder(&self) -> Option<&Path> {
        self.newest.as_ref()?.path.parent()
    }

    /// Returns the warning about a bundle that was accepted without proof of who made it; `None` if there is such proof.
    pub fn warning(&self, bundle: &Bundle) -> Option<String> {
        let name = &bundle.manifest().name;
        let found = match bundle.verdict() {
            Verdict::Valid { .. } => return None,
            Verdict::Unsigned => format!("bundle {name} is not signed"),
            Verdict::Unchecked { key } => format!("bundle {name} is signed by key {key}, which is not known here"),
        };
        let advice = match self.trust.has_keys() {
            true => "set require_signature = true in the board file to refuse it",
            false => "put the public key of whoever signs your bundles into [trust] of the board file",
        };
        Some(format!("{found}: whoever can write its folder can change what it says; {advice} (docs/trust.md)"))
    }

    /// Returns the event that an older bundle was accepted, if it was.
    pub fn event(&self, verdict: Verdict) -> Option<Event> {
        let Verdict::Valid { key, sequence, newer: Some(newest) } = verdict else { return None };
        Some(Event::OlderBundle { key: key.to_string(), sequence, newest })
    }

    /// Remembers the sequence number of a bundle that was accepted. If that fails, for instance on a read-only disk, it is logged.
    pub fn remember(&mut self, verdict: Verdict) {
        let (Some(newest), Verdict::Valid { key, sequence, .. }) = (&mut self.newest, verdict) else { return };
        if let Err(error) = newest.raise(key, sequence) {
            tracing::warn!(
                "this bundle's sequence number is not remembered, so an older one would be accepted: {error}"
            );
        }
    }
}

/// The highest sequence number that was accepted from each key, kept in a file.
#[derive(Debug, Clone)]
struct Newest {
    path: PathBuf,
    numbers: BTreeMap<KeyId, u64>,
}

/// The file's content.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    newest: BTreeMap<String, u64>,
}

impl Newest {
    /// Reads the file. If there is none, nothing was accepted yet.
    fn read(path: &Path) -> io::Result<Newest> {
        let bytes = match files::read_at_most(path, MAX_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => b"[newest]".to_vec(),
            read => read?,
        };
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", path.display()));
        let file: File = toml::from_slice(&bytes).map_err(|_| damaged())?;
        let number = |(key, number): (String, u64)| Ok((key.parse().map_err(|_| damaged())?, number));
        let numbers = file.newest.into_iter().map(number).collect::<io::Result<_>>()?;
        Ok(Newest { path: path.to_owned(), numbers })
    }

    /// Raises the number of a key. If it rose, writes the file, of which a reader finds the old content or the new one, and takes
    /// back the permission of an older bundle: it was meant until there is a newer one.
    fn raise(&mut self, key: KeyId, sequence: u64) -> io::Result<()> {
        if self.numbers.get(&key).is_some_and(|newest| *newest >= sequence) {
            return Ok(());
        }
        // The folder belongs to the service: made here, it would be somebody else's.
        if !self.path.parent().is_some_and(Path::is_dir) {
            let message = format!("the folder of {} does not exist", self.path.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        let mut numbers = self.numbers.clone();
        numbers.insert(key, sequence);
        let file = File { newest: numbers.iter().map(|(key, number)| (key.to_string(), *number)).collect() };
        let text = toml::to_string(&file).map_err(io::Error::other)?;
        files::write_regular(&self.path, format!("{HEAD}{text}").as_bytes())?;
        self.numbers = numbers;
        let permitted = self.path.with_file_name(PERMITTED);
        match std::fs::remove_file(&permitted) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("{} still permits an older bundle: {error}", permitted.display());
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn key(text: &str) -> KeyId {
        text.parse().unwrap()
    }

    #[test]
    fn the_highest_number_of_each_key_is_kept_and_never_falls() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NEWEST);
        let permitted = folder.path().join(PERMITTED);
        fs::write(&permitted, "0\n").unwrap();
        let mut newest = Newest::read(&path).unwrap();
        let (one, two) = (key("00000000000000A1"), key("D59B8CDFD7893007"));
        for (key, sequence) in [(one, 5), (two, i64::MAX as u64), (one, 4), (one, 5)] {
            newest.raise(key, sequence).unwrap();
        }
        let expected = BTreeMap::from([(one, 5), (two, i64::MAX as u64)]);
        assert_eq!(Newest::read(&path).unwrap().numbers, expected);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "neither drafts nor the permission are left");
        fs::write(&permitted, "0\n").unwrap();
        newest.raise(one, 5).unwrap();
        assert!(permitted.exists(), "what is not newer ends no permission");
    }

    #[test]
    fn a_damaged_or_missing_place_is_an_error_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NEWEST);
        for wrong in [&b"newest"[..], b"[newest]\nA1 = -1", b"[newest]\nmine = 1", b"\xff", &[b'#'; 17 << 10]] {
            fs::write(&path, wrong).unwrap();
            let line = Newest::read(&path).unwrap_err().to_string();
            assert!(line.contains(NEWEST) && !line.contains('\n'), "{line}");
        }
        let mut nowhere = Newest::read(&folder.path().join("none").join(NEWEST)).unwrap();
        let line = nowhere.raise(key("A1"), 1).unwrap_err().to_string();
        assert!(line.contains("does not exist"), "{line}");
    }
}
