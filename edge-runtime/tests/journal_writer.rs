//! The writer in bad times: nothing stops the pipeline, and what was lost is said.

mod journal_common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use edge_runtime::event::Event;
use edge_runtime::journal::{Config, Face, JournalError, Reader, Writer};
use expression_core::Quality;
use journal_common::*;
use rusqlite::Connection;

#[test]
fn what_goes_in_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/journal.db");
    let writer = open(&path, config());
    for frame in 0..100 {
        writer.observe(&observation(frame, (frame % 3) as u32));
    }
    writer.event(Event::CameraBack { gap_ms: 1234 });
    let mut named = observation(100, 1);
    named.name = Some("a picture.png".into());
    writer.observe(&named);
    assert!(writer.flush(PATIENCE));
    let newest = writer.close("end of the source").unwrap();
    assert!(!folder.path().join("deep/journal.db-wal").exists(), "closing folds the log into the file");

    let reader = Reader::open(&path).unwrap();
    let rows = reader.records_after(0, usize::MAX).unwrap();
    let expected: Vec<_> = (0..100).map(|frame| observation(frame, (frame % 3) as u32)).chain([named]).collect();
    let faces: Vec<_> = expected.iter().flat_map(|seen| seen.faces.iter().map(move |face| (seen, face))).collect();
    assert_eq!(rows.len(), faces.len());
    for (row, (seen, face)) in rows.iter().zip(faces) {
        assert_eq!((row.record, row.stamp, row.sequence), (*face, seen.stamp, seen.sequence));
        assert_eq!((row.size, row.latency_us, row.millicelsius), (seen.size, seen.latency_us, seen.millicelsius));
        assert_eq!((row.name.as_deref(), row.session), (seen.name.as_deref(), 1));
    }
    assert_eq!(reader.ids().unwrap(), Some((1, newest)));
    assert_eq!(events(&path), ["start", "camera_back", "stop"]);
    let back = &reader.events_after(0, 10).unwrap()[1];
    assert_eq!(back.event(), Some(Event::CameraBack { gap_ms: 1234 }));
    let sessions = reader.sessions().unwrap();
    assert_eq!(sessions.iter().map(|row| &row.session).collect::<Vec<_>>(), [&session()]);
    assert_eq!(damage(&path), [""; 0]);
    assert_eq!(reader.minutes(&Default::default()).unwrap().iter().map(|minute| minute.frames).sum::<u64>(), 101);
}

#[test]
fn a_reader_goes_on_where_its_cursor_stands() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let writer = open(&path, config());
    (0..10).for_each(|frame| writer.observe(&observation(frame, 1)));
    assert!(writer.flush(PATIENCE));
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.cursor("mqtt").unwrap(), None);
    let first = reader.records_after(0, 4).unwrap();
    reader.set_cursor("mqtt", first[3].id).unwrap();
    let id = reader.cursor("mqtt").unwrap().unwrap();
    assert_eq!(reader.records_after(id, 100).unwrap()[0].sequence, 4);
    writer.set_cursor("mqtt", id + 2);
    assert!(writer.flush(PATIENCE));
    assert_eq!(Reader::open(&path).unwrap().cursor("mqtt").unwrap(), Some(id + 2));
}

#[test]
fn faces_are_kept_only_where_that_was_asked_for() {
    for keep_faces in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let writer = open(&path, Config { keep_faces, ..config() });
        let pixels: Vec<u8> = (0..16).collect();
        let face = Face { size: 4, channels: 1, pixels: &pixels };
        let wrong = Face { size: 5, ..face };
        writer.observe_with_faces(&observation(0, 3), &[Some(face), None, Some(wrong)]);
        writer.close("test").unwrap();
        let reader = Reader::open(&path).unwrap();
        let rows = reader.records_after(0, 10).unwrap();
        let kept: Vec<_> = rows.iter().map(|row| reader.face(row.id).unwrap()).collect();
        assert_eq!(kept, [keep_faces.then(|| (1, 4, pixels.clone())), None, None]);
        assert_eq!(events(&path).contains(&"keep_faces".to_owned()), keep_faces);
        assert_eq!(damage(&path), [""; 0]);
    }
}

