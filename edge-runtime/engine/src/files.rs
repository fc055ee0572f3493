//! Writing files so that a reader finds the old content, the new content or nothing, but never half of either.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// How the names of files begin that are not whole yet.
pub const UNFINISHED: &str = ".writing-";

/// Writes a file. A regular file is replaced as a whole: it is written under another name beside its place, synced and
/// renamed. It keeps the mode of the old file; a new one gets what the umask leaves of 0666. A symbolic link stays, and the file
/// it points to is replaced. Everything else, such as `/dev/null`, `/dev/stdout`
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

/// Writes bytes as [`write_atomic`] does, but refuses everything that is not a regular file, so that no pipe is waited for.
///
/// # Errors
/// Returns the errors of [`write_atomic`], and one of the kind `InvalidInput` if there is something else than a regular file.
pub fn write_regular(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let written = match destination(path) {
        Ok(Destination::File(file)) => replace(&file, |file| file.write_all(bytes)),
        Ok(Destination::Stream) => Err(not_regular(path.is_dir())),
        Err(error) => Err(error),
    };
    written.map_err(|error| with_path(error, "write", path))
}

/// Refuses an output that is one of the files that are read, under whatever name: to write it would destroy what is read. An
/// input may be missing, such as the `-wal` file beside a journal. An output that is a database, such as another journal, is
/// refused too: none of our outputs is one, and a journal cannot be made again.
///
/// # Errors
/// Returns an error of the kind `InvalidInput` that names the two.
pub fn refuse_overwriting(output: &Path, inputs: impl IntoIterator<Item = impl AsRef<Path>>) -> io::Result<()> {
    match inputs.into_iter().find(|input| is_same_file(output, input.as_ref())) {
        Some(input) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "cannot write {}: it would overwrite the input {}; name another file",
                output.display(),
                input.as_ref().display()
            ),
        )),
        None if is_database(output) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("cannot write {}: it is a SQLite database, a journal perhaps; name another file", output.display()),
        )),
        None => Ok(()),
    }
}

/// Whether a file begins as SQLite's do.
fn is_database(path: &Path) -> bool {
    let mut head = [0; 16];
    open_regular(path).and_then(|mut file| file.read_exact(&mut head)).is_ok() && head == *b"SQLite format 3\0"
}

/// Whether two paths lead to one regular file, through symbolic or hard links too, or will do so once it exists.
fn is_same_file(one: &Path, other: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(first), Ok(second)) => first.is_file() && second.is_file() && is_same_inode(one, &first, other, &second),
        (Err(_), Err(_)) => place(one).is_some_and(|place_of_one| place(other) == Some(place_of_one)),
        _ => false,
    }
}

#[cfg(unix)]
fn is_same_inode(_: &Path, first: &fs::Metadata, _: &Path, second: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (first.dev(), first.ino()) == (second.dev(), second.ino())
}

#[cfg(not(unix))]
fn is_same_inode(one: &Path, _: &fs::Metadata, other: &Path, _: &fs::Metadata) -> bool {
    fs::canonicalize(one).is_ok_and(|one| fs::canonicalize(other).is_ok_and(|other| one == other))
}

/// Whether a path leads to something that [`write_atomic`] opens and writes to, such as `/dev/stdout`, and does not replace.
pub fn is_stream(path: &Path) -> bool {
    matches!(destination(path), Ok(Destination::Stream))
}

/// Returns the path at the end of all links of `path`, under which a regular file lies or would be made; `None` if a device or a
/// pipe is there, or if the links lead in a circle.
pub fn end_of_links(path: &Path) -> Option<PathBuf> {
    match destination(path).ok()? {
        Destination::File(file) => Some(file),
        Destination::Stream => None,
    }
}

