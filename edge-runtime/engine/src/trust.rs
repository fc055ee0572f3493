//! Whose bundles and programs are accepted: public keys, signatures in minisign's format, and protection against older bundles.
//!
//! A bundle is signed by a signature of its `manifest.toml`, which holds the hash of every other file and all that changes an
//! answer. `docs/trust.md` says how keys and signatures are made and what they protect.
//!
//! ```
//! use expression_engine::trust::{Key, Trust, Verdict};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models");
//! let key = Key::from_argument(&format!("{models}/project.pub"))?;
//! let trust = Trust::new(vec![key], true)?;
//! let bundle = expression_engine::Bundle::open_trusted(format!("{models}/ferplus-edge").as_ref(), &trust)?;
//! assert!(matches!(bundle.verdict(), Verdict::Valid { .. }));
//! # Ok(())
//! # }
//! ```

mod key;
mod signature;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use key::{Key, KeyError, KeyId};

use crate::error::{Classify, ErrorKind};
use crate::files;
use signature::Signature;

/// The ending of a signature's file name, after the name of the signed file: `manifest.toml.minisig`.
pub const SUFFIX: &str = ".minisig";
/// Bytes of a signature file, at most. minisign's own comments have at most 9 KiB.
const MAX_SIGNATURE: u64 = 16 << 10;
/// Keys of a board, at most.
const MAX_KEYS: usize = 16;

/// Why a bundle or a program is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A key is not one.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// Signatures are required, but there is no key to verify them with.
    #[error("require_signature is true, but there are no keys; add the public key of whoever signs your bundles")]
    NoKeys,
    /// There are more keys than a board can need.
    #[error("{0} keys: expected at most {MAX_KEYS}")]
    TooManyKeys(usize),
    /// There is no signature, and one is required.
    #[error("{path}: not signed, and only what is signed by {keys} is accepted here; sign it with `host-trainer sign`")]
    Unsigned {
        /// The file that should be signed.
        path: PathBuf,
        /// The keys that are trusted.
        keys: String,
    },
    /// The signature cannot be read.
    #[error("{0}; copy the signature again, or sign with `host-trainer sign`")]
    Unreadable(String),
    /// The signature is not one.
    #[error("{path}: not a signature in minisign's format ({reason}); copy it again, or sign with `host-trainer sign`")]
    Damaged {
        /// The signature.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// A key that is not trusted made the signature.
    #[error(
        "{path}: signed by key {key}, and only what is signed by {keys} is accepted here; sign it with a trusted key, or trust this one"
    )]
    UnknownKey {
        /// The signed file.
        path: PathBuf,
        /// The key that made the signature.
        key: KeyId,
        /// The keys that are trusted.
        keys: String,
    },
    /// The file is not the one that was signed.
    #[error(
        "{path}: the signature of key {key} does not match; the file or its signature was altered: copy both again"
    )]
    Altered {
        /// The signed file.
        path: PathBuf,
        /// The key that the signature names.
        key: KeyId,
    },
    /// A newer one was accepted before.
    #[error(
        "{path}: sequence number {found} of key {key} is older than {newest}, which was accepted before; take a newer one, or give --allow-older-bundle"
    )]
    Older {
        /// The signed file.
        path: PathBuf,
        /// The key that made the signature.
        key: KeyId,
        /// The sequence number of the signature.
        found: u64,
        /// The highest that was accepted.
        newest: u64,
    },
}

impl Classify for TrustError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::BadInput
    }
}

/// What is known about who made a bundle or a program that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verdict {
    /// There is no signature.
    #[default]
    Unsigned,
    /// There is a signature by a key that nobody here knows, so it says nothing.
    Unchecked {
        /// The key that the signature names.
        key: KeyId,
    },
    /// The signature is valid and by a trusted key.
    Valid {
        /// The key.
        key: KeyId,
        /// The sequence number that it signed.
        sequence: u64,
        /// The highest sequence number accepted before, if it is higher than this one and this one was accepted all the same.
        newer: Option<u64>,
    },
}

impl Verdict {
    /// The word for it: `unsigned`, `unchecked` or `valid`.
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Unsigned => "unsigned",
            Verdict::Unchecked { .. } => "unchecked",
            Verdict::Valid { .. } => "valid",
        }
    }

    /// The key that the signature names, if there is one.
    pub fn key(&self) -> Option<KeyId> {
        match self {
            Verdict::Unsigned => None,
            Verdict::Unchecked { key } | Verdict::Valid { key, .. } => Some(*key),
        }
    }

    /// The sequence number, if the signature is valid.
    pub fn sequence(&self) -> Option<u64> {
        match self {
            Verdict::Valid { sequence, .. } => Some(*sequence),
            _ => None,
        }
    }
}

/// The table `[trust]` of a board file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Public keys, as `host-trainer key show` prints them.
    pub keys: Vec<String>,
    /// Whether bundles without a signature of these keys are refused; by default, if there are keys.
    pub require_signature: Option<bool>,
}

