//! Journals that somebody else wrote, or that a card has damaged: an error that says so, or what can be read of them, but
//! never a panic and never a wait without end. The fuzz targets `journal` and `journal_rows` look for more.

mod journal_common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use edge_runtime::event::Event;
use edge_runtime::journal::{Config, Face, JournalError, Range, Reader};
use journal_common::*;
use rusqlite::Connection;

/// A journal that is right, after some statements that are not.
fn journal(folder: &Path, statements: &str) -> PathBuf {
    let path = folder.join("journal");
    let writer = open(&path, Config { keep_faces: true, ..config() });
    for frame in 0..3 {
        writer.observe_with_faces(&observation(frame, 1), &[Some(Face { size: 2, channels: 1, pixels: &[7; 4] })]);
    }
    writer.event(Event::CameraBack { gap_ms: 1200 });
    writer.close("test").unwrap();
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;").unwrap();
    conn.execute_batch(statements).unwrap();
    path
}

/// Each subcommand that reads: its exit code, where it did not panic.
fn reads(path: &Path) {
    let out = path.with_file_name("out");
    let out = out.to_str().unwrap();
    for arguments in [
        &["verify"][..],
        &["stats", "--json"],
        &["stats"],
        &["export"],
        &["export", "--events", "--format", "jsonl"],
        &["report", "-o", out],
        &["tail"],
        &["faces", "-o", path.with_file_name("faces").to_str().unwrap()],
    ] {
        let output: Output = Command::new(env!("CARGO_BIN_EXE_edge-runtime"))
            .arg("log")
            .args(arguments)
            .arg("--journal")
            .arg(path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked") && output.status.code().is_some(), "{arguments:?}: {said}");
    }
}

#[test]
fn numbers_at_the_end_of_their_range_are_read() {
    for statements in [
        "UPDATE record SET wall_us = -9223372036854775808 WHERE id = (SELECT min(id) FROM record)",
        "UPDATE record SET wall_us = 9223372036854775807 WHERE id = (SELECT max(id) FROM record)",
        "UPDATE minute SET frames = 9223372036854775807, thinned = 9223372036854775807;
         INSERT INTO minute SELECT session, minute + 1, frames, frames, thinned, first_id, last_id FROM minute;
         INSERT INTO minute SELECT session, minute + 2, frames, frames, thinned, first_id, last_id FROM minute",
        "UPDATE minute SET minute = 9223372036854775807;
         INSERT INTO minute VALUES (1, -9223372036854775808, 1, 1, 1, 1, 1), (1, 0, 1, 1, 1, 1, 1);
         INSERT INTO minute VALUES (2, 9223372036854775807, 1, 1, 1, 1, 1)",
        "UPDATE event SET kind = 'records_lost',
         detail = '{\"records\":18446744073709551615,\"events\":18446744073709551615,\"seconds\":1e308}'",
        "UPDATE event SET kind = 'camera_back', detail = '{\"gap_ms\":18446744073709551615}'",
        "UPDATE session SET started_wall_us = -9223372036854775808, started_monotonic_us = -9223372036854775808",
    ] {
        let folder = tempfile::tempdir().unwrap();
        reads(&journal(folder.path(), statements));
    }
}

/// Exchanges the first and the last row of a table's only page, as a card might that has mixed up its blocks.
fn shuffle(path: &Path, table: &str) {
    let root: u32 = {
        let conn = Connection::open(path).unwrap();
        conn.query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", [table], |row| row.get(0)).unwrap()
    };
    let mut bytes = std::fs::read(path).unwrap();
    let page = bytes.chunks_mut(1024).nth(root as usize - 1).unwrap();
    assert_eq!(page[0], 13, "a leaf");
    let count = usize::from(page[4]);
    let (first, last) = (8, 8 + 2 * (count - 1));
    (0..2).for_each(|byte| page.swap(first + byte, last + byte));
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_wrong_value_in_a_row_is_no_reason_to_begin_a_new_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path(), "UPDATE record SET track = -5 WHERE id = (SELECT max(id) FROM record)");
    let output = Command::new(env!("CARGO_BIN_EXE_edge-runtime"))
        .args(["log", "export", "-o"])
        .arg(folder.path().join("out.csv"))
        .arg("--journal")
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("is damaged") && said.contains("--since and --until"), "{said}");
    assert!(!said.contains("cannot write") && !said.contains("moves it"), "{said}");
}

#[test]
fn rows_out_of_order_end_the_reading() {
    for table in ["record", "event"] {
        let folder = tempfile::tempdir().unwrap();
        let path = journal(folder.path(), "");
        shuffle(&path, table);
        let reader = Reader::open(&path).unwrap();
        let records = reader.each_record(&Range::default(), |_| Ok::<_, JournalError>(()));
        let events = reader.each_event(&Range::default(), |_| Ok::<_, JournalError>(()));
        for read in [(table == "record").then_some(records), (table == "event").then_some(events)].into_iter().flatten()
        {
            assert!(matches!(read, Err(JournalError::Damaged { .. })), "{read:?}");
        }
        assert!(matches!(reader.entries_after(0, 100), Err(JournalError::Damaged { .. })));
        assert!(!damage(&path).is_empty());
        reads(&path);
    }
}

#[test]
fn text_that_is_not_utf_8_is_damage_and_every_such_row_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(
        folder.path(),
        "UPDATE record SET file = CAST(x'ff' AS TEXT) WHERE id IN (SELECT id FROM record ORDER BY id LIMIT 2)",
    );
    let log = |command: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_edge-runtime"));
        program.args(["log", command]).arg("--journal").arg(&path).output().unwrap()
    };
    let verified = log("verify");
    let found = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.code() == Some(1), "{found}");
    assert_eq!(found.matches("damage: record ").count(), 2, "{found}");
    let said = String::from_utf8_lossy(&log("export").stderr).into_owned();
    assert!(said.contains("is damaged (record ") && said.contains("`log verify` says where"), "{said}");
    reads(&path);
}

#[test]
fn what_only_looks_like_the_tables_is_refused() {
    for statements in [
        // Reading it never ends.
        "DROP TABLE record; CREATE VIEW record AS WITH RECURSIVE r (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM r)
         SELECT id, 1 AS session, 0 AS wall_us FROM r",
        "DROP TABLE face; CREATE TABLE face (record INTEGER PRIMARY KEY, channels, size,
         pixels AS (zeroblob(900000000)))",
        "ALTER TABLE event ADD COLUMN more INTEGER",
        "DROP TABLE cursor",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = journal(folder.path(), statements);
        assert!(matches!(Reader::open(&path), Err(JournalError::Damaged { .. })), "{statements}");
        reads(&path);
        // A writer puts it out of the way.
        open(&path, config()).close("test").unwrap();
        assert!(damage(&path).is_empty() && events(&path).contains(&"journal_damaged".to_owned()), "{statements}");
    }
    // What others add for their own use stays.
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path(), "CREATE INDEX by_track ON record (track); CREATE VIEW mine AS SELECT 1");
    assert!(Reader::open(&path).is_ok());
}
