//! One schema for everything that the program writes for other programs: `docs/records.schema.json`.
#![cfg(all(feature = "preview", feature = "metrics"))]

mod journal_common;
#[path = "telemetry_support/records.rs"]
mod records;
#[path = "telemetry_support/schema.rs"]
mod schema;
#[path = "telemetry_support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use edge_runtime::event::{Event, Rate, Throttling};
use edge_runtime::journal::{Reader, Writer};
use edge_runtime::record::{FaceRecord, FrameRecord};
use edge_runtime::telemetry::TelemetryOptions;
use serde_json::{Value, json};

/// The lines that the program prints.
fn lines(arguments: &[&str]) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_edge-runtime")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn bundle() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/ferplus-edge")
}

fn picture(folder: &Path) -> PathBuf {
    let path = folder.join("face.png");
    let grey = image::GrayImage::from_fn(96, 80, |x, y| image::Luma([(x * y % 251) as u8]));
    grey.save(&path).unwrap();
    path
}

/// A journal with faces that are read, labelled and blurred, and with events that have details.
fn journal(folder: &Path) -> PathBuf {
    let path = folder.join("journal");
    let writer = Writer::open(&path, journal_common::config(), journal_common::session()).unwrap();
    (0..20).for_each(|frame| writer.observe(&journal_common::observation(frame, 2)));
    let mut named = journal_common::observation(20, 1);
    named.name = Some("a.png".into());
    writer.observe(&named);
    writer.event(Event::CameraLost { reason: "unplugged".into() });
    writer.event(Event::CameraBack { gap_ms: 1500 });
    writer.close("test").unwrap();
    path
}

#[test]
fn classify_writes_frames() {
    let folder = tempfile::tempdir().unwrap();
    let (bundle, picture) = (bundle(), picture(folder.path()));
    let found = lines(&["classify", "--bundle", bundle.to_str().unwrap(), picture.to_str().unwrap()]);
    assert_eq!(found.len(), 1);
    records::hold("frame", &found[0]);
    let record: FrameRecord = serde_json::from_value(found[0].clone()).unwrap();
    assert_eq!((record.frame_width, record.frame_height), (96, 80));
    let [FaceRecord { label: Some(label), scores: Some(scores), integer_scores: Some(integers), .. }] =
        &record.faces[..]
    else {
        panic!("{record:?}")
    };
    // The label is that of the largest score, both kinds of which have the same order.
    let (top, _) = integers.iter().enumerate().max_by_key(|(at, score)| (**score, std::cmp::Reverse(*at))).unwrap();
    assert_eq!((scores.0[top].0.name(), scores.0.len()), (label.as_str(), integers.len()));
}

#[test]
fn run_prints_frames() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = std::env::var_os("EDGE_RUNTIME_TEST_BUNDLE").map_or_else(bundle, PathBuf::from);
    if !bundle.join("detector.onnx").is_file() {
        eprintln!(
            "skipped: no detector beside the bundle (host-trainer detector models/ferplus-edge); tests/tests/run.rs has one"
        );
        return;
    }
    picture(folder.path());
    let source = format!("dir:{}", folder.path().display());
    let bundle = bundle.to_str().unwrap();
    let found = lines(&["run", "--board", "generic-x86-64", "--source", &source, "--bundle", bundle, "--print"]);
    assert_eq!(found.len(), 1);
    records::hold("frame", &found[0]);
}

#[test]
fn journals_are_exported_as_faces_and_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    let path = path.to_str().unwrap();
    let faces = lines(&["log", "export", "--format", "jsonl", "--journal", path]);
    assert_eq!(faces.len(), 41);
    for face in &faces {
        records::hold("journal_face", face);
    }
    // Probabilities stand beside the integer scores, for every label that the model has.
    let read = faces.iter().find(|face| !face["scores"].is_null()).unwrap();
    let sum: f64 = read["scores"].as_object().unwrap().values().map(|share| share.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-3 && read["integer_scores"].as_array().unwrap().len() == 8, "{read}");
    let events = lines(&["log", "export", "--events", "--format", "jsonl", "--journal", path]);
    for event in &events {
        records::hold("journal_event", event);
    }
    let back = events.iter().find(|event| event["event"] == "camera_back").unwrap();
    assert_eq!(back["detail"], json!({ "gap_ms": 1500 }));
    for entry in lines(&["log", "tail", "--json", "-n", "60", "--journal", path]) {
        let kind = if entry["event"].is_null() { "journal_face" } else { "journal_event" };
        records::hold(kind, &entry);
    }
}

