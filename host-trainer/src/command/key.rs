//! `host-trainer key`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use expression_engine::line::tell;
use expression_engine::trust::Key;
use expression_signing::{Password, SecretKey};

/// Make a key pair to sign bundles and programs with, or show its public key.
///
/// Boards whose file holds the public key refuse what the secret key did not sign. See docs/trust.md.
#[derive(Args)]
pub struct Cmd {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a key pair: FILE holds the secret key, which only you can read, and FILE.pub the public key.
    ///
    /// Prints the public key as a board file takes it. Keep the secret key off the boards, and a copy of it in a safe place.
    New(New),
    /// Print a public key as a board file takes it.
    Show(Show),
}

#[derive(Args)]
struct New {
    /// File of the new secret key. It must not exist.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Do not encrypt the secret key, for machines that sign without a person. Whoever can read the file can sign.
    #[arg(long, conflicts_with = "password_file")]
    no_password: bool,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Args)]
struct Show {
    /// File of the public key, or of the secret key.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    password: PasswordArgs,
}

/// Where the password of a secret key comes from.
#[derive(Args)]
pub struct PasswordArgs {
    /// File whose first line is the password of the secret key. By default $SIGNING_KEY_PASSWORD, or else you are asked.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordArgs {
    fn password(&self) -> Password {
        Password { file: self.password_file.clone() }
    }

    /// Reads a secret key.
    ///
    /// # Errors
    /// Returns an error if the file is not a secret key, if others can read it, or if the password is wrong.
    pub fn open(&self, key: &Path) -> crate::Result<SecretKey> {
        Ok(SecretKey::open(key, || self.password().get())?)
    }
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if a file is not a key, exists already, or cannot be written.
    pub fn run(&self) -> crate::Result<()> {
        match &self.action {
            Action::New(New { file, no_password, password }) => {
                let password = if *no_password { None } else { Some(password.password().get_new()?) };
                let key = SecretKey::create(file, password)?;
                tell(format_args!("{} is secret; the public key is for the boards:", file.display()));
                print(&key.public())
            }
            Action::Show(Show { file, password }) => match Key::from_file(file) {
                Ok(key) => print(&key.to_string()),
                Err(_) => print(&password.open(file)?.public()),
            },
        }
    }
}

/// Prints a public key as a board file takes it.
fn print(public: &str) -> crate::Result<()> {
    crate::error::print(&format!("[trust]\nkeys = [\"{public}\"]"))
}
