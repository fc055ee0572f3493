//! Moves a damaged journal out of the way without losing any of it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// How the names of a journal's files end. The log comes first: a file without its log is whole, a log beside a new file would be
/// replayed into it.
const SUFFIXES: [&str; 4] = ["-wal", "-shm", "-journal", ""];

/// The path of a file that SQLite keeps beside a database, such as `-wal`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Renames a journal to the first free `PATH.damaged-N`, and the logs beside it likewise, so that tools may still recover from
/// all of them. The file itself may be gone. If the path is a link, the link stays and the file that it leads to is renamed in its
/// own folder, where SQLite keeps the log.
///
/// # Errors
/// Returns an error if a file cannot be renamed, if there is none, or if 99 damaged journals lie there already.
pub(super) fn quarantine(path: &Path) -> io::Result<PathBuf> {
    let path = &if path.is_symlink() { path.canonicalize()? } else { path.to_owned() };
    let free = |number: &u32| {
        let candidate = beside(path, &format!(".damaged-{number}"));
        SUFFIXES.iter().all(|suffix| beside(&candidate, suffix).symlink_metadata().is_err()).then_some(candidate)
    };
    let target = (1..=99).find_map(|number| free(&number)).ok_or_else(|| {
        io::Error::new(io::ErrorKind::AlreadyExists, "99 damaged journals lie beside it; remove some of them")
    })?;
    let mut is_moved = false;
    for suffix in SUFFIXES {
        match std::fs::rename(beside(path, suffix), beside(&target, suffix)) {
            Ok(()) => is_moved = true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    if !is_moved {
        return Err(io::ErrorKind::NotFound.into());
    }
    sync_folder(path)?;
    Ok(target)
}

/// Makes sure that the names in a file's folder survive a power cut.
///
/// # Errors
/// Returns an error if the folder cannot be opened or synced.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_damaged_journal_gets_a_name_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        for number in 1..4 {
            std::fs::write(&path, format!("{number}")).unwrap();
            std::fs::write(beside(&path, "-wal"), "log").unwrap();
            std::fs::write(beside(&path, "-journal"), "rollback").unwrap();
            let target = quarantine(&path).unwrap();
            assert_eq!(target, folder.path().join(format!("journal.damaged-{number}")));
            assert_eq!(std::fs::read_to_string(&target).unwrap(), format!("{number}"));
            for suffix in ["-wal", "-journal"] {
                assert!(beside(&target, suffix).exists() && !path.exists() && !beside(&path, suffix).exists());
            }
        }
        assert!(quarantine(&path).is_err());
        // The log of a file that was deleted, which gets no other log's name.
        for number in 4..6 {
            std::fs::write(beside(&path, "-wal"), format!("{number}")).unwrap();
            let target = quarantine(&path).unwrap();
            assert_eq!(target, folder.path().join(format!("journal.damaged-{number}")));
            assert_eq!(std::fs::read_to_string(beside(&target, "-wal")).unwrap(), format!("{number}"));
        }
    }

    #[test]
    fn a_link_stays_and_its_file_is_moved() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().canonicalize().unwrap().join("real"), folder.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        let file = real.join("journal");
        std::fs::write(&file, "damaged").unwrap();
        std::fs::write(beside(&file, "-wal"), "log").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(quarantine(&link).unwrap(), real.join("journal.damaged-1"));
        assert!(link.is_symlink() && !file.exists() && !beside(&file, "-wal").exists());
        assert!(real.join("journal.damaged-1-wal").exists());
    }
}
