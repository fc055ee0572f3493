//! Writing files so that a reader finds the old content, the new content or nothing, but never half of either.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// How the names of files begin that are not whole yet.
pub const UNFINISHED: &str = ".writing-";

/// Writes a file. A regular file is replaced as a whole: it is written under another name beside its place, synced and
/// renamed. A symbolic link stays, and the file it points to is replaced. Everything else, such as `/dev/null`, `/dev/stdout`
/// or a named pipe, is opened and written to.
///
/// # Errors
/// Returns an error if the file cannot be written, with the path in its message and the kind of its cause. A regular file
/// keeps its old content then, and nothing else is left behind.
pub fn write_atomic(path: &Path, write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> io::Result<()> {
    let written = match destination(path) {
        Ok(Destination::File(file)) => replace(&file, write),
        Ok(Destination::Stream) => write_through(path, write),
        Err(error) => Err(error),
    };
    written.map_err(|error| with_path(error, "write", path))
}

/// Puts the home folder in place of a leading `~`: behind a colon, as in `dir:~/pictures`, no shell does.
pub fn from_home(path: &str) -> String {
    match (path.strip_prefix('~'), std::env::var("HOME")) {
        (Some(rest), Ok(home)) if rest.is_empty() || rest.starts_with('/') => home + rest,
        _ => path.to_owned(),
    }
}

/// What a path leads to.
enum Destination {
    /// A regular file, which may not exist yet, under the path at the end of all links.
    File(PathBuf),
    /// Something that must not be replaced: a device, a pipe, an open file.
    Stream,
}

fn destination(path: &Path) -> io::Result<Destination> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && !is_open_file(path) => Ok(Destination::File(fs::canonicalize(path)?)),
        Ok(_) => Ok(Destination::Stream),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::read_link(path) {
            // A link to a file that is not there yet. A circle of links is another error, so this ends.
            Ok(target) => destination(&folder_of(path).join(target)),
            Err(_) => Ok(Destination::File(path.to_owned())),
        },
        Err(error) => Err(error),
    }
}

/// Whether the path stands for a file that a process has open. To replace such a file would take it away from the process.
fn is_open_file(path: &Path) -> bool {
    ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc"].iter().any(|open| path.starts_with(open))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn replace(path: &Path, write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> io::Result<()> {
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    let mut temporary = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
    write_buffered(temporary.as_file_mut(), write)?;
    set_ordinary_permissions(temporary.as_file())?;
    temporary.as_file().sync_all()?;
    temporary.persist(path)?;
    Ok(())
}

fn write_through(path: &Path, write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> io::Result<()> {
    // To append changes nothing for a device or a pipe, and keeps what `>> file` has before `/dev/stdout`.
    write_buffered(&mut OpenOptions::new().append(true).open(path)?, write)
}

fn write_buffered(file: &mut File, write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> io::Result<()> {
    let mut buffered = io::BufWriter::new(file);
    write(&mut buffered)?;
    buffered.flush()
}

/// Lets everybody read a file. A temporary file is created for its owner alone, but a report or a bundle is for others too.
fn set_ordinary_permissions(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    let _ = file;
    Ok(())
}

/// Writes bytes as [`write_atomic`] does.
///
/// # Errors
/// Returns the errors of [`write_atomic`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_atomic(path, |file| file.write_all(bytes))
}

/// Reads a whole file.
///
/// # Errors
/// Returns an error if the file cannot be read, with the path in its message and the kind of its cause.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path).map_err(|error| with_path(error, "read", path))
}

/// Opens a regular file for reading. Anything else, such as a named pipe that nobody writes to, is refused and never waited for.
///
/// # Errors
/// Returns an error of the kind `InvalidInput` if it is not a regular file, and that of its cause if it cannot be opened.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let check = |metadata: fs::Metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    };
    // Opening a device may do something; a pipe may take the file's place between the look and the opening.
    check(fs::metadata(path)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.open(path)?;
    check(file.metadata()?)?;
    Ok(file)
}

