//! A journal's path that holds somebody else's file: refused, and left as it was to the byte.

mod journal_common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{settings}: a file was left beside it");
    }
}

/// A database of another program, as bytes.
fn database(settings: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(&format!("{settings} CREATE TABLE mine (x); INSERT INTO mine VALUES (zeroblob(9000))")).unwrap();
    drop(conn);
    fs::read(path).unwrap()
}

#[test]
fn damaged_databases_of_other_programs_are_refused() {
    for settings in ["", "PRAGMA page_size = 1024;", "PRAGMA application_id = 77;", "PRAGMA journal_mode = WAL;"] {
        let whole = database(settings);
        let overwritten = |from: usize| [&whole[..from], &vec![0xff; whole.len() - from]].concat();
        for (what, bytes) in [
            ("all but the header overwritten", overwritten(100)),
            ("all but the magic overwritten", overwritten(16)),
            ("cut within the first page", whole[..1000].to_vec()),
            ("cut behind the header", whole[..100].to_vec()),
            ("cut within the header", whole[..70].to_vec()),
            ("the magic", whole[..16].to_vec()),
        ] {
            // Two slashes begin a host in an address.
            for slash in ["", "/"] {
                let folder = tempfile::tempdir().unwrap();
                fs::write(folder.path().join("journal"), &bytes).unwrap();
                let path = format!("{slash}{}", folder.path().display());
                is_refused(Path::new(&path), &format!("{what} {settings} {path}"));
            }
        }
    }
}

#[test]
fn damaged_journals_are_moved_away_whatever_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made");
    let writer = open(&made, config());
    writer.observe(&observation(0, 1));
    writer.close("test").unwrap();
    let whole = fs::read(made).unwrap();
    let overwritten = |from: usize, to: usize| [&whole[..from], &vec![0xff; to - from], &whole[to..]].concat();
    for (what, bytes) in [
        ("all but the header", overwritten(100, whole.len())),
        ("the first page", overwritten(100, 1024)),
        ("the header", overwritten(16, 100)),
        ("the application id and the tables' list", overwritten(60, 1024)),
        ("the end", whole[..1000].to_vec()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        fs::write(&path, &bytes).unwrap();
        open(&path, config()).close("test").unwrap();
        assert_eq!(damage(&path), [""; 0], "{what}");
        assert!(fs::read(folder.path().join("journal.damaged-1")).unwrap() == bytes, "{what}");
    }
}

#[test]
fn the_log_of_a_journal_is_kept_whatever_became_of_its_file() {
    let made = tempfile::tempdir().unwrap();
    let writer = open(&made.path().join("journal"), config());
    writer.observe(&observation(0, 1));
    let has_tables = |bytes: &[u8]| bytes.windows(12).any(|window| window == b"CREATE TABLE");
    let patience = Instant::now() + Duration::from_secs(60);
    let log = loop {
        let log = fs::read(made.path().join("journal-wal")).unwrap_or_default();
        if has_tables(&log) {
            break log;
        }
        assert!(Instant::now() < patience, "no log");
    };
    for file in [None, Some(&b""[..]), Some(&[0xff; 4096][..])] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        file.iter().for_each(|file| fs::write(&path, file).unwrap());
        fs::write(folder.path().join("journal-wal"), &log).unwrap();
        open(&path, config()).close("test").unwrap();
        let length = file.map(<[u8]>::len);
        assert!(fs::read(folder.path().join("journal.damaged-1-wal")).unwrap() == log, "{length:?} bytes");
        assert!(fs::read(folder.path().join("journal.damaged-1")).ok().as_deref() == file, "{length:?} bytes");
        assert_eq!(damage(&path), [""; 0], "{length:?} bytes");
    }
    writer.close("test").unwrap();
}

