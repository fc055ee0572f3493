//! Signatures of the programs and packages that are built: docs/trust.md.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use expression_signing::{Password, SecretKey, now, sign_file};

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

/// Signs a file if there is a key.
///
/// # Errors
/// Returns an error if the file cannot be read or the signature cannot be written.
pub fn sign(key: Option<&SecretKey>, path: &Path) -> Result<()> {
    let Some(key) = key else { return Ok(()) };
    eprintln!("signed: {}", sign_file(key, path, now())?.display());
    Ok(())
}
