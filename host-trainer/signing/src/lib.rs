//! Makes keys and signatures in minisign's format. The workstation's side of `expression_engine::trust`, which verifies them.
//!
//! It is a crate of its own so that `cargo xtask`, which knows neither torch nor tract, can sign programs.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use expression_signing::SecretKey;
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("maker.key");
//! let made = SecretKey::create(&path, None)?;
//! let key = SecretKey::open(&path, || unreachable!("the key has no password"))?;
//! assert_eq!(key.public(), made.public());
//! let signature = key.sign(b"format = 1\n", "manifest.toml", 7)?;
//! assert!(signature.contains("trusted comment: sequence:7\tfile:manifest.toml"));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod password;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use minisign::{KeyPair, PublicKey, SecretKeyBox};
use zeroize::Zeroizing;

pub use password::{PASSWORD_VARIABLE, Password};

/// The ending of a signature's file name, after the name of the signed file.
pub const SUFFIX: &str = ".minisig";
/// The ending of a public key's file name, after the name of the secret key's file.
pub const PUBLIC_SUFFIX: &str = ".pub";
/// Bytes of a file with a secret key, at most; minisign's own have about 300.
const MAX_KEY_FILE: u64 = 4 << 10;
/// Bytes of a secret key in its file, without base64, and of the checksum at their end.
const KEY_BYTES: usize = 158;
const CHECKSUM_BYTES: usize = 32;
/// The only mode of a new secret key's file: its owner reads and writes it, and nobody else does.
const SECRET_MODE: u32 = 0o600;

/// Why a key could not be made or used. No message holds a part of a key or a password.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// A file with this name exists.
    #[error("{0}: exists already, and a key is never replaced; give another path")]
    Exists(PathBuf),
    /// A file cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// The file system's message.
        reason: String,
    },
    /// Others can read the secret key.
    #[error(
        "{path}: others can read this secret key (mode {mode:o}); take their rights away (chmod 600), or make a new key"
    )]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file does not hold a secret key.
    #[error("{0}: not a secret key in minisign's format; give the file that `host-trainer key new` wrote")]
    NotAKey(PathBuf),
    /// The password is wrong.
    #[error("{0}: wrong password, or a damaged key; look at what --password-file or {PASSWORD_VARIABLE} gives")]
    WrongPassword(PathBuf),
    /// No password can be had.
    #[error("{0}")]
    Password(String),
    /// minisign failed.
    #[error("cannot sign: {0}")]
    Failed(String),
}

/// The result of whatever this crate does.
pub type Result<T, E = SigningError> = std::result::Result<T, E>;

/// A secret key that is ready to sign. It has no `Debug`, so that it cannot get into a log.
pub struct SecretKey(minisign::SecretKey);

impl SecretKey {
    /// Makes a key pair. The secret key goes to a new file at `path` that only its owner can read, encrypted if there is a
    /// password, and the public key to `path` with `.pub` at its end.
    ///
    /// # Errors
    /// Returns an error if one of the files exists or cannot be written.
    pub fn create(path: &Path, password: Option<Zeroizing<String>>) -> Result<SecretKey> {
        let public_path = with_suffix(path, PUBLIC_SUFFIX);
        for path in [path, &public_path] {
            if path.symlink_metadata().is_ok() {
                return Err(SigningError::Exists(path.to_owned()));
            }
        }
        let (KeyPair { pk, sk }, text) = match password {
            // minisign gives a pair with an encrypted secret key, which cannot sign before it is opened.
            Some(password) => {
                let pair = KeyPair::generate_encrypted_keypair(Some(password.to_string())).map_err(failed)?;
                let text = Zeroizing::new(pair.sk.to_box(None).map_err(failed)?.into_string());
                let sk = SecretKeyBox::from(text.to_string()).into_secret_key(Some(password.to_string()));
                (KeyPair { pk: pair.pk, sk: sk.map_err(failed)? }, text)
            }
            None => {
                let pair = KeyPair::generate_unencrypted_keypair().map_err(failed)?;
                let text = Zeroizing::new(pair.sk.to_box(None).map_err(failed)?.into_string());
                (pair, text)
            }
        };
        write_new(path, text.as_bytes(), SECRET_MODE)?;
        let public = pk.to_box().map_err(failed).and_then(|public| write_new(&public_path, &public.to_bytes(), 0o644));
        if let Err(error) = public {
            // A pair or nothing.
            let _ = fs::remove_file(path);
            return Err(error);
        }
        Ok(SecretKey(sk))
    }

