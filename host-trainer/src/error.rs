//! Errors of the trainer on their way to the terminal.

use expression_engine::error::{Classify, Error, ErrorKind};

/// An error that the person at the terminal can mend: its message says how.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

/// The kind of an error: bad input if anything in its chain is.
fn kind(error: &anyhow::Error) -> ErrorKind {
    fn of<E: Classify + 'static>(cause: &(dyn std::error::Error + 'static)) -> Option<ErrorKind> {
        cause.downcast_ref::<E>().map(Classify::kind)
    }
    let bad = error.chain().any(|cause| {
        let kind = of::<expression_engine::BundleError>(cause)
            .or_else(|| of::<expression_engine::PictureError>(cause))
            .or_else(|| of::<expression_engine::EngineError>(cause))
            .or_else(|| of::<expression_engine::selftest::SelfTestError>(cause))
            .or_else(|| of::<expression_engine::detector::DetectError>(cause))
            .or_else(|| of::<std::io::Error>(cause))
            .or_else(|| cause.downcast_ref::<Error>().map(Error::kind));
        cause.is::<BadInput>() || kind == Some(ErrorKind::BadInput)
    });
    if bad { ErrorKind::BadInput } else { ErrorKind::Failure }
}

/// The exit code for an error.
pub fn code(error: &anyhow::Error) -> u8 {
    kind(error).exit_code()
}

/// The whole chain of an error on one line.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string().replace('\n', " ");
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// Runs a program's body: see [`expression_engine::error::finish`].
pub fn finish(body: impl FnOnce() -> anyhow::Result<()>) -> std::process::ExitCode {
    expression_engine::error::finish(|| body().map_err(|error| Error::new(kind(&error), one_line(&error))))
}

/// Writes a line to stdout: see [`expression_engine::error::print`].
///
/// # Errors
/// Returns an error if stdout cannot be written.
pub fn print(line: &str) -> anyhow::Result<()> {
    Ok(expression_engine::error::print(line)?)
}
