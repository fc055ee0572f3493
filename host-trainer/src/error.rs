//! What can go wrong in this library, and who can mend it.

use std::fmt::Display;
use std::io;

use expression_engine::error::{Classify, ErrorKind};

use crate::interrupt::Interrupted;

/// The result of whatever this library does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this library. It displays as one line that says what is wrong and, if the user can mend it, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The user can mend it: a flag, a file or a data set is not as it must be.
    #[error("{0}")]
    BadInput(String),
    /// A check did not hold, or a machine at the other end failed.
    #[error("{0}")]
    Failed(String),
    /// What was being done when another error arose.
    #[error("{context}: {cause}")]
    During {
        /// What was being done.
        context: String,
        /// The error.
        #[source]
        cause: Box<Error>,
    },
    /// Ctrl-C or SIGTERM.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The file system.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// libtorch.
    #[error(transparent)]
    Torch(#[from] tch::TchError),
    /// A tensor that does not become a vector of numbers.
    #[error("cannot convert a tensor: {0}")]
    Tensor(String),
    /// A bundle.
    #[error(transparent)]
    Bundle(#[from] expression_engine::BundleError),
    /// A signature or a public key.
    #[error(transparent)]
    Trust(#[from] expression_engine::trust::TrustError),
    /// A secret key.
    #[error(transparent)]
    Signing(#[from] expression_signing::SigningError),
    /// A picture.
    #[error(transparent)]
    Picture(#[from] expression_engine::PictureError),
    /// The edge engine.
    #[error(transparent)]
    Engine(#[from] expression_engine::EngineError),
    /// A bundle's self-test.
    #[error(transparent)]
    SelfTest(#[from] expression_engine::selftest::SelfTestError),
    /// The face detector.
    #[error(transparent)]
    Detector(#[from] expression_engine::detector::DetectError),
    /// Standard output.
    #[error(transparent)]
    Output(#[from] expression_engine::Error),
    /// JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A configuration or manifest that cannot be written as TOML.
    #[error(transparent)]
    Toml(#[from] toml::ser::Error),
    /// CSV.
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// Safetensors.
    #[error(transparent)]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// A picture that cannot be encoded.
    #[error(transparent)]
    Image(#[from] image::ImageError),
}

impl From<std::fmt::Error> for Error {
    fn from(error: std::fmt::Error) -> Error {
        Error::Failed(error.to_string())
    }
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Error::BadInput(_) => ErrorKind::BadInput,
            Error::During { cause, .. } => cause.kind(),
            Error::Io(error) => Classify::kind(error),
            Error::Bundle(error) => error.kind(),
            Error::Trust(error) => error.kind(),
            Error::Signing(expression_signing::SigningError::Failed(_)) => ErrorKind::Failure,
            Error::Signing(_) => ErrorKind::BadInput,
            Error::Picture(error) => error.kind(),
            Error::Engine(error) => error.kind(),
            Error::SelfTest(error) => error.kind(),
            Error::Detector(error) => error.kind(),
            Error::Output(error) => error.kind(),
            Error::Image(image::ImageError::IoError(error)) => Classify::kind(error),
            Error::Csv(error) => match error.kind() {
                csv::ErrorKind::Io(error) => Classify::kind(error),
                _ => ErrorKind::BadInput,
            },
            Error::Failed(_)
            | Error::Interrupted(_)
            | Error::Torch(_)
            | Error::Tensor(_)
            | Error::Json(_)
            | Error::Toml(_)
            | Error::Safetensors(_)
            | Error::Image(_) => ErrorKind::Failure,
        }
    }
}

/// Adds to an error what was being done when it arose, or turns a missing value into one.
pub trait Context<T> {
    /// Puts a text in front of the error.
    ///
    /// # Errors
    /// Returns the error that was there, with the text in front.
    fn context(self, text: impl Display) -> Result<T>;

    /// Puts a text in front of the error; the text is made only if there is an error.
    ///
    /// # Errors
    /// Returns the error that was there, with the text in front.
    fn with_context<D: Display>(self, text: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, text: impl Display) -> Result<T> {
        self.with_context(|| text)
    }

    fn with_context<D: Display>(self, text: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| Error::During { context: text().to_string(), cause: Box::new(error.into()) })
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, text: impl Display) -> Result<T> {
        self.with_context(|| text)
    }

    fn with_context<D: Display>(self, text: impl FnOnce() -> D) -> Result<T> {
        self.ok_or_else(|| Error::Failed(text().to_string()))
    }
}

/// Writes a line to stdout: see [`expression_engine::error::print`].
///
/// # Errors
/// Returns an error if stdout cannot be written.
pub fn print(line: &str) -> Result<()> {
    Ok(expression_engine::error::print(line)?)
}

/// Returns [`Error::Failed`] with a formatted message unless a condition holds.
macro_rules! ensure {
    ($holds:expr, $($message:tt)+) => {
        if $holds {
        } else {
            return Err($crate::error::Error::Failed(format!($($message)+)));
        }
    };
}
pub(crate) use ensure;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_comes_first_and_keeps_the_kind() {
        let full = || io::Error::new(io::ErrorKind::StorageFull, "no space");
        let error = Err::<(), _>(full()).context("writing").with_context(|| "export").unwrap_err();
        assert_eq!(error.to_string(), "export: writing: no space");
        assert_eq!(error.kind(), ErrorKind::BadInput);
        let error = Err::<(), _>(Interrupted).context("stage two").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failure);
    }
}
