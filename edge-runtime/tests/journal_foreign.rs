//! A journal's path that holds somebody else's file: refused, and left as it was to the byte.

mod journal_common;

use std::fs;
use std::path::{Path, PathBuf};

use edge_runtime::journal::{JournalError, Reader, Writer};
use journal_common::*;
use rusqlite::Connection;

/// Everything in a folder, by name.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        // What any reader of a database in WAL mode leaves beside it.
        .filter(|path| !path.to_string_lossy().ends_with("-shm"))
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[track_caller]
fn is_refused(folder: &Path, what: &str) {
    let before = contents(folder);
    let error = Writer::open(&folder.join("journal"), config(), session()).err().unwrap_or_else(|| panic!("{what}"));
    assert!(matches!(error, JournalError::Foreign(_)), "{what}: {error}");
    assert!(error.to_string().contains("give another path"), "{error}");
    let read = Reader::open(&folder.join("journal")).err();
    assert!(matches!(read, Some(JournalError::Foreign(_))), "{what}: {read:?}");
    let after: Vec<_> = contents(folder).into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
    assert!(after == before, "{what}: something was written");
}

#[test]
fn files_that_are_not_sqlite_are_refused() {
    let files: [(&str, &[u8]); 6] = [
        ("a configuration", b"my configuration\n"),
        ("one byte", b"x"),
        ("a line break", b"\n"),
        ("a picture", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        ("a cut header", b"SQLite form"),
        ("a long text", &[b'a'; 300_000]),
    ];
    for (what, bytes) in files {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("journal"), bytes).unwrap();
        is_refused(folder.path(), what);
    }
}

#[test]
fn databases_of_other_programs_are_refused_with_all_their_settings() {
    for settings in [
        "",
        "PRAGMA auto_vacuum = FULL;",
        "PRAGMA auto_vacuum = INCREMENTAL;",
        "PRAGMA journal_mode = WAL;",
        "PRAGMA page_size = 8192;",
        "PRAGMA application_id = 77;",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let conn = Connection::open(folder.path().join("journal")).unwrap();
        conn.execute_batch(&format!("{settings} CREATE TABLE mine (x); INSERT INTO mine VALUES (1), (2);")).unwrap();
        drop(conn);
        is_refused(folder.path(), settings);
    }
}

#[test]
fn an_empty_file_and_one_of_zeros_become_journals() {
    for (bytes, moved) in [(0, false), (5000, true)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        fs::write(&path, vec![0; bytes]).unwrap();
        let writer = open(&path, config());
        writer.observe(&observation(0, 1));
        writer.close("test").unwrap();
        assert_eq!(damage(&path), [""; 0]);
        assert_eq!(folder.path().join("journal.damaged-1").exists(), moved, "{bytes} zeros");
    }
}

#[test]
fn a_pipe_or_a_device_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    for path in [path.as_path(), Path::new("/dev/null")] {
        let error = Writer::open(path, config(), session()).err().unwrap();
        assert!(matches!(error, JournalError::Foreign(_)), "{error}");
        let error = Reader::open(path).err().unwrap();
        assert!(matches!(error, JournalError::Foreign(_)), "{error}");
    }
}

/// The first program that wrote to the file was killed between its first page and its first table.
#[test]
fn a_file_that_was_cut_off_while_it_was_made_becomes_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let made = Connection::open(&path).unwrap();
    made.execute_batch("PRAGMA page_size = 1024; CREATE TABLE other (x); DROP TABLE other; VACUUM").unwrap();
    drop(made);
    assert_eq!(fs::metadata(&path).unwrap().len(), 1024);
    // The head of a rollback journal: no record, and no page in the file before; sectors of 512 bytes, pages of 1,024.
    let mut rollback = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7".to_vec();
    for number in [0, 0x7c9a_9315, 0, 512, 1024_u32] {
        rollback.extend(number.to_be_bytes());
    }
    rollback.resize(512, 0);
    fs::write(folder.path().join("journal-journal"), rollback).unwrap();

    let writer = open(&path, config());
    writer.observe(&observation(0, 1));
    assert!(writer.flush(PATIENCE), "it waits for ever");
    writer.close("test").unwrap();
    assert_eq!(damage(&path), [""; 0]);
    assert!(!folder.path().join("journal.damaged-1").exists());
}
