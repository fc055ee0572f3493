//! `edge-runtime log`, as it is used.

mod journal_common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use edge_runtime::event::Event;
use edge_runtime::journal::{Config, Face};
use journal_common::*;
use serde_json::Value;

fn log(arguments: &[&str], journal: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_edge-runtime"))
        .arg("log")
        .args(arguments)
        .arg("--journal")
        .arg(journal)
        .env("TZ", "UTC")
        .output()
        .unwrap()
}

fn text(arguments: &[&str], journal: &Path) -> String {
    let output = log(arguments, journal);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A hundred frames of two faces, ten seconds; a lost camera; then, five minutes later, a hundred more.
fn journal(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("journal");
    let writer = open(&path, config());
    (0..100).for_each(|frame| writer.observe(&observation(frame, 2)));
    writer.event(Event::CameraLost { reason: "<unplugged>, \"it\" seems".into() });
    writer.event(Event::CameraBack { gap_ms: 1500 });
    (3100..3200).for_each(|frame| writer.observe(&observation(frame, 2)));
    let mut named = observation(3200, 1);
    named.name = Some("a, \"picture\".png".into());
    writer.observe(&named);
    writer.close("test").unwrap();
    path
}

/// A JSON record as the columns of CSV and Parquet, which hold nothing within anything.
fn columns(record: &Value) -> Value {
    let mut fields = record.as_object().unwrap().clone();
    let bounds = fields.remove("box").unwrap();
    for (at, side) in ["left", "top", "width", "height"].iter().enumerate() {
        fields.insert((*side).to_owned(), bounds[at].clone());
    }
    let (integers, shares) = (fields.remove("integer_scores").unwrap(), fields.remove("scores").unwrap());
    for (at, label) in expression_core::Label::ALL.iter().enumerate() {
        fields.insert(format!("score_{}", label.name()), integers[at].clone());
        fields.insert(format!("probability_{}", label.name()), shares[label.name()].clone());
    }
    fields.into()
}

#[test]
fn an_export_has_every_record_in_every_text_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    let lines: Vec<Value> =
        text(&["export", "--format", "jsonl"], &path).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 401);
    let first = &lines[0];
    assert_eq!(first["time"], "2026-11-25T10:00:00.000000Z");
    assert_eq!(first["monotonic_us"], 5_000_000);
    assert_eq!((&first["track"], &first["box"][0], &first["quality"]), (&1.into(), &(-2).into(), &"good".into()));
    assert_eq!(
        (&first["label"], &first["integer_scores"][6], &first["latency_ms"]),
        (&"happiness".into(), &7.into(), &1.0.into())
    );
    assert_eq!((&first["celsius"], &lines[2]["celsius"]), (&51.25.into(), &Value::Null));
    assert_eq!(first["model_sha256"], "5e".repeat(32));
    assert_eq!(lines[400]["file"], "a, \"picture\".png");
    let blurred = &lines[8];
    assert_eq!(
        (&blurred["quality"], &blurred["label"], &blurred["integer_scores"]),
        (&"blurred".into(), &Value::Null, &Value::Null)
    );

    // CSV says the same, field for field.
    let output = folder.path().join("out.csv");
    assert_eq!(text(&["export", "-o", output.to_str().unwrap()], &path), "");
    let mut csv = csv::Reader::from_path(&output).unwrap();
    let names = csv.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), lines.len());
    for (row, line) in rows.iter().zip(&lines) {
        let line = &columns(line);
        assert_eq!(names.len(), line.as_object().unwrap().len());
        for (name, field) in names.iter().zip(row) {
            let same = match &line[name] {
                Value::Null => field.is_empty(),
                Value::String(text) => field == text,
                Value::Number(number) => field.parse::<f64>().unwrap() == number.as_f64().unwrap(),
                Value::Bool(whether) => field.parse() == Ok(*whether),
                other => panic!("{name}: {other}"),
            };
            assert!(same, "{name}: {field} and {}", line[name]);
        }
    }
}

