//! Why something on a board did not succeed, and how far it came.

use super::news::Step;
use crate::error::Error;

/// Why something on a board did not succeed.
#[derive(Debug)]
pub struct Failure {
    /// The board, as ssh knows it.
    pub host: String,
    /// How far it came.
    pub at: Step,
    /// What broke.
    pub cause: Cause,
    /// One line that says what is wrong and what to do.
    pub reason: String,
}

/// What broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The board answered that whoever asks must mend something.
    Refused,
    /// The board tried and failed.
    Failed,
    /// The connection could not be made, was lost, or was given up because nothing more was heard.
    Lost,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        let line = format!("{}: {}", failure.host, failure.reason);
        if failure.cause == Cause::Refused { Error::BadInput(line) } else { Error::Failed(line) }
    }
}