/// Reads a whole regular file of at most `max` bytes. Anything else, such as a named pipe, is not opened.
///
/// # Errors
/// Returns an error of the kind `FileTooLarge` if the file is larger, of the kind `InvalidInput` if it is not a regular file, and
/// that of its cause if it cannot be read, with the path in its message.
pub fn read_at_most(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {max} bytes"));
    let read = || {
        let file = open_regular(path)?;
        // Refused before a byte is read; files of `/proc` have no length beforehand.
        if file.metadata()?.len() > max {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max { Err(too_large()) } else { Ok(bytes) }
    };
    read().map_err(|error| with_path(error, "read", path))
}

/// Reads a whole text in UTF-8 of at most `max` bytes.
///
/// # Errors
/// Returns the errors of [`read_at_most`], and one of the kind `InvalidData` if the file is not text.
pub fn read_text(path: &Path, max: u64) -> io::Result<String> {
    let text = String::from_utf8(read_at_most(path, max)?);
    text.map_err(|_| with_path(io::Error::new(io::ErrorKind::InvalidData, "not text in UTF-8"), "read", path))
}

fn with_path(error: io::Error, verb: &str, path: &Path) -> io::Error {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space on the disk and run again",
        _ => "",
    };
    io::Error::new(error.kind(), format!("cannot {verb} {}: {error}{advice}", path.display()))
}

/// Returns the SHA-256 of bytes in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
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

    #[test]
    fn a_hash_is_written_in_lower_case() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b""), empty);
    }

    #[test]
    fn only_names_of_open_files_are_never_replaced() {
        let open = |path: &str| is_open_file(Path::new(path));
        assert!(["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].into_iter().all(open));
        assert!(!["/dev/shm/faces.csv", "faces.csv", "dev/stdout"].into_iter().any(open));
    }

    #[cfg(unix)]
    mod special {
        use std::os::unix::fs::{FileTypeExt, symlink};
        use std::process::Command;

        use super::*;

        fn succeeds(program: &str, arguments: &[&str]) -> bool {
            Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
        }

        #[test]
        fn a_symbolic_link_stays_and_its_file_is_replaced_whole() {
            let folder = tempfile::tempdir().unwrap();
            let [link, target] = ["link", "target"].map(|name| folder.path().join(name));
            symlink("target", &link).unwrap();
            // The file is not there yet.
            write_bytes(&link, b"first").unwrap();
            assert_eq!(fs::read(&target).unwrap(), b"first");
            write_bytes(&link, b"second").unwrap();
            let failed = write_atomic(&link, |file| {
                file.write_all(b"th")?;
                Err(io::ErrorKind::StorageFull.into())
            });
            assert!(failed.is_err());
            assert_eq!(fs::read(&target).unwrap(), b"second");
            assert_eq!(fs::read_link(&link).unwrap(), Path::new("target"));
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        }

        #[test]
        fn a_circle_of_links_is_an_error() {
            let folder = tempfile::tempdir().unwrap();
            let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
            symlink(&two, &one).unwrap();
            symlink(&one, &two).unwrap();
            assert!(write_bytes(&one, b"x").unwrap_err().to_string().starts_with("cannot write "));
            assert!(one.is_symlink() && two.is_symlink());
        }

        #[test]
        fn a_named_pipe_is_written_to() {
            let folder = tempfile::tempdir().unwrap();
            let pipe = folder.path().join("pipe");
            assert!(succeeds("mkfifo", &[pipe.to_str().unwrap()]));
            let reader = std::thread::spawn({
                let pipe = pipe.clone();
                move || fs::read(pipe).unwrap()
            });
            write_bytes(&pipe, b"through").unwrap();
            assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
            assert_eq!(reader.join().unwrap(), b"through");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }

        #[test]
        fn only_a_regular_file_is_read_and_a_pipe_is_not_waited_for() {
            let folder = tempfile::tempdir().unwrap();
            let [pipe, link, file] = ["pipe", "link", "file"].map(|name| folder.path().join(name));
            assert!(succeeds("mkfifo", &[pipe.to_str().unwrap()]));
            symlink(&pipe, &link).unwrap();
            for path in [pipe.as_path(), &link, folder.path()] {
                assert_eq!(open_regular(path).unwrap_err().kind(), io::ErrorKind::InvalidInput);
                assert!(read_at_most(path, 10).unwrap_err().to_string().ends_with("not a regular file"));
            }
            write_bytes(&file, b"content").unwrap();
            assert_eq!(read_at_most(&file, 10).unwrap(), b"content");
        }

        #[test]
        fn a_device_is_written_to() {
            let folder = tempfile::tempdir().unwrap();
            let null = folder.path().join("null");
            let made = succeeds("mknod", &[null.to_str().unwrap(), "c", "1", "3"]);
            if !made || OpenOptions::new().append(true).open(&null).is_err() {
                eprintln!("skipped: only root can make a device file, and only where the file system allows devices");
                return;
            }
            write_bytes(&null, b"gone").unwrap();
            assert!(fs::symlink_metadata(&null).unwrap().file_type().is_char_device());
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }
}
