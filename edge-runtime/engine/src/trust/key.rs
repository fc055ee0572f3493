//! Public keys of those whose bundles and programs are accepted.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use minisign_verify::PublicKey;

use crate::error::{Classify, ErrorKind};
use crate::files;

/// Bytes of a file with a public key, at most.
const MAX_KEY_FILE: u64 = 4 << 10;
/// How the text of every public key begins: the algorithm, in base64.
const BEGINNING: &str = "RW";
/// Characters of a value that are repeated in a message.
const MAX_SHOWN: usize = 16;

/// Why something is not a public key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is not a public key.
    #[error(
        "{0:?} is not a public key: expected the 56 characters that `host-trainer key show` prints, such as RWQ..."
    )]
    Text(String),
    /// The file cannot be read.
    #[error("no public key: {0}; give its 56 characters, or the file that `host-trainer key new` wrote")]
    File(String),
}

impl Classify for KeyError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::BadInput
    }
}

/// The number of a key pair, by which a signature names the key that made it. It displays as 16 hexadecimal digits, as minisign
/// shows it. It is chosen at random and proves nothing by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u64);

impl KeyId {
    /// The number from the eight bytes of a key or a signature.
    pub(super) fn from_bytes(bytes: [u8; 8]) -> KeyId {
        KeyId(u64::from_le_bytes(bytes))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

impl FromStr for KeyId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<KeyId, Self::Err> {
        u64::from_str_radix(text, 16).map(KeyId)
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    id: KeyId,
    /// Its 56 characters.
    text: String,
    pub(super) key: PublicKey,
}

impl Key {
    /// Parses the 56 characters of a public key, or the two lines of the file that holds them.
    ///
    /// # Errors
    /// Returns [`KeyError::Text`] if the text is neither.
    pub fn parse(text: &str) -> Result<Key, KeyError> {
        let line = text.trim().lines().last().unwrap_or_default().trim();
        let wrong = || KeyError::Text(line.chars().take(MAX_SHOWN).collect());
        let bytes = BASE64_STANDARD.decode(line).map_err(|_| wrong())?;
        let id = bytes.get(2..10).and_then(|id| id.try_into().ok()).ok_or_else(wrong)?;
        let key = PublicKey::from_base64(line).map_err(|_| wrong())?;
        Ok(Key { id: KeyId::from_bytes(id), text: line.to_owned(), key })
    }

    /// Returns the key that a flag names: by its 56 characters, or by the path of a file that holds them.
    ///
    /// # Errors
    /// Returns [`KeyError`] if the file cannot be read or the text is not a public key.
    pub fn from_argument(text: &str) -> Result<Key, KeyError> {
        if text.starts_with(BEGINNING) && !text.ends_with(".pub") {
            return Key::parse(text);
        }
        Key::from_file(Path::new(text))
    }

    /// Reads the file of a public key.
    ///
    /// # Errors
    /// Returns [`KeyError`] if the file cannot be read or does not hold a public key.
    pub fn from_file(path: &Path) -> Result<Key, KeyError> {
        let bytes = files::read_at_most(path, MAX_KEY_FILE).map_err(|error| KeyError::File(error.to_string()))?;
        // The content is not repeated: it might be a secret key.
        let wrong = |_| KeyError::File(format!("{} does not hold one", path.display()));
        Key::parse(&String::from_utf8_lossy(&bytes)).map_err(wrong)
    }

    /// Returns the number by which signatures name this key.
    pub fn id(&self) -> KeyId {
        self.id
    }
}

impl fmt::Display for Key {
    /// Writes its 56 characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