fn csv(arguments: &[&str], delimiter: u8, journal: &Path) -> Vec<std::collections::HashMap<String, String>> {
    let text = text(&[&["export"], arguments].concat(), journal);
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

#[test]
fn the_fields_of_events_are_columns_of_csv() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    let events = csv(&["--events"], b',', &path);
    let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str()).collect();
    assert_eq!(kinds, ["start", "camera_lost", "camera_back", "stop"]);
    assert_eq!(events[1]["detail_reason"], "<unplugged>, \"it\" seems");
    assert_eq!((events[2]["detail_gap_ms"].as_str(), events[2]["detail_reason"].as_str()), ("1500", ""));
    assert!(events.iter().flat_map(|event| event.values()).all(|field| !field.starts_with('{')));
}

#[test]
fn csv_takes_another_delimiter() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    let plain = csv(&[], b',', &path);
    assert_eq!(plain.len(), 401);
    assert_eq!(csv(&["--delimiter", ";"], b';', &path), plain);
    assert_eq!(csv(&["--delimiter", "tab"], b'\t', &path), plain);
    for wrong in [&["--delimiter", "ab"][..], &["--delimiter", "\""], &["--delimiter", ";", "--format", "jsonl"]] {
        let output = log(&[&["export"], wrong].concat(), &path);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{wrong:?}");
    }
}

#[test]
fn times_can_be_those_of_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    for format in ["csv", "jsonl"] {
        let output = Command::new(env!("CARGO_BIN_EXE_edge-runtime"))
            .args(["log", "export", "--local-time", "--format", format, "--journal"])
            .arg(&path)
            .env("TZ", "EET-2")
            .output()
            .unwrap();
        let exported = String::from_utf8(output.stdout).unwrap();
        assert!(exported.contains("2026-11-25T12:00:00.000000+02:00"), "{exported:.300}");
        assert!(!exported.contains("T10:00:00"));
    }
}

#[test]
fn an_export_to_stdout_by_name_is_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    assert_eq!(text(&["export", "-o", "/dev/stdout"], &path), text(&["export"], &path));
    // What the file had before `>>` stays.
    let appended = folder.path().join("appended");
    fs::write(&appended, "before\n").unwrap();
    let file = fs::OpenOptions::new().append(true).open(&appended).unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_edge-runtime"))
        .args(["log", "export", "-o", "/dev/stdout", "--journal"])
        .arg(&path)
        .stdout(file)
        .status()
        .unwrap();
    assert!(status.success());
    let content = fs::read_to_string(&appended).unwrap();
    assert!(content.starts_with("before\nid,time,") && content.lines().count() == 403, "{}", content.lines().count());
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_holds_what_json_lines_hold() {
    use parquet::file::reader::{FileReader, SerializedFileReader};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let writer = open(&path, Config { queue_bytes: 64 << 20, ..config() });
    // More than one group of rows.
    (0..20_000).for_each(|frame| writer.observe(&observation(frame, 2)));
    writer.close("test").unwrap();
    let output = folder.path().join("out.parquet");
    text(&["export", "--format", "parquet", "-o", output.to_str().unwrap()], &path);
    let reader = SerializedFileReader::new(fs::File::open(&output).unwrap()).unwrap();
    assert_eq!(reader.metadata().num_row_groups(), 2);
    let lines = text(&["export", "--format", "jsonl"], &path);
    let mut rows = reader.get_row_iter(None).unwrap();
    for line in lines.lines() {
        let expected = columns(&serde_json::from_str(line).unwrap());
        let row = rows.next().unwrap().unwrap();
        let found: serde_json::Map<String, Value> =
            row.get_column_iter().map(|(name, field)| (name.clone(), plain(field))).collect();
        assert_eq!(found.len(), expected.as_object().unwrap().len());
        for (name, value) in &found {
            match (name.as_str(), value) {
                ("time", Value::Number(us)) => {
                    let time: jiff::Timestamp = expected["time"].as_str().unwrap().parse().unwrap();
                    assert_eq!(us.as_i64(), Some(time.as_microsecond()));
                }
                _ => assert_eq!(value, &expected[name], "{name}"),
            }
        }
    }
    assert!(rows.next().is_none());
    assert_eq!(log(&["export", "--format", "parquet"], &path).status.code(), Some(2), "not to a terminal");
    let output = output.to_str().unwrap();
    let local = log(&["export", "--format", "parquet", "--local-time", "-o", output], &path);
    assert_eq!(local.status.code(), Some(2), "instants have no zone");
}

