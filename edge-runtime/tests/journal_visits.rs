//! Visits: the view in the file, `log visits`, and the report say the same.

mod journal_common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use edge_runtime::frame::Observation;
use edge_runtime::journal::Config;
use expression_core::{Label, Quality, Stamp};
use journal_common::*;

const SECOND: u64 = 1_000_000_000;

/// A frame with one face of a track, so many seconds after 10:59:00 UTC.
fn seen(frame: u64, second: f64, track: u32, label: Option<Label>) -> Observation {
    let mut seen = observation(0, 1);
    let us = (second * 1e6) as i64;
    seen.stamp = Stamp { monotonic_ns: 100 * SECOND + us as u64 * 1000, wall_us: at(0) + 59 * 60_000_000 + us };
    seen.sequence = frame;
    let record = &mut seen.faces[0];
    (record.track, record.label, record.quality, record.scores) = (track, label, Quality::Good, Some([9; 8]));
    seen
}

/// Two tracks: one smiles from 10:59:50 to 11:00:08, away for 20 s in between; one is short.
fn journal(path: &Path) {
    let (happy, sad) = (Some(Label::Happiness), Some(Label::Sadness));
    let writer = open(path, config());
    let mut frame = 0;
    let mut put = |second: f64, track: u32, label: Option<Label>| {
        writer.observe(&seen(frame, second, track, label));
        frame += 1;
    };
    put(50.0, 1, None);
    put(52.0, 1, happy);
    put(56.0, 1, happy);
    put(58.0, 2, sad);
    put(59.0, 1, happy);
    put(60.5, 2, sad);
    put(62.0, 1, sad);
    put(63.0, 1, happy);
    // Nobody knows what it showed for 25 s.
    put(88.0, 1, happy);
    put(90.0, 1, happy);
    put(95.0, 3, happy);
    writer.close("test").unwrap();
}

fn log(arguments: &[&str], journal: &Path) -> Output {
    let (command, rest) = arguments.split_first().unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_edge-runtime"));
    program.env("TZ", "UTC").args(["log", command, "--journal"]).arg(journal).args(rest).output().unwrap()
}

fn text(arguments: &[&str], journal: &Path) -> String {
    let output = log(arguments, journal);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn csv_rows(text: &str) -> Vec<Vec<String>> {
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

#[test]
fn visits_are_listed_and_the_view_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    journal(&path);
    let csv = text(&["visits", "--format", "csv"], &path);
    assert_eq!(
        csv.lines().next().unwrap(),
        "session,track,first,last,records,seconds,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unsure,\
         longest_smile"
    );
    let mut rows = csv_rows(&csv);
    rows.sort_by_key(|row| row[1].clone());
    let figures = |row: &[String]| row[4..].iter().map(|cell| cell.parse::<f64>().unwrap()).collect::<Vec<_>>();
    let expected = [
        vec![8.0, 15.0, 0.0, 12.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 2.0, 10.0],
        vec![2.0, 2.5, 0.0, 0.0, 0.0, 2.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    ];
    assert_eq!(rows.iter().map(|row| figures(row)).collect::<Vec<_>>(), expected);
    assert!(rows[0][2].starts_with("2026-11-25T10:59:50.000000"), "{}", rows[0][2]);

    let conn = rusqlite::Connection::open(&path).unwrap();
    let mut view = conn
        .prepare(
            "SELECT records, seconds, neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unsure,
             longest_smile, first_wall_us, last_wall_us FROM visit ORDER BY session, track",
        )
        .unwrap();
    let read = |row: &rusqlite::Row| -> rusqlite::Result<(Vec<f64>, i64)> {
        let values = (0..12).map(|column| row.get::<_, f64>(column)).collect::<rusqlite::Result<_>>()?;
        Ok((values, row.get::<_, i64>(13)? - row.get::<_, i64>(12)?))
    };
    let rows: Vec<(Vec<f64>, i64)> = view.query_map([], read).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.iter().map(|(values, _)| values.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(rows.iter().map(|(_, length)| *length).collect::<Vec<_>>(), [40_000_000, 2_500_000, 0]);
}

#[test]
fn how_long_visitors_smiled_in_each_hour_is_one_command() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    journal(&path);
    let hours = csv_rows(&text(&["visits", "--by", "hour", "--utc", "--format", "csv"], &path));
    let smiles = |rows: &[Vec<String>]| {
        rows.iter()
            .map(|row| (row[0][..19].to_owned(), row[1].clone(), row[4].clone(), row[12].clone()))
            .collect::<Vec<_>>()
    };
    let hour = |text: &str, visits: &str, happy: &str, longest: &str| {
        (text.to_owned(), visits.to_owned(), happy.to_owned(), longest.to_owned())
    };
    assert_eq!(
        smiles(&hours),
        [hour("2026-11-25T10:00:00", "2", "8", "8"), hour("2026-11-25T11:00:00", "3", "4", "2")]
    );
    let days = csv_rows(&text(&["visits", "--by", "day", "--utc", "--format", "csv"], &path));
    assert_eq!(smiles(&days), [hour("2026-11-25T00:00:00", "3", "12", "10")]);

    let table = text(&["visits", "--by", "hour", "--utc"], &path);
    assert!(table.contains("longest smile\n") && table.contains("2026-11-25 10:00:00"), "{table}");
    let widths: Vec<usize> = table.lines().map(str::len).collect();
    assert!(widths.iter().all(|width| *width == widths[0]), "{table}");
    let line = text(&["visits", "--by", "day", "--utc", "--format", "jsonl"], &path);
    let day: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&day["visits"], &day["happiness"]), (&3.into(), &12.0.into()));
    assert!(text(&["visits", "--until", "2020-01-01"], &path).lines().count() == 1);
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_needs_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("journal"), folder.path().join("hours.parquet"));
    journal(&path);
    assert_eq!(log(&["visits", "--format", "parquet"], &path).status.code(), Some(2));
    text(&["visits", "--by", "hour", "--format", "parquet", "-o", out.to_str().unwrap()], &path);
    let bytes = fs::read(&out).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
}

#[test]
fn the_report_shows_hours_and_days_with_faces_only() {
    let folder = tempfile::tempdir().unwrap();
    let (path, page) = (folder.path().join("journal"), folder.path().join("page.html"));
    journal(&path);
    text(&["report", "-o", page.to_str().unwrap()], &path);
    let page = fs::read_to_string(&page).unwrap();
    assert!(page.contains("2026-11-25 10 h: happiness 0.1 min") && page.contains("2026-11-25 11 h: "));
    assert!(!page.contains("2026-11-25 12 h"));
    assert!(page.contains("longest smile") && !page.contains("NaN"));
}

#[test]
fn a_journal_of_an_earlier_version_gets_the_view() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    journal(&path);
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch("DROP VIEW visit").unwrap();
    drop(conn);
    assert_eq!(csv_rows(&text(&["visits", "--format", "csv"], &path)).len(), 3);
    open(&path, Config { keep_faces: true, ..config() }).close("test").unwrap();
    let conn = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(conn.query_row("SELECT count(*) FROM visit", [], |row| row.get::<_, i64>(0)).unwrap(), 3);
    assert_eq!(damage(&path), Vec::<String>::new());
}
