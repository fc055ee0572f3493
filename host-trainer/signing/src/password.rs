//! Where the password of a secret key comes from: never from the command line, which everybody on the machine can read.

use std::env;
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Result, SigningError};

/// The environment variable that may hold the password.
pub const PASSWORD_VARIABLE: &str = "SIGNING_KEY_PASSWORD";
/// Bytes of a password, at most: minisign's limit.
const MAX_PASSWORD: u64 = 1024;

/// Where the password comes from.
#[derive(Debug, Clone, Default)]
pub struct Password {
    /// A file whose first line is the password. Otherwise the environment variable [`PASSWORD_VARIABLE`], otherwise the terminal.
    pub file: Option<PathBuf>,
}

impl Password {
    /// Returns the password of an existing key.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or if there is neither a file nor a variable nor a terminal.
    pub fn get(&self) -> Result<Zeroizing<String>> {
        self.given().unwrap_or_else(|| prompt("Password of the secret key: "))
    }

    /// Returns the password for a new key. At a terminal it is asked for twice.
    ///
    /// # Errors
    /// Returns the errors of [`Password::get`], and one if the password is empty or the two differ.
    pub fn get_new(&self) -> Result<Zeroizing<String>> {
        let password = self.given().unwrap_or_else(|| {
            let first = prompt("Password for the new secret key: ")?;
            match prompt("The same password again: ")? == first {
                true => Ok(first),
                false => Err(SigningError::Password("the two passwords differ; nothing was written".into())),
            }
        })?;
        if password.is_empty() {
            return Err(SigningError::Password("the password is empty; give --no-password if that is meant".into()));
        }
        Ok(password)
    }

    /// The password from the file or the variable, if either was given.
    fn given(&self) -> Option<Result<Zeroizing<String>>> {
        if let Some(path) = &self.file {
            return Some(first_line(path).map_err(|reason| {
                SigningError::Password(format!("cannot read the password file {}: {reason}", path.display()))
            }));
        }
        // One that is empty counts as unset: no key has an empty password.
        env::var(PASSWORD_VARIABLE)
            .ok()
            .filter(|password| !password.is_empty())
            .map(|password| Ok(Zeroizing::new(password)))
    }
}

/// The password in the first line of a file.
fn first_line(path: &Path) -> Result<Zeroizing<String>, String> {
    // The longest password, the end of its line and a byte, so that the buffer never grows and leaves a copy behind.
    let most = MAX_PASSWORD + 3;
    let mut bytes = Zeroizing::new(Vec::with_capacity(most as usize + 1));
    let read = File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
    read.map_err(|error| error.to_string())?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    // Editors on Windows begin a file with a byte order mark, which nobody could type.
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() as u64 > MAX_PASSWORD {
        return Err(format!("its first line is longer than {MAX_PASSWORD} bytes"));
    }
    let text = std::str::from_utf8(line).map_err(|_| "its first line is not UTF-8".to_owned())?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn prompt(question: &str) -> Result<Zeroizing<String>> {
    if !std::io::stdin().is_terminal() {
        return Err(SigningError::Password(format!(
            "the key needs a password and this is not a terminal; give --password-file, or set {PASSWORD_VARIABLE}"
        )));
    }
    let answer = rpassword::prompt_password(question);
    answer.map(Zeroizing::new).map_err(|error| SigningError::Password(format!("cannot ask for the password: {error}")))
}
