//! Where the commands write to.

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use expression_engine::error::{Context, Result};
use expression_engine::files;

/// Writes what is read from a journal to a file as [`write_file`] does, or to stdout if there is none or it is `-`.
///
/// # Errors
/// Returns the error of `write`, or an error if the output cannot be written or is the journal itself.
pub fn write_output(
    output: Option<&Path>,
    journal: &Path,
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<()>,
) -> Result<()> {
    match output.filter(|path| !is_stdout(path)) {
        Some(path) => {
            files::refuse_overwriting(path, files_of(journal))?;
            write_file(path, write)
        }
        None => {
            let mut out = BufWriter::new(io::stdout());
            to_stdout(write(&mut out).and_then(|()| Ok(out.flush()?)))
        }
    }
}

/// Whether a path stands for stdout.
pub fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// The files of a journal: it and those that SQLite keeps beside it.
pub fn files_of(journal: &Path) -> [PathBuf; 4] {
    ["", "-wal", "-shm", "-journal"].map(|ending| {
        let mut path = OsString::from(journal);
        path.push(ending);
        path.into()
    })
}

/// Writes a file, whole or not at all if it is a regular one, and keeps the error of `write`.
///
/// # Errors
/// Returns the error of `write`, or an error if the file cannot be written.
fn write_file(path: &Path, write: impl FnOnce(&mut (dyn Write + Send)) -> Result<()>) -> Result<()> {
    let mut own = None;
    let written = files::write_atomic(path, |file| {
        write(file).map_err(|error| {
            let kind = error.downcast_ref::<io::Error>().map_or(io::ErrorKind::Other, io::Error::kind);
            own = Some(error);
            kind.into()
        })
    });
    match own {
        // What could not be read is said by its own message.
        Some(error) if error.downcast_ref::<io::Error>().is_some() => {
            Err(error).with_context(|| format!("cannot write {}", path.display()))
        }
        Some(error) => Err(error),
        None => Ok(written?),
    }
}

/// Says that stdout could not be written, unless its reader has gone, such as `head`: that is success.
///
/// # Errors
/// Returns every other error.
pub fn to_stdout(result: Result<()>) -> Result<()> {
    match result {
        Err(error) => match error.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::BrokenPipe) => Ok(()),
            Some(_) => Err(error).context("cannot write to stdout"),
            None => Err(error),
        },
        Ok(()) => Ok(()),
    }
}
