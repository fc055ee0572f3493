//! Where the commands write to.

use std::io::{self, Write};
use std::path::Path;

use expression_engine::error::{Context, Result};
use expression_engine::files;

/// Writes a file, whole or not at all if it is a regular one, and keeps the error of `write`.
///
/// # Errors
/// Returns the error of `write`, or an error if the file cannot be written.
pub fn write_file(path: &Path, write: impl FnOnce(&mut (dyn Write + Send)) -> Result<()>) -> Result<()> {
    let mut own = None;
    let written = files::write_atomic(path, |file| {
        write(file).map_err(|error| {
            let kind = error.downcast_ref::<io::Error>().map_or(io::ErrorKind::Other, io::Error::kind);
            own = Some(error);
            kind.into()
        })
    });
    match own {
        Some(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
        None => Ok(written?),
    }
}

/// Turns the error of a reader that has gone, such as `head`, into success.
///
/// # Errors
/// Returns every other error.
pub fn ignore_broken_pipe(result: Result<()>) -> Result<()> {
    match result {
        Err(error)
            if error.downcast_ref::<io::Error>().is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe) =>
        {
            Ok(())
        }
        other => other,
    }
}
