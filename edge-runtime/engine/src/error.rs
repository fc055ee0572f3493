//! Errors on their way to the terminal: what went wrong, who can mend it, and the exit code that follows.
//!
//! Each library error is an enum made by `thiserror` that implements [`Classify`]. Commands return [`Result`], into which `?`
//! converts such errors with their kind; [`Context`] adds what was being done.
//!
//! ```
//! use expression_engine::error::{Context, Error, ErrorKind, Result};
//!
//! fn width(text: &str) -> Result<u32> {
//!     text.parse().map_err(|_| Error::bad_input(format!("invalid width {text:?}: expected a number of pixels")))
//! }
//!
//! let error = width("wide").context("--size").unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::BadInput);
//! assert_eq!(error.to_string(), "--size: invalid width \"wide\": expected a number of pixels");
//! ```

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::line::{one_line, tell};

/// Exit code of a program that did what it was asked to do.
pub const DONE: u8 = 0;
/// Exit code after a failure: a check did not hold, a run was interrupted, or the program has a bug.
pub const FAILED: u8 = 1;
/// Exit code after bad usage or bad input from outside: flags, files, bundles, a full disk.
pub const BAD_INPUT: u8 = 2;

/// Who can mend an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The person at the terminal: a flag, a file, a device or a disk is not as it must be, and the message says what to do.
    BadInput,
    /// Nobody at the terminal: a check did not hold, a run was interrupted, or the program has a bug.
    Failure,
}

impl ErrorKind {
    /// The exit code of a program that ends with such an error.
    pub fn exit_code(self) -> u8 {
        match self {
            ErrorKind::BadInput => BAD_INPUT,
            ErrorKind::Failure => FAILED,
        }
    }
}

/// An error that knows its kind.
pub trait Classify: std::error::Error {
    /// Who can mend it.
    fn kind(&self) -> ErrorKind;
}

impl Classify for io::Error {
    /// Bad input if the cause is what the user named or the state of a disk.
    fn kind(&self) -> ErrorKind {
        use io::ErrorKind::*;
        match io::Error::kind(self) {
            NotFound | PermissionDenied | StorageFull | QuotaExceeded | FileTooLarge | ReadOnlyFilesystem
            | IsADirectory | NotADirectory | AlreadyExists | InvalidFilename | InvalidInput | InvalidData
            | UnexpectedEof => ErrorKind::BadInput,
            other if Some(other) == circle_of_links() => ErrorKind::BadInput,
            _ => ErrorKind::Failure,
        }
    }
}

/// What the standard library makes of a circle of symbolic links; the kind has no stable name.
fn circle_of_links() -> Option<io::ErrorKind> {
    #[cfg(unix)]
    return Some(io::Error::from_raw_os_error(libc::ELOOP).kind());
    #[cfg(not(unix))]
    None
}

/// An error with its kind and with what was being done when it arose, outermost last. It displays as one line.
pub struct Error {
    kind: ErrorKind,
    source: Box<dyn std::error::Error + Send + Sync>,
    context: Vec<String>,
}

/// The result of whatever a command does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of the given kind.
    pub fn new(kind: ErrorKind, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error { kind, source: source.into(), context: Vec::new() }
    }

    /// An error that the person at the terminal can mend; the message says how.
    pub fn bad_input(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::new(ErrorKind::BadInput, source)
    }

    /// An error that the person at the terminal cannot mend.
    pub fn failure(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::new(ErrorKind::Failure, source)
    }

    /// Who can mend it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The error itself, without its context, if it is an `E`.
    pub fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.source.downcast_ref()
    }
}

impl<E: Classify + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Error {
        Error::new(error.kind(), error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.context.iter().rev().cloned().collect();
        let mut cause: Option<&dyn std::error::Error> = Some(&*self.source);
        while let Some(error) = cause {
            let text = in_one_line(&error.to_string());
            // A `thiserror` message often repeats that of its source.
            if !parts.iter().any(|part| part.contains(&text)) {
                parts.push(text);
            }
            cause = error.source();
        }
        f.write_str(&parts.join(": "))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)
    }
}

impl std::error::Error for Error {}

/// Adds to an error what was being done when it arose.
pub trait Context<T> {
    /// Adds a text.
    ///
    /// # Errors
    /// Returns the error that was there, with the text in front.
    fn context(self, text: impl fmt::Display) -> Result<T>;

    /// Adds a text that is made only if there is an error.
    ///
    /// # Errors
    /// Returns the error that was there, with the text in front.
    fn with_context<D: fmt::Display>(self, text: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, text: impl fmt::Display) -> Result<T> {
        self.with_context(|| text)
    }

    fn with_context<D: fmt::Display>(self, text: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| {
            let mut error = error.into();
            error.context.push(in_one_line(&text().to_string()));
            error
        })
    }
}

/// Libraries wrap their messages; what else controls a terminal comes from a name in them.
fn in_one_line(text: &str) -> String {
    one_line(&text.replace('\n', " "))
}

/// Writes a line, or several, to stdout, with control characters as JSON escapes them. A reader that has gone, such as `head`,
/// is not an error.
///
/// # Errors
/// Returns an error if stdout cannot be written, on a full disk for instance.
pub fn print(line: &str) -> Result<()> {
    let lines: Vec<String> = line.split('\n').map(one_line).collect();
    match writeln!(io::stdout(), "{}", lines.join("\n")) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("cannot write to stdout"),
        _ => Ok(()),
    }
}

/// Runs a program's body. An error becomes one line on stderr and its kind's exit code; a panic, which has reported itself,
/// becomes [`FAILED`].
pub fn finish(body: impl FnOnce() -> Result<()>) -> ExitCode {
    let result = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(_) => return FAILED.into(),
    };
    match result {
        Ok(()) => DONE.into(),
        Err(error) => {
            tell(format_args!("error: {error}"));
            error.kind().exit_code().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    impl Classify for Outer {
        fn kind(&self) -> ErrorKind {
            Classify::kind(&self.0)
        }
    }

    #[test]
    fn a_wrong_path_is_bad_input() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |error: io::Error| Classify::kind(&error);
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let is_there = std::fs::create_dir(&file).unwrap_err();
        let too_long = std::fs::write(folder.path().join("x".repeat(300)), "").unwrap_err();
        let below_a_file = std::fs::write(file.join("below"), "").unwrap_err();
        for error in [is_there, too_long, below_a_file] {
            assert_eq!(kind(error), ErrorKind::BadInput);
        }
        #[cfg(unix)]
        {
            let circle = folder.path().join("circle");
            std::os::unix::fs::symlink(&circle, &circle).unwrap();
            assert_eq!(kind(std::fs::read(&circle).unwrap_err()), ErrorKind::BadInput);
        }
        assert_eq!(kind(io::ErrorKind::BrokenPipe.into()), ErrorKind::Failure);
    }

    #[test]
    fn one_line_has_context_and_causes_and_the_kind_is_kept() {
        let disk = || Outer(io::Error::new(io::ErrorKind::StorageFull, "no\nspace"));
        let error = Err::<(), _>(disk()).context("writing").with_context(|| "export").unwrap_err();
        assert_eq!(error.to_string(), "export: writing: outer: no space");
        let named = Err::<(), _>(disk()).context("a\x1b[31m\n.png").unwrap_err();
        assert_eq!(named.to_string(), "a\\u001b[31m .png: outer: no space");
        assert_eq!(error.kind(), ErrorKind::BadInput);
        assert_eq!(Error::from(Outer(io::Error::other("bug"))).kind().exit_code(), FAILED);
    }
}