#[cfg(feature = "parquet")]
#[test]
fn the_fields_of_events_are_columns_of_parquet() {
    use parquet::file::reader::{FileReader, SerializedFileReader};

    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    let output = folder.path().join("events.parquet");
    text(&["export", "--events", "--format", "parquet", "-o", output.to_str().unwrap()], &path);
    let reader = SerializedFileReader::new(fs::File::open(&output).unwrap()).unwrap();
    let column = |wanted: &str| -> Vec<Value> {
        let rows = reader.get_row_iter(None).unwrap().map(Result::unwrap);
        rows.map(|row| row.get_column_iter().find(|(name, _)| *name == wanted).map(|(_, field)| plain(field)).unwrap())
            .collect()
    };
    assert_eq!(column("event")[2], "camera_back");
    assert_eq!(column("detail_gap_ms"), [Value::Null, Value::Null, 1500.into(), Value::Null]);
    assert_eq!(column("detail_reason")[1], "<unplugged>, \"it\" seems");
}

#[cfg(feature = "parquet")]
fn plain(field: &parquet::record::Field) -> Value {
    use parquet::record::Field;
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => (*value).into(),
        Field::Long(value) | Field::TimestampMicros(value) => (*value).into(),
        Field::Double(value) => (*value).into(),
        Field::Str(value) => value.as_str().into(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn since_and_until_cut_at_the_instant() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    let count = |arguments: &[&str]| {
        let all = [&["export", "--format", "jsonl"], arguments].concat();
        text(&all, &path).lines().count()
    };
    assert_eq!(count(&["--since", "2026-11-25T10:00:05Z", "--until", "2026-11-25 10:00:07"]), 40);
    assert_eq!(count(&["--since", "2026-11-25T11:05:10.1+01:00"]), 2 * 99 + 1);
    assert_eq!(count(&["--until", "2026-11-25T10:00:00.1Z"]), 2);
    assert_eq!(count(&["--until", "2026-11-25"]), 0);
    assert_eq!(count(&["--since", "2026-11-25", "--until", "2026-11-26"]), 401);
    for wrong in ["yesterday", "", "2026-02-30"] {
        let output = log(&["export", "--since", wrong], &path);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1);
    }
    assert_eq!(log(&["export", "--since", "1h", "--until", "2h"], &path).status.code(), Some(2));
}

#[test]
fn a_span_counts_back_from_now() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let writer = open(&path, config());
    let now = edge_runtime::clock::now();
    for hours_ago in [30, 3, 1] {
        let mut seen = observation(0, 1);
        seen.stamp = now;
        seen.stamp.wall_us -= hours_ago * 3_600_000_000;
        writer.observe(&seen);
    }
    writer.close("test").unwrap();
    let count = |since: &str| text(&["export", "--format", "jsonl", "--since", since], &path).lines().count();
    assert_eq!(["90m", "2h", "4h", "1d", "2d", "1w"].map(count), [1, 1, 2, 2, 3, 3]);
}

