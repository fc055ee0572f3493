//! Errors and the exit codes that they lead to.

use std::fmt;
use std::process::ExitCode;

use anyhow::Result;

/// Bad usage, bad input or a machine that lacks something. The message says what to do.
#[derive(Debug)]
struct BadInput(String);

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadInput {}

/// Returns an error that ends the program with exit code 2.
pub fn bad_input(message: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(BadInput(message.into()))
}

/// Returns the exit code for an error: 2 for bad usage, bad input and a full disk, otherwise 1.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let outside = error.chain().any(|cause| {
        cause.is::<BadInput>()
            || cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull)
    });
    if outside { 2 } else { 1 }
}

/// Ends a program: prints the error, if any, to stderr and returns the exit code.
pub fn finish(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}
