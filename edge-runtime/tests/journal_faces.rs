//! Kept faces: which are kept, how they are exported, and that they are gone once they are deleted.

mod journal_common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use edge_runtime::event::Event;
use edge_runtime::frame::Observation;
use edge_runtime::journal::{Config, Face, Reader, Row, Which, Writer};
use expression_core::{Label, Stamp};
use journal_common::*;

/// A face whose bytes can be found again in a file.
fn pixels(frame: u64) -> [u8; 16] {
    std::array::from_fn(|index| {
        [b"KEPTFACE".as_slice(), &(0xFA00_0000_0000_0000 + frame).to_be_bytes()].concat()[index]
    })
}

fn observe(writer: &Writer, observation: &Observation) {
    let pixels = pixels(observation.sequence);
    let face = Face { size: 4, channels: 1, pixels: &pixels };
    writer.observe_with_faces(observation, &vec![Some(face); observation.faces.len()]);
}

fn records(path: &Path) -> Vec<Row> {
    Reader::open(path).unwrap().records_after(0, 1_000_000).unwrap()
}

fn kept(path: &Path) -> Vec<Row> {
    let reader = Reader::open(path).unwrap();
    records(path).into_iter().filter(|row| reader.has_face(row.id).unwrap()).collect()
}

fn told(path: &Path) -> Vec<Event> {
    Reader::open(path).unwrap().events_after(0, 1000).unwrap().iter().filter_map(|row| row.event()).collect()
}

/// The frames whose whole faces are anywhere in the journal's files. SQLite may leave pieces of a cell that was moved.
fn traces(path: &Path) -> BTreeSet<u64> {
    let log = path.with_file_name(format!("{}-wal", path.file_name().unwrap().to_string_lossy()));
    let files = [path.to_owned(), log].map(|path| fs::read(path).unwrap_or_default());
    let found = files.iter().flat_map(|bytes| bytes.windows(16)).filter(|bytes| bytes.starts_with(b"KEPTFACE"));
    let frame = |bytes: &[u8]| u64::from_be_bytes(bytes[8..].try_into().unwrap()).checked_sub(0xFA00_0000_0000_0000);
    found.filter_map(frame).filter(|frame| *frame < 1000).collect()
}

/// How many pieces of faces, of four bytes or more, are anywhere in the journal's files.
fn pieces(path: &Path) -> usize {
    let log = path.with_file_name(format!("{}-wal", path.file_name().unwrap().to_string_lossy()));
    let files = [path.to_owned(), log].map(|path| fs::read(path).unwrap_or_default());
    files.iter().flat_map(|bytes| bytes.windows(4)).filter(|bytes| **bytes == *b"KEPT" || **bytes == *b"FACE").count()
}

fn log(arguments: &[&str], journal: &Path) -> Output {
    let (command, rest) = arguments.split_first().unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_edge-runtime"));
    program.args(["log", command, "--journal"]).arg(journal).args(rest).output().unwrap()
}

fn text(arguments: &[&str], journal: &Path) -> String {
    let output = log(arguments, journal);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn only_what_was_chosen_is_kept_and_an_event_says_which() {
    let folder = tempfile::tempdir().unwrap();
    for (which, per_track) in [(Which::Unsure, None), (Which::Changes, None), (Which::Every(1.0), Some(3))] {
        let path = folder.path().join(format!("journal-{which}"));
        let keep = Config { keep_faces: true, keep_faces_which: which, keep_faces_per_track: per_track, ..config() };
        let writer = open(&path, keep);
        (0..60).for_each(|frame| observe(&writer, &observation(frame, 1)));
        writer.close("test").unwrap();
        assert!(told(&path).contains(&Event::KeepFaces { on: true, which: Some(which.to_string()) }));
        let (all, kept) = (records(&path), kept(&path));
        assert_eq!(all.len(), 60, "every record is written");
        match which {
            Which::Unsure => {
                let unsure = all.iter().filter(|row| row.record.scores.is_some() && row.record.label.is_none());
                assert_eq!(kept.len(), unsure.count());
                assert!(!kept.is_empty());
            }
            Which::Changes => assert!(kept.windows(2).all(|pair| pair[0].record.label != pair[1].record.label)),
            Which::Every(_) => assert_eq!(kept.iter().map(|row| row.sequence).collect::<Vec<_>>(), [0, 10, 20]),
            Which::All => unreachable!(),
        }
    }
}

#[test]
fn faces_of_today_count_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    for start in 0..2 {
        let writer = open(&path, Config { keep_faces: true, keep_faces_per_day: Some(5), ..config() });
        for frame in start * 4..start * 4 + 4 {
            let seen = observation(frame, 1);
            observe(&writer, &Observation { stamp: Stamp { wall_us: now, ..seen.stamp }, ..seen });
        }
        writer.close("test").unwrap();
    }
    assert_eq!((records(&path).len(), kept(&path).len()), (8, 5));
}

