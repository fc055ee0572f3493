//! Exit codes of the programs, and which error means which.

use std::io::{self, Write};

use anyhow::Context;

use crate::engine::EngineError;
use crate::selftest::SelfTestError;

/// Done.
pub const DONE: u8 = 0;
/// Failed: a check did not hold, a run was interrupted, a program error.
pub const FAILED: u8 = 1;
/// Bad usage or bad input from outside: flags, files, bundles, a full disk.
pub const BAD_INPUT: u8 = 2;

/// An error that the person at the terminal can mend: its message says how, and the program ends with [`BAD_INPUT`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

/// The exit code for an error: [`BAD_INPUT`] where anything in its chain is bad input, else [`FAILED`].
pub fn code(error: &anyhow::Error) -> u8 {
    let bad = error.chain().any(|cause| {
        cause.is::<BadInput>()
            || cause.is::<crate::BundleError>()
            || cause.is::<crate::board::BoardError>()
            || cause.is::<crate::PictureError>()
            || matches!(cause.downcast_ref(), Some(SelfTestError::Damaged(_)))
            || cause.is::<crate::detect::DetectError>()
            || cause.is::<crate::journal::JournalError>()
            || cause.is::<crate::telemetry::TelemetryError>()
            || cause.is::<crate::camera::CameraError>()
            || matches!(cause.downcast_ref(), Some(EngineError::Graph { .. }))
            || cause.downcast_ref::<io::Error>().is_some_and(|error| is_outside(error.kind()))
    });
    if bad { BAD_INPUT } else { FAILED }
}

/// Whether an input or output error comes from what the user named or from the state of a disk.
fn is_outside(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::*;
    matches!(
        kind,
        NotFound
            | PermissionDenied
            | StorageFull
            | QuotaExceeded
            | FileTooLarge
            | ReadOnlyFilesystem
            | IsADirectory
            | NotADirectory
            | InvalidData
            | UnexpectedEof
    )
}

/// The whole chain of an error on one line.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string().replace('\n', " ");
        // `thiserror` sources often repeat what the outer message says already.
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// Writes a line to stdout. A reader that has gone, such as `head`, is no error.
///
/// # Errors
/// Of the system, a full disk for instance.
pub fn print(line: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("cannot write to stdout"),
        _ => Ok(()),
    }
}

/// Runs a program's body: errors become one line on stderr and the exit code of [`code`]; a panic, which has said its own,
/// that of [`FAILED`].
pub fn finish(body: impl FnOnce() -> anyhow::Result<()>) -> std::process::ExitCode {
    let result = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(_) => return FAILED.into(),
    };
    match result {
        Ok(()) => DONE.into(),
        Err(error) => {
            eprintln!("error: {}", one_line(&error));
            code(&error).into()
        }
    }
}