#[test]
fn records_are_thinned_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let writer = open(&path, Config { max_records_per_second: 2.0, ..config() });
    (0..100).for_each(|frame| writer.observe(&observation(frame, 2)));
    writer.close("test").unwrap();
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.records_after(0, 1000).unwrap().len(), 40);
    let minutes = reader.minutes(&Default::default()).unwrap();
    assert_eq!(minutes.iter().map(|minute| (minute.frames, minute.thinned)).collect::<Vec<_>>(), [(100, 160)]);
}

#[test]
fn the_file_and_its_log_stay_below_the_cap_and_the_oldest_go_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let fill = |max_bytes: u64, frames: std::ops::Range<u64>| {
        let writer = open(&path, Config { max_bytes, ..config() });
        for frame in frames {
            writer.observe(&observation(frame, 5));
            if frame % 400 == 0 {
                assert!(writer.flush(PATIENCE), "{:?}", writer.health());
                assert!(bytes(&path) <= max_bytes, "frame {frame}: {} bytes", bytes(&path));
            }
        }
        assert_eq!(writer.health().lost_records, 0);
        writer.close("test").unwrap()
    };
    let newest = fill(2 << 20, 0..20_000);
    let reader = Reader::open(&path).unwrap();
    let kept = |reader: &Reader| {
        let entries = reader.entries_after(0, usize::MAX).unwrap();
        assert!(entries.windows(2).all(|pair| pair[0].id() + 1 == pair[1].id()), "a hole in the midst");
        (entries[0].id(), entries[entries.len() - 1].id(), entries.len())
    };
    let (oldest, last, count) = kept(&reader);
    assert!(oldest > 1 && last == newest, "{oldest} {last} {newest}");
    assert!(count > 15_000, "the cap leaves room for more than {count}");
    assert!(reader.minutes(&Default::default()).unwrap().len() < 33, "counts outlive their records");
    drop(reader);

    // A cap that was lowered since takes effect too: the file shrinks.
    let newest = fill_lowered(&path, newest);
    let (_, last, _) = kept(&Reader::open(&path).unwrap());
    assert!(last == newest && bytes(&path) <= 1 << 20, "{} bytes", bytes(&path));
    assert_eq!(damage(&path), [""; 0]);
    assert_eq!(Reader::open(&path).unwrap().sessions().unwrap().len(), 1, "sessions go with their last record");
}

fn fill_lowered(path: &Path, newest: i64) -> i64 {
    let writer = open(path, Config { max_bytes: 1 << 20, ..config() });
    for frame in 20_000..30_000 {
        writer.observe(&observation(frame, 2));
        if frame % 50 == 0 {
            assert!(writer.flush(PATIENCE), "{:?}", writer.health());
        }
    }
    let last = writer.close("test").unwrap();
    assert!(last > newest, "numbers are never used again");
    last
}

#[test]
fn frames_without_faces_stay_below_the_cap_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let writer = open(&path, Config { max_bytes: 1 << 20, ..config() });
    for minute in 0..100_000 {
        writer.observe(&observation(minute * 600, 0));
        if minute % 5000 == 0 {
            assert!(writer.flush(PATIENCE), "{:?}", writer.health());
            assert!(bytes(&path) <= 1 << 20, "minute {minute}: {} bytes", bytes(&path));
        }
    }
    writer.close("test").unwrap();
    assert_eq!(damage(&path), [""; 0]);
}

#[test]
fn a_locked_file_costs_nothing_but_patience() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let writer = open(&path, config());
    assert!(writer.flush(PATIENCE));
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    (0..50).for_each(|frame| writer.observe(&observation(frame, 1)));
    wait_until("the lock is noticed", || writer.health().failing.is_some());
    assert!(!writer.flush(PATIENCE));
    let committed = writer.committed();
    other.execute_batch("ROLLBACK").unwrap();
    wait_until("the records are written", || writer.health().failing.is_none() && writer.flush(PATIENCE));
    assert!(writer.committed() >= committed + 50);
    writer.close("test").unwrap();
    assert_eq!(events(&path), ["start", "writing_failed", "writing_recovered", "stop"]);
    let failed = &Reader::open(&path).unwrap().events_after(0, 10).unwrap()[1];
    assert!(matches!(failed.event(), Some(Event::WritingFailed { cause, .. }) if cause == "locked"));
    assert_eq!(damage(&path), [""; 0]);
}

