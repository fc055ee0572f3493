//! Signatures of the programs and packages that are built: docs/trust.md.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use expression_signing::{Password, SUFFIX, SecretKey, now, sign_file, with_suffix};

use crate::error::bad_input;

/// With which key a program is signed, if with any.
#[derive(Args)]
pub struct Signing {
    /// Sign what is built with this secret key, which `host-trainer key new` made: the signature is written beside it
    #[arg(long, value_name = "FILE")]
    sign: Option<PathBuf>,
    /// File whose first line is the password of the secret key [default: $SIGNING_KEY_PASSWORD, or else you are asked]
    #[arg(long, value_name = "FILE", requires = "sign")]
    password_file: Option<PathBuf>,
}

impl Signing {
    /// Opens the key, before anything is built.
    ///
    /// # Errors
    /// Returns an error if the file is not a secret key, if others can read it, or if the password is wrong.
    pub fn open(&self) -> Result<Option<SecretKey>> {
        let password = Password { file: self.password_file.clone() };
        let key = self.sign.as_deref().map(|path| SecretKey::open(path, || password.get())).transpose();
        key.map_err(|error| bad_input(error.to_string()))
    }
}

/// Signs a file if there is a key. Otherwise removes the signature of the file that was there before.
///
/// # Errors
/// Returns an error if the file cannot be read or the signature cannot be written or removed.
pub fn sign(key: Option<&SecretKey>, path: &Path) -> Result<()> {
    let Some(key) = key else {
        let old = with_suffix(path, SUFFIX);
        return match std::fs::remove_file(&old) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove the old signature {}", old.display()))
            }
            _ => Ok(()),
        };
    };
    eprintln!("signed: {}", sign_file(key, path, now())?.display());
    Ok(())
}