#[test]
fn stats_count_what_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    let stats: Value = serde_json::from_str(&text(&["stats", "--json"], &path)).unwrap();
    assert_eq!((&stats["records"], &stats["frames"], &stats["tracks"]), (&401.into(), &201.into(), &2.into()));
    // By hand: every fifth frame is blurred, and of the others every seventh has no label.
    let frames: Vec<u64> = (0..100).chain(3100..3200).flat_map(|frame| [frame, frame]).chain([3200]).collect();
    let scored = frames.iter().filter(|frame| *frame % 5 != 4);
    let unsure = scored.clone().filter(|frame| *frame % 7 == 6).count();
    let scored = scored.count();
    assert_eq!((&stats["scored"], &stats["abstained"]), (&scored.into(), &unsure.into()));
    let sum: u64 = stats["labels"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(sum as usize, scored - unsure);
    assert_eq!(stats["quality"]["blurred"], 401 - scored);
    let median = stats["latency_ms"]["median"].as_f64().unwrap();
    let p95 = stats["latency_ms"]["p95"].as_f64().unwrap();
    assert!((median - 1.049).abs() < 0.005 && (p95 - 1.094).abs() < 0.005, "{median} {p95}");
    assert_eq!(stats["gaps"]["count"], 2);
    assert_eq!(stats["gaps"]["longest"][0]["seconds"], 240.0);
    assert_eq!(stats["gaps"]["longest"][1]["seconds"], 1.5);
    assert_eq!(stats["events"]["camera_back"], 1);
    assert_eq!(stats["sessions"][0]["bundle"], "ferplus-edge");
    assert_eq!(stats["bytes"], bytes(&path));
    let half: Value =
        serde_json::from_str(&text(&["stats", "--json", "--until", "2026-11-25T10:01:00Z"], &path)).unwrap();
    assert_eq!((&half["records"], &half["frames"]), (&200.into(), &100.into()));
    let table = text(&["stats"], &path);
    assert!(table.contains("records      401 of 2 tracks") && table.contains("unsure"), "{table}");
}

#[test]
fn verify_tells_damage_from_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    assert_eq!(text(&["verify"], &path), "401 records, 4 events, 1 sessions: no damage\n");
    let connection = rusqlite::Connection::open(&path).unwrap();
    let damaged = |statement: &str| {
        connection
            .execute_batch(&format!("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; {statement}"))
            .unwrap();
        let output = log(&["verify"], &path);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = damaged("DELETE FROM event WHERE kind = 'stop'");
    assert!(code == Some(0) && said.starts_with("note: session 1 has no stop"), "{said}");
    let (code, said) = damaged("UPDATE record SET monotonic_us = 1 WHERE id = 77");
    assert!(
        code == Some(1)
            && said
                .contains("damage: session 1: the monotonic time of its records goes back 1 times, first at number 77"),
        "{said}"
    );
    let (code, said) = damaged("UPDATE record SET session = 9 WHERE id = 5");
    assert!(code == Some(1) && said.contains("damage: record 5 refers to a session that is not there"), "{said}");
    let (code, said) = damaged("UPDATE record SET quality = 9 WHERE id = 6");
    assert!(code == Some(1) && said.contains("CHECK constraint failed"), "{said}");
    drop(connection);

    let mut content = fs::read(&path).unwrap();
    let middle = content.len() / 2;
    content[middle..middle + 2048].fill(0xff);
    fs::write(&path, &content).unwrap();
    let output = log(&["verify"], &path);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("damage: "));
    content[..100].fill(0);
    fs::write(&path, content).unwrap();
    let output = log(&["verify"], &path);
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(1), false));
    assert_eq!(log(&["stats"], &path).status.code(), Some(2));
    assert_eq!(log(&["verify"], &folder.path().join("none")).status.code(), Some(2));
}

#[test]
fn a_copy_without_its_log_is_told_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let [path, copy] = ["journal", "copy"].map(|name| folder.path().join(name));
    let writer = open(&path, config());
    writer.observe(&observation(0, 1));
    assert!(writer.flush(PATIENCE));
    fs::copy(&path, &copy).unwrap();
    let output = log(&["stats"], &copy);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("copy it with its -wal file"), "{said}");
    writer.close("test").unwrap();
}