    /// Reads a secret key. `password` is asked for only if the key is encrypted.
    ///
    /// # Errors
    /// Returns an error if the file is not a secret key, if others can read it, or if the password is wrong.
    pub fn open(path: &Path, password: impl FnOnce() -> Result<Zeroizing<String>>) -> Result<SecretKey> {
        let (text, mode) = read_secret(path)?;
        let boxed = || SecretKeyBox::from(text.to_string());
        let plain = boxed().into_unencrypted_secret_key().or_else(|_| without_checksum(&text));
        if plain.is_err() && !is_encrypted(&text) {
            return Err(SigningError::NotAKey(path.to_owned()));
        }
        if mode & 0o077 != 0 {
            return Err(SigningError::Readable { path: path.to_owned(), mode });
        }
        if let Ok(key) = plain {
            return Ok(SecretKey(key));
        }
        let key = boxed().into_secret_key(Some(password()?.to_string()));
        key.map(SecretKey).map_err(|_| SigningError::WrongPassword(path.to_owned()))
    }

    /// Returns the public key, as board files take it: 56 characters that begin with `RW`.
    pub fn public(&self) -> String {
        PublicKey::from_secret_key(&self.0).map(|key| key.to_base64()).unwrap_or_default()
    }

    /// Returns the text of a signature of these bytes. `file` is the name of the signed file, for whoever reads the signature.
    /// Boards refuse a lower `sequence` than the highest they accepted from this key.
    ///
    /// # Errors
    /// Returns an error if the machine gives no random numbers.
    pub fn sign(&self, bytes: &[u8], file: &str, sequence: u64) -> Result<String> {
        // One line: a tab separates the fields.
        let file: String = file.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let comment = format!("sequence:{sequence}\tfile:{file}\ttimestamp:{}\thashed", now());
        // With the public key, minisign checks its own signature: a damaged secret key makes none.
        let public = PublicKey::from_secret_key(&self.0).map_err(failed)?;
        let made =
            minisign::sign(Some(&public), &self.0, bytes, Some(&comment), Some("signature of host-trainer or xtask"));
        Ok(made.map_err(failed)?.into_string())
    }
}

/// Returns the sequence number that a signature gets if no other is asked for: seconds since 1970, which rise by themselves.
pub fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map(|since| since.as_secs()).unwrap_or_default()
}

/// Signs a file: writes the signature beside it, and returns its path.
///
/// # Errors
/// Returns an error if the file cannot be read or the signature cannot be written.
pub fn sign_file(key: &SecretKey, path: &Path, sequence: u64) -> Result<PathBuf> {
    // A pipe would be waited for, and a device may have no end.
    let metadata = fs::metadata(path).map_err(|error| file_error(path, &error))?;
    if !metadata.is_file() {
        return Err(SigningError::File { path: path.to_owned(), reason: "not a regular file".to_owned() });
    }
    let bytes = fs::read(path).map_err(|error| file_error(path, &error))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let signature = with_suffix(path, SUFFIX);
    // Renamed into place, so that nobody reads half of it.
    let draft = with_suffix(&signature, ".new");
    let text = key.sign(&bytes, &name, sequence)?;
    let written = File::create(&draft).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&draft, &signature)).map_err(|error| {
        let _ = fs::remove_file(&draft);
        file_error(&signature, &error)
    })?;
    Ok(signature)
}

/// Returns a path with this at the end of its last name.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The text of a secret key's file, and the file's permissions.
fn read_secret(path: &Path) -> Result<(Zeroizing<String>, u32)> {
    let failed = |error: io::Error| file_error(path, &error);
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() || metadata.len() > MAX_KEY_FILE {
        return Err(SigningError::NotAKey(path.to_owned()));
    }
    let mode = metadata.permissions().mode() & 0o777;
    let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_FILE as usize));
    match File::open(path).map_err(failed)?.take(MAX_KEY_FILE).read_to_string(&mut text) {
        Ok(_) => Ok((text, mode)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(SigningError::NotAKey(path.to_owned())),
        Err(error) => Err(failed(error)),
    }
}

/// Reads a secret key as `minisign -G -W` writes it: without a password, and with zeros for its checksum.
fn without_checksum(text: &str) -> Result<minisign::SecretKey, minisign::PError> {
    let line = text.lines().nth(1).unwrap_or_default();
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(line).unwrap_or_default());
    let is_such = bytes.len() == KEY_BYTES && bytes.starts_with(b"Ed\0\0B2") && bytes.ends_with(&[0; CHECKSUM_BYTES]);
    // Anything else is not a key for minisign either.
    minisign::SecretKey::from_bytes(if is_such { &bytes } else { &[] })
}

/// Whether a text is a secret key that a password protects: the second line begins with the bytes `EdSc`.
fn is_encrypted(text: &str) -> bool {
    text.lines().nth(1).is_some_and(|line| line.starts_with("RWRTY"))
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let failed = |error: io::Error| file_error(path, &error);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|error| {
        // Half a key is of no use, and would be in the way of the next try.
        let _ = fs::remove_file(path);
        failed(error)
    })
}

fn file_error(path: &Path, error: &io::Error) -> SigningError {
    SigningError::File { path: path.to_owned(), reason: error.to_string() }
}

fn failed(error: minisign::PError) -> SigningError {
    SigningError::Failed(error.to_string().replace('\n', " "))
}

#[cfg(test)]
mod tests;
