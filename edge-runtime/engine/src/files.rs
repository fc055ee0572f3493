//! Writing files so that a reader finds either the old one, the new one, or none: never half of one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

/// How the names of files begin that are not whole yet.
pub const UNFINISHED: &str = ".writing-";

/// Writes `path` through a temporary file beside it, synced and renamed into place.
///
/// # Errors
/// Of the file system, with the path in the message and the kind kept; nothing is left behind.
pub fn write_atomic(path: &Path, write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let attempt = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut temporary = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
        {
            let mut buffered = io::BufWriter::new(temporary.as_file_mut());
            write(&mut buffered)?;
            buffered.flush()?;
        }
        set_ordinary_permissions(temporary.as_file())?;
        temporary.as_file().sync_all()?;
        temporary.persist(path)?;
        Ok(())
    };
    attempt().map_err(|error| with_path(error, "write", path))
}

/// Temporary files are born readable by their owner alone; what is written for others to read should not stay so.
fn set_ordinary_permissions(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    let _ = file;
    Ok(())
}

/// [`write_atomic`] of bytes at hand.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_atomic(path, |file| file.write_all(bytes))
}

/// Reads a whole file.
///
/// # Errors
/// Of the file system, with the path in the message and the kind kept.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path).map_err(|error| with_path(error, "read", path))
}

fn with_path(error: io::Error, verb: &str, path: &Path) -> io::Error {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room on the disk and run again",
        _ => "",
    };
    io::Error::new(error.kind(), format!("cannot {verb} {}: {error}{advice}", path.display()))
}

/// The sha256 of bytes, in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_keeps_the_old_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_bytes(&path, b"old").unwrap();
        let failed = write_atomic(&path, |file| {
            file.write_all(b"ne")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