#[test]
fn tail_shows_the_newest_and_follows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let writer = open(&path, config());
    (0..20).for_each(|frame| writer.observe(&observation(frame, 1)));
    assert!(writer.flush(PATIENCE));
    let shown = text(&["tail", "-n", "3"], &path);
    assert_eq!(shown.lines().count(), 3);
    assert_eq!(shown.lines().last(), Some("2026-11-25T10:00:01.900000Z  track 1  blurred  64x19 at -2,40  1.0 ms"));

    let mut follower = Command::new(env!("CARGO_BIN_EXE_edge-runtime"))
        .args(["log", "tail", "--follow", "--json", "-n", "1", "--journal"])
        .arg(&path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["frame"], 19);
    for frame in 20..23 {
        writer.observe(&observation(frame, 1));
        assert_eq!(next()["frame"], frame);
    }
    writer.event(Event::CameraBack { gap_ms: 7 });
    assert_eq!(next()["event"], "camera_back");
    writer.close("test").unwrap();
    assert_eq!(next()["event"], "stop");
    // The next run writes a session of its own.
    let writer = open(&path, config());
    assert_eq!(next()["event"], "start");
    writer.close("test").unwrap();
    assert_eq!(next()["event"], "stop");
    // A journal that is put away and begun anew is followed too.
    for suffix in ["", "-wal", "-shm"] {
        let [from, to] = ["journal", "old"].map(|name| folder.path().join(format!("{name}{suffix}")));
        // The follower keeps the log; without it there would be none.
        fs::rename(from, to).unwrap();
    }
    let writer = open(&path, config());
    writer.observe(&observation(99, 1));
    assert_eq!(next()["event"], "start");
    assert_eq!(next()["frame"], 99);
    drop(writer);
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn a_report_is_one_page_that_loads_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    let output = folder.path().join("page.html");
    text(&["report", "-o", output.to_str().unwrap()], &path);
    let page = fs::read_to_string(&output).unwrap();
    for part in ["Expressions over time", "Tracks", "Latency", "Gaps", "camera lost", "no frames", "&lt;unplugged&gt;"]
    {
        assert!(page.contains(part), "{part}");
    }
    for forbidden in ["<script", "http:", "https:", "src=", "@import", "url(h", "NaN", "<unplugged>"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    // Expressions, hours, tracks and latency are drawn; the shares are a row of the table for each label and one for unsure.
    assert_eq!(page.matches("<svg").count(), 4);
    for row in ["<th scope=\"row\">happiness</th><td class=\"number\">", "<th scope=\"row\">unsure</th>"] {
        assert_eq!(page.matches(row).count(), 1, "{row}");
    }
    assert_eq!(page.matches("class=\"track\"").count(), 9);
    // Each stretch with records shows its values to the pointer.
    assert!(page.contains(": median 1.0") && page.contains("happiness "));
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    let empty = log(&["report", "--until", "2020-01-01", "-o", output.to_str().unwrap()], &path);
    assert_eq!(empty.status.code(), Some(2));
    // One record, so that first and last are the same instant.
    text(&["report", "--until", "2026-11-25T10:00:00.05Z", "-o", output.to_str().unwrap()], &path);
    assert!(!fs::read_to_string(&output).unwrap().contains("NaN"));
}

#[test]
fn kept_faces_become_pictures_whose_names_tell_time_track_and_label() {
    let folder = tempfile::tempdir().unwrap();
    let (path, faces) = (folder.path().join("journal"), folder.path().join("faces"));
    let out = faces.to_str().unwrap();
    let writer = open(&path, Config { keep_faces: true, ..config() });
    for frame in 0..5 {
        let pixels = [frame as u8; 9];
        let face = Face { size: 3, channels: 1, pixels: &pixels };
        // The second track has no face to keep.
        writer.observe_with_faces(&observation(frame, 2), &[Some(face), None]);
    }
    writer.close("test").unwrap();
    let said = text(&["faces", "--output", out, "--since", "2026-11-25T10:00:00.1Z"], &path);
    assert!(said.starts_with("4 faces in "), "{said}");
    let mut names: Vec<String> =
        fs::read_dir(&faces).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.pop().as_deref(), Some("faces.csv"));
    let begins: Vec<&str> = names.iter().map(|name| name.rsplit_once('_').unwrap().0).collect();
    assert_eq!(
        begins,
        [
            "2026-11-25T10-00-00.100000Z_session-1_track-1_surprise",
            "2026-11-25T10-00-00.200000Z_session-1_track-1_sadness",
            "2026-11-25T10-00-00.300000Z_session-1_track-1_anger",
            "2026-11-25T10-00-00.400000Z_session-1_track-1_blurred",
        ]
    );
    let picture = expression_engine::Picture::open(&faces.join(&names[2])).unwrap();
    assert_eq!((picture.width, picture.height, picture.channels, picture.data), (3, 3, 1, vec![3; 9]));
    let nothing = log(&["faces", "--output", out, "--until", "2026-11-24"], &path);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("--keep-faces"));
}