#[test]
fn old_faces_are_deleted_and_leave_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    const DAY_US: i64 = 86_400_000_000;
    let writer = open(&path, Config { keep_faces: true, ..config() });
    for frame in 0..200u64 {
        let wall_us = now - if frame < 150 { 9 * DAY_US } else { 1000 };
        let seen = observation(frame, 1);
        observe(&writer, &Observation { stamp: Stamp { wall_us, ..seen.stamp }, ..seen });
    }
    writer.close("test").unwrap();
    assert_eq!((kept(&path).len(), traces(&path)), (200, (0..200).collect()));

    // Even if none are kept any more.
    open(&path, Config { keep_faces_days: Some(8), ..config() }).close("test").unwrap();
    assert_eq!((records(&path).len(), kept(&path).len(), traces(&path)), (200, 50, (150..200).collect()));
    assert!(told(&path).contains(&Event::FacesDeleted { faces: 150, by: "age".into() }));
    assert_eq!(damage(&path), Vec::<String>::new());
}

#[test]
fn faces_are_exported_as_chosen_and_deleted_while_the_journal_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("journal"), folder.path().join("faces"));
    let out = out.to_str().unwrap();
    let writer = open(&path, Config { keep_faces: true, ..config() });
    (0..40).for_each(|frame| observe(&writer, &observation(frame, 2)));
    assert!(writer.flush(PATIENCE));

    let said = text(&["faces", "-o", out, "--track", "1.2", "--unsure-first", "--by-label"], &path);
    assert!(said.starts_with("40 faces in "), "{said}");
    let table = fs::read_to_string(Path::new(out).join("faces.csv")).unwrap();
    let mut lines = table.lines();
    let labels = Label::ALL.map(Label::name).join(",");
    assert_eq!(lines.next().unwrap(), format!("file,id,time,session,track,quality,label,confidence,{labels}"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 40);
    assert!(rows.iter().all(|row| row[0].contains("_session-1_track-2_") && Path::new(out).join(row[0]).is_file()));
    assert!(rows[0][0].starts_with("unsure/") && rows[39][0].starts_with("blurred/"), "{:?}", rows[0]);
    let shares: f64 = rows[0][8..].iter().map(|share| share.parse::<f64>().unwrap()).sum();
    assert!((shares - 1.0).abs() < 0.01, "{shares}");
    assert!(rows[39][8..].iter().all(|share| share.is_empty()), "a face that could not be read has no scores");

    // Rows of earlier exports stay; those of the same faces are not repeated.
    let table = Path::new(out).join("faces.csv");
    let names = || -> Vec<String> {
        let text = fs::read_to_string(&table).unwrap();
        text.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect()
    };
    let first = names();
    assert!(text(&["faces", "-o", out, "--track", "1.1", "--limit", "2"], &path).starts_with("2 faces in "));
    assert_eq!((names().len(), &names()[2..]), (42, first.as_slice()));
    let again = text(&["faces", "-o", out, "--track", "1.2", "--unsure-first", "--by-label"], &path);
    assert!(again.starts_with("40 faces in ") && names().len() == 42 && names()[..40] == first, "{again}");
    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("faces.csv"), "name,age\n").unwrap();
    let refused = log(&["faces", "-o", foreign.to_str().unwrap()], &path);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not a table that `log faces` wrote"), "{refused:?}");
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1);

    let said = text(&["faces", "--track", "2", "--limit", "30", "--delete"], &path);
    assert!(said.starts_with("30 faces deleted"), "{said}");
    let said = text(&["faces", "--delete"], &path);
    assert!(said.starts_with("50 faces deleted"), "{said}");
    assert_eq!((kept(&path).len(), pieces(&path)), (0, 0), "the command leaves no pieces either");
    let nothing = log(&["faces", "--delete"], &path);
    assert_eq!(nothing.status.code(), Some(2));
    (40..60).for_each(|frame| observe(&writer, &observation(frame, 1)));
    writer.close("test").unwrap();
    assert_eq!((records(&path).len(), kept(&path).len(), traces(&path)), (100, 20, (40..60).collect()));
    let deleted: u64 =
        told(&path).iter().map(|event| if let Event::FacesDeleted { faces, .. } = event { *faces } else { 0 }).sum();
    assert_eq!(deleted, 80);
    assert_eq!(damage(&path), Vec::<String>::new());
}

#[test]
fn a_track_of_several_sessions_is_not_deleted_by_its_number_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    for start in 0..2 {
        let writer = open(&path, Config { keep_faces: true, ..config() });
        (start * 4..start * 4 + 4).for_each(|frame| observe(&writer, &observation(frame, 1)));
        writer.close("test").unwrap();
    }
    let refused = log(&["faces", "--track", "1", "--delete"], &path);
    let line = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && line.contains("2 sessions have a track 1,"), "{line}");
    assert_eq!(kept(&path).len(), 8);
    assert!(text(&["faces", "--track", "2.1", "--delete"], &path).starts_with("4 faces deleted"));
    assert_eq!(kept(&path).len(), 4);
    assert!(text(&["faces", "--track", "1", "--delete"], &path).starts_with("4 faces deleted"), "one session is left");
}

#[test]
fn a_folder_or_a_deletion_must_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    open(&path, config()).close("test").unwrap();
    let output = log(&["faces"], &path);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--output"));
}