impl Settings {
    /// Returns the keys.
    ///
    /// # Errors
    /// Returns [`KeyError`] if one is not a key.
    pub fn keys(&self) -> Result<Vec<Key>, KeyError> {
        self.keys.iter().map(|text| Key::parse(text)).collect()
    }

    /// Returns whether unsigned bundles are refused.
    pub fn requires_signature(&self) -> bool {
        self.require_signature.unwrap_or(!self.keys.is_empty())
    }

    /// Returns what these settings trust.
    ///
    /// # Errors
    /// Returns [`TrustError`] if a key is not one, or if there is none and signatures are required.
    pub fn trust(&self) -> Result<Trust, TrustError> {
        Trust::new(self.keys()?, self.requires_signature())
    }
}

/// What is accepted. The default knows no key and accepts everything, signed or not.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    keys: Vec<Key>,
    require_signature: bool,
    newest: BTreeMap<KeyId, u64>,
    allow_older: bool,
    permitted: Option<String>,
}

impl Trust {
    /// Trusts these keys. With `require_signature`, whatever none of them signed is refused. Without, that is accepted, but not
    /// what was altered after one of them had signed it.
    ///
    /// # Errors
    /// Returns an error if signatures are required and there are no keys, or if there are more than 16.
    pub fn new(keys: Vec<Key>, require_signature: bool) -> Result<Trust, TrustError> {
        if require_signature && keys.is_empty() {
            return Err(TrustError::NoKeys);
        }
        if keys.len() > MAX_KEYS {
            return Err(TrustError::TooManyKeys(keys.len()));
        }
        Ok(Trust { keys, require_signature, ..Trust::default() })
    }

    /// Refuses signatures whose sequence number is lower than the one here of their key.
    #[must_use]
    pub fn with_newest(self, newest: BTreeMap<KeyId, u64>) -> Trust {
        Trust { newest, ..self }
    }

    /// Accepts older signatures all the same; [`Verdict::Valid`] then says so.
    #[must_use]
    pub fn allowing_older(self) -> Trust {
        Trust { allow_older: true, ..self }
    }

    /// Accepts one file although its signature is older: the one with this sha256, in lower-case hexadecimal.
    #[must_use]
    pub fn permitting(self, sha256: String) -> Trust {
        Trust { permitted: Some(sha256), ..self }
    }

    /// Whether any key is trusted: otherwise nothing is verified.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Verifies the bytes of a file by the signature beside it. `path` is where the bytes came from.
    ///
    /// # Errors
    /// Returns [`TrustError`] if they are not to be trusted.
    pub fn verify(&self, path: &Path, bytes: &[u8]) -> Result<Verdict, TrustError> {
        match files::read_at_most(&signature_path(path), MAX_SIGNATURE) {
            Ok(signature) => self.verify_with(path, bytes, &signature),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.require_signature => {
                Err(TrustError::Unsigned { path: path.to_owned(), keys: self.names() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Verdict::Unsigned),
            Err(error) => Err(TrustError::Unreadable(error.to_string())),
        }
    }

    /// Verifies the bytes of a file by the bytes of a signature. `path` is where the bytes came from.
    ///
    /// # Errors
    /// Returns [`TrustError`] if they are not to be trusted.
    pub fn verify_with(&self, path: &Path, bytes: &[u8], signature: &[u8]) -> Result<Verdict, TrustError> {
        let signature =
            Signature::parse(signature).map_err(|reason| TrustError::Damaged { path: signature_path(path), reason })?;
        let (key, sequence, path) = (signature.key, signature.sequence, path.to_owned());
        let mut keys = self.keys.iter().filter(|known| known.id() == key).peekable();
        if keys.peek().is_none() {
            return match self.require_signature {
                true => Err(TrustError::UnknownKey { path, key, keys: self.names() }),
                false => Ok(Verdict::Unchecked { key }),
            };
        }
        if !keys.any(|key| signature.is_valid(key, bytes)) {
            return Err(TrustError::Altered { path, key });
        }
        let newer = self.newest.get(&key).copied().filter(|newest| *newest > sequence);
        let is_permitted = || self.permitted.as_ref().is_some_and(|sha256| *sha256 == files::sha256(bytes));
        match newer {
            Some(newest) if !self.allow_older && !is_permitted() => {
                Err(TrustError::Older { path, key, found: sequence, newest })
            }
            newer => Ok(Verdict::Valid { key, sequence, newer }),
        }
    }

    /// The trusted keys, for messages.
    fn names(&self) -> String {
        let names: Vec<_> = self.keys.iter().map(|key| key.id().to_string()).collect();
        format!("{} {}", if names.len() == 1 { "key" } else { "keys" }, names.join(", "))
    }
}

/// Returns the path of the signature that belongs to a file.
pub fn signature_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(SUFFIX);
    name.into()
}