/// Where a file that does not exist yet will lie.
fn place(path: &Path) -> Option<PathBuf> {
    let file = end_of_links(path)?;
    Some(fs::canonicalize(folder_of(&file)).ok()?.join(file.file_name()?))
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

/// Returns the folder that a file lies in: `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn replace(path: &Path, write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> io::Result<()> {
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED);
    // A temporary file is for its owner alone, but a new file is for whom the umask lets read it.
    let old = fs::metadata(path).ok().map(|metadata| metadata.permissions());
    #[cfg(unix)]
    if old.is_none() {
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    }
    let mut temporary = builder.tempfile_in(folder)?;
    write_buffered(temporary.as_file_mut(), write)?;
    if let Some(old) = old {
        temporary.as_file().set_permissions(old)?;
    }
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

/// Writes bytes as [`write_atomic`] does.
///
/// # Errors
/// Returns the errors of [`write_atomic`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_atomic(path, |file| file.write_all(bytes))
}

/// Reads a whole regular file. Anything else, such as a named pipe or a device without an end, is not opened.
///
/// # Errors
/// Returns an error of the kind `InvalidInput` if it is not a regular file, and that of its cause if it cannot be read, with
/// the path in its message.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let read = || {
        let mut bytes = Vec::new();
        open_regular(path)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|error| with_path(error, "read", path))
}

/// Opens a regular file for reading. Anything else, such as a named pipe that nobody writes to, is refused and never waited for.
///
/// # Errors
/// Returns an error of the kind `InvalidInput` if it is not a regular file, and that of its cause if it cannot be opened.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let check = |metadata: fs::Metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(not_regular(metadata.is_dir())),
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

fn not_regular(is_folder: bool) -> io::Error {
    let what = if is_folder { "a folder, not a regular file" } else { "not a regular file" };
    io::Error::new(io::ErrorKind::InvalidInput, what)
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
        fn a_file_keeps_its_mode_and_a_new_one_obeys_the_umask() {
            use std::os::unix::fs::PermissionsExt;
            let folder = tempfile::tempdir().unwrap();
            let [new, plain] = ["new", "plain"].map(|name| folder.path().join(name));
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
            write_bytes(&new, b"first").unwrap();
            // What the standard library creates obeys the umask.
            File::create(&plain).unwrap();
            assert_eq!(mode(&new), mode(&plain));
            for kept in [0o600, 0o640, 0o664] {
                fs::set_permissions(&new, fs::Permissions::from_mode(kept)).unwrap();
                write_bytes(&new, b"second").unwrap();
                assert_eq!(mode(&new), kept);
            }
        }

        #[test]
        fn an_output_that_is_an_input_is_refused_under_each_of_its_names() {
            let folder = tempfile::tempdir().unwrap();
            let [input, link, hard, missing, other] =
                ["input", "link", "hard", "input-wal", "other"].map(|name| folder.path().join(name));
            fs::write(&input, "kept").unwrap();
            symlink("input", &link).unwrap();
            fs::hard_link(&input, &hard).unwrap();
            let longer = folder.path().join(".").join("..").join(folder.path().file_name().unwrap()).join("input");
            for output in [&input, &link, &hard, &longer] {
                let error = refuse_overwriting(output, [&missing, &input]).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
                assert!(error.to_string().contains("would overwrite the input"), "{error}");
            }
            assert!(refuse_overwriting(&missing, [&input, &missing]).is_err(), "neither exists");
            assert!(refuse_overwriting(&other, [&input, &missing]).is_ok());
            assert!(refuse_overwriting(Path::new("/dev/null"), [Path::new("/dev/null")]).is_ok());
        }

        #[test]
        fn a_pipe_is_refused_where_only_a_regular_file_is_written() {
            let folder = tempfile::tempdir().unwrap();
            let [pipe, file] = ["pipe", "file"].map(|name| folder.path().join(name));
            assert!(succeeds("mkfifo", &[pipe.to_str().unwrap()]));
            assert_eq!(write_regular(&pipe, b"x").unwrap_err().kind(), io::ErrorKind::InvalidInput);
            assert_eq!(read(&pipe).unwrap_err().kind(), io::ErrorKind::InvalidInput);
            write_regular(&file, b"x").unwrap();
            assert_eq!(read(&file).unwrap(), b"x");
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
            assert!(read(folder.path()).unwrap_err().to_string().ends_with(": a folder, not a regular file"));
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