#[test]
fn a_journal_without_a_scale_is_exported_without_probabilities() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let writer = Writer::open(&path, journal_common::config(), journal_common::session()).unwrap();
    writer.observe(&journal_common::observation(0, 1));
    writer.close("test").unwrap();
    // As earlier versions wrote it.
    rusqlite::Connection::open(&path).unwrap().execute_batch("DROP TABLE model").unwrap();
    let face = &lines(&["log", "export", "--format", "jsonl", "--journal", path.to_str().unwrap()])[0];
    records::hold("journal_face", face);
    assert!(face["scores"].is_null() && face["integer_scores"].is_array(), "{face}");
    // A writer adds what is missing.
    Writer::open(&path, journal_common::config(), journal_common::session()).unwrap().close("test").unwrap();
    assert!(journal_common::damage(&path).is_empty() && Reader::open(&path).is_ok());
}

/// Every event that telemetry knows.
fn events() -> Vec<Event> {
    vec![
        Event::CameraLost { reason: "unplugged".into() },
        Event::CameraBack { gap_ms: 1500 },
        Event::Throttled(Throttling { to: Some(Rate::Half), ..Throttling::default() }),
        Event::WritingFailed { cause: "disk_full".into(), message: "disk full".into() },
        Event::RecordsLost { records: 3, events: 0, seconds: 1.0 },
        Event::WritingRecovered { seconds: 2.5 },
        Event::Unthrottled(Throttling { to: Some(Rate::Full), ..Throttling::default() }),
        Event::RecordingPaused { by: "button".into() },
        Event::RecordingResumed { by: "button".into() },
        Event::Stop { reason: "two\nlines".into() },
    ]
}

#[test]
fn the_preview_sends_observations_and_events() {
    let preview = Some("127.0.0.1:0".parse().unwrap());
    let telemetry = support::start(TelemetryOptions { preview, preview_rate: 60, ..TelemetryOptions::default() });
    let address = telemetry.preview_address().unwrap();
    records::hold("overview", &support::get(address, "/api/state", &[]).json());
    let mut stream = support::connect(address);
    support::send(&mut stream, address, "GET", "/events", &[], "");
    let mut messages = BufReader::new(stream).lines().map(Result::unwrap);
    messages.find(|line| line.starts_with(": hello")).unwrap();
    telemetry.observe(&support::frame(1), &support::observation(1));
    let all = events();
    let count = all.len();
    // One after the other: a listener that lags behind misses some.
    let mut data = messages.filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    records::hold("observation", &data.next().unwrap());
    let mut told = Vec::new();
    for event in all {
        telemetry.event(&event);
        let event = data.next().unwrap();
        records::hold("live_event", &event);
        told.push(event);
    }
    assert_eq!(told.len(), count);
    telemetry.observe(&support::frame(2), &support::observation(2));
    let overview = support::get(address, "/api/state", &[]).json();
    records::hold("overview", &overview);
    assert_eq!(overview["events"].as_array().unwrap().len(), count);
}

#[cfg(feature = "mqtt")]
#[test]
fn the_broker_is_sent_the_same() {
    use edge_runtime::command::log::tail;
    let folder = tempfile::tempdir().unwrap();
    let reader = Reader::open(&journal(folder.path())).unwrap();
    let mut sessions = tail::Sessions::read(&reader).unwrap();
    let entries = reader.entries_after(0, 1000).unwrap();
    assert!(entries.len() > 41);
    for entry in &entries {
        let value: Value = serde_json::from_str(&tail::json(&reader, &mut sessions, entry).unwrap()).unwrap();
        records::hold(if value["event"].is_null() { "journal_face" } else { "journal_event" }, &value);
    }
}

#[test]
#[should_panic(expected = "the field surplus is not in the schema")]
fn a_field_that_the_schema_lacks_is_noticed() {
    let mut record = serde_json::to_value(FrameRecord::default()).unwrap();
    record["surplus"] = 1.into();
    records::hold("frame", &record);
}