/// What a program leaves that is killed within a transaction, after some of it was written to the file.
#[test]
fn databases_of_programs_that_ended_within_a_transaction_are_refused() {
    let (source, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let other = source.path().join("other");
    let conn = Connection::open(&other).unwrap();
    conn.execute_batch(
        "PRAGMA cache_size = 2; CREATE TABLE mine (x); INSERT INTO mine VALUES (1); BEGIN; DROP TABLE mine;
         CREATE TABLE more (x); INSERT INTO more VALUES (zeroblob(200000)), (zeroblob(200000))",
    )
    .unwrap();
    fs::copy(&other, folder.path().join("journal")).unwrap();
    fs::copy(source.path().join("other-journal"), folder.path().join("journal-journal")).unwrap();
    assert_eq!(fs::read(folder.path().join("journal-journal")).unwrap()[0], 0xd9, "nothing was written yet");
    is_refused(folder.path(), "in a transaction");
    fs::write(folder.path().join("journal-journal"), b"not what SQLite writes").unwrap();
    is_refused(folder.path(), "beside some other file");
}

#[test]
fn a_rollback_journal_of_nothing_does_not_make_a_database_ours() {
    for size in [8, 512] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("journal"), database("")).unwrap();
        let mut rollback = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7".to_vec();
        rollback.resize(size, 0);
        fs::write(folder.path().join("journal-journal"), rollback).unwrap();
        is_refused(folder.path(), "a rollback journal of nothing");
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
fn a_folder_and_a_path_below_a_file_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (file, below) = (folder.path().join("file"), folder.path().join("file/journal"));
    fs::write(&file, "text").unwrap();
    for error in [Writer::open(folder.path(), config(), session()).err(), Reader::open(folder.path()).err()] {
        assert!(error.unwrap().to_string().ends_with("is a folder; give the path of a file"));
    }
    let error = Writer::open(&below, config(), session()).err().unwrap().to_string();
    assert!(error.ends_with("file is a file, not a folder; give another path"), "{error}");
    assert!(matches!(Reader::open(&below).err(), Some(JournalError::Missing(_))));
}

#[test]
fn a_path_is_a_file_whatever_sqlite_would_make_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["file:journal.db", "file:a?mode=memory", ":memory:"] {
        let path = folder.path().join(name);
        Writer::open(&path, config(), session()).unwrap().close("test").unwrap();
        assert!(path.is_file(), "{name}");
        let mut stats = std::process::Command::new(env!("CARGO_BIN_EXE_edge-runtime"));
        let stats = stats.args(["log", "stats", "--journal", name]).current_dir(folder.path()).output().unwrap();
        assert!(stats.status.success(), "{name}: {}", String::from_utf8_lossy(&stats.stderr));
    }
    assert!(!folder.path().join("journal.db").exists());
}

#[test]
fn a_link_to_a_disk_that_is_not_mounted_says_so_and_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, link) = (folder.path().join("disk"), folder.path().join("journal"));
    std::os::unix::fs::symlink(disk.join("journal"), &link).unwrap();
    let writer = Writer::open(&link, config(), session()).unwrap();
    assert!(!writer.flush(Duration::from_secs(10)));
    let failing = writer.health().failing.unwrap();
    assert!(failing.contains("it is a link to") && failing.contains("no such folder"), "{failing}");
    fs::create_dir(&disk).unwrap();
    writer.close("test").unwrap();
    assert!(disk.join("journal").is_file());
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

/// The first program that wrote to the file was killed between its first page and its first table: while it made that page, or
/// while it turned write-ahead logging on.
#[test]
fn a_file_that_was_cut_off_while_it_was_made_becomes_a_journal() {
    for pages_before in [0, 1_u32] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let made = Connection::open(&path).unwrap();
        made.execute_batch("PRAGMA page_size = 1024; CREATE TABLE other (x); DROP TABLE other; VACUUM").unwrap();
        drop(made);
        let page = fs::read(&path).unwrap();
        assert_eq!(page.len(), 1024);
        // A rollback journal: the number of its records, the start of its checksums, the pages of the file before; sectors of 512
        // bytes, pages of 1,024. A record is the number of a page, the page before, and a sum of every 200th byte.
        let nonce = 0x7c9a_9315_u32;
        let mut rollback = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7".to_vec();
        for number in [pages_before, nonce, pages_before, 512, 1024] {
            rollback.extend(number.to_be_bytes());
        }
        rollback.resize(512, 0);
        if pages_before == 1 {
            let sum = [824, 624, 424, 224, 24].iter().map(|at| u32::from(page[*at])).fold(nonce, u32::wrapping_add);
            rollback.extend([&1_u32.to_be_bytes(), page.as_slice(), &sum.to_be_bytes()].concat());
            let logged = [&page[..18], &[2, 2], &page[20..]].concat();
            fs::write(&path, logged).unwrap();
        }
        fs::write(folder.path().join("journal-journal"), rollback).unwrap();

        let writer = open(&path, config());
        writer.observe(&observation(0, 1));
        assert!(writer.flush(PATIENCE), "it waits for ever: {pages_before}");
        writer.close("test").unwrap();
        assert_eq!(damage(&path), [""; 0]);
        assert!(!folder.path().join("journal.damaged-1").exists());
    }
}