#[test]
fn a_reader_that_never_ends_does_not_make_the_log_outgrow_the_cap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let cap = 1 << 20;
    let writer = open(&path, Config { max_bytes: cap, ..config() });
    writer.observe(&observation(0, 1));
    assert!(writer.flush(PATIENCE));
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN; SELECT * FROM record").unwrap();
    let mut frame = 1;
    wait_until("the writer refuses to let the log grow", || {
        (0..100).for_each(|_| {
            writer.observe(&observation(frame, 4));
            frame += 1;
        });
        writer.flush(PATIENCE);
        assert!(bytes(&path) <= cap, "{} bytes", bytes(&path));
        writer.health().failing.is_some()
    });
    other.execute_batch("ROLLBACK").unwrap();
    wait_until("writing goes on", || writer.flush(PATIENCE));
    assert_eq!(writer.health().lost_records, 0);
    writer.close("test").unwrap();
    assert_eq!(damage(&path), [""; 0]);
}

#[test]
fn a_damaged_file_is_moved_aside_and_said() {
    for header in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let writer = open(&path, config());
        (0..2000).for_each(|frame| writer.observe(&observation(frame, 1)));
        writer.close("test").unwrap();
        let mut content = fs::read(&path).unwrap();
        let damaged = if header { 0..1000 } else { 4096..content.len() };
        content[damaged].fill(0x5a);
        fs::write(&path, &content).unwrap();

        let writer = open(&path, config());
        (0..10).for_each(|frame| writer.observe(&observation(frame, 1)));
        writer.close("test").unwrap();
        assert_eq!(fs::read(folder.path().join("journal.damaged-1")).unwrap(), content, "nothing of it is lost");
        assert_eq!(damage(&path), [""; 0]);
        let reader = Reader::open(&path).unwrap();
        assert_eq!(reader.records_after(0, 100).unwrap().len(), 10);
        let said = reader.events_after(0, 10).unwrap();
        let moved = said.iter().find_map(|event| match event.event() {
            Some(Event::JournalDamaged { moved_to, .. }) => Some(moved_to),
            _ => None,
        });
        assert_eq!(moved, Some(folder.path().join("journal.damaged-1").display().to_string()));
    }
}

#[test]
fn a_file_that_is_removed_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let writer = open(&path, config());
    writer.observe(&observation(0, 1));
    assert!(writer.flush(PATIENCE));
    for name in ["journal", "journal-wal", "journal-shm"] {
        fs::rename(folder.path().join(name), folder.path().join(format!("old-{name}"))).unwrap();
    }
    writer.observe(&observation(1, 1));
    wait_until("a new file", || writer.flush(PATIENCE) && path.exists());
    writer.close("test").unwrap();
    assert_eq!(Reader::open(&path).unwrap().records_after(0, 10).unwrap()[0].sequence, 1);
    assert_eq!(damage(&path), [""; 0]);
}

#[test]
fn strange_files_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE contacts (name TEXT); INSERT INTO contacts VALUES ('A')").unwrap();
    drop(other);
    let before = fs::read(&path).unwrap();
    let refused = |path: &Path| Writer::open(path, config(), session()).err().unwrap();
    assert!(matches!(refused(&path), JournalError::Foreign(_)));
    assert!(matches!(Reader::open(&path).err(), Some(JournalError::Foreign(_))));
    assert_eq!(fs::read(&path).unwrap(), before);

    let newer = folder.path().join("newer");
    open(&newer, config()).close("test").unwrap();
    Connection::open(&newer).unwrap().pragma_update(None, "user_version", 2).unwrap();
    assert!(matches!(refused(&newer), JournalError::Newer { found: 2, .. }));
    assert!(refused(&newer).to_string().contains("schema version 2, this program reads up to 1"));
    assert!(matches!(Reader::open(&newer).err(), Some(JournalError::Newer { found: 2, .. })));
    assert!(matches!(Reader::open(&folder.path().join("none")).err(), Some(JournalError::Missing(_))));
    assert!(matches!(refused(folder.path()), JournalError::Folder(_)));
    let nonsense = Config { max_bytes: 5, ..Config::default() };
    assert!(matches!(Writer::open(&newer, nonsense, session()), Err(JournalError::Config(_))));
    assert_eq!(Quality::ALL.len(), 5, "the schema's constraint and this enumeration are one");
}

#[test]
fn dropping_a_writer_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let writer = open(&path, Config { commit_every: Duration::from_secs(600), ..config() });
    (0..10).for_each(|frame| writer.observe(&observation(frame, 1)));
    drop(writer);
    assert_eq!(Reader::open(&path).unwrap().records_after(0, 100).unwrap().len(), 10);
}
