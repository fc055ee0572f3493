//! Journals that somebody else wrote, or that a card has damaged: an error that says so, or what can be read of them, but
//! never a panic and never a wait without end. The fuzz targets `journal` and `journal_rows` look for more.

mod journal_common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use edge_runtime::journal::{Config, Event, Face, JournalError, Reader};
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
