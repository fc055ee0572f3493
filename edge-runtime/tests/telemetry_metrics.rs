//! The metrics' text, read by Prometheus' own parser for Python.
#![cfg(feature = "metrics")]

#[path = "telemetry_support/mod.rs"]
mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use edge_runtime::event::{Event, Rate, Throttling};
use edge_runtime::telemetry::{About, Telemetry, TelemetryOptions};
use support::*;

/// Prints every sample as JSON: name, labels, value and the type of its metric; fails on what the format forbids.
const PARSER: &str = r#"
import json, sys
from prometheus_client.parser import text_string_to_metric_families as families
text = sys.stdin.read()
seen = []
for family in families(text):
    assert family.documentation, family.name
    for sample in family.samples:
        seen.append([sample.name, sample.labels, sample.value, family.type])
keys = [json.dumps(sample[:2]) for sample in seen]
assert len(keys) == len(set(keys)), "a sample comes twice"
print(json.dumps(seen))
"#;

/// Samples as the parser reads them; `None` where it is not installed.
fn parsed(text: &str) -> Option<Vec<serde_json::Value>> {
    let there = Command::new("python3").args(["-c", "import prometheus_client.parser"]).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        eprintln!("skipped: python3 has no prometheus_client (pip install prometheus_client)");
        return None;
    }
    let mut child =
        Command::new("python3").args(["-c", PARSER]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the parser refuses {text}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn telemetry(bundle: &str) -> Telemetry {
    let options = TelemetryOptions { metrics: Some("127.0.0.1:0".parse().unwrap()), ..TelemetryOptions::default() };
    Telemetry::start(options, About { bundle: bundle.into(), ..about() }, None).unwrap()
}

#[test]
fn every_metric_says_what_was_fed() {
    let telemetry = telemetry("a \"quoted\\ name\"\nin two lines");
    for sequence in [0, 1, 2, 5] {
        telemetry.observe(&frame(sequence), &observation(sequence));
    }
    let mut late = observation(6);
    late.latency_us = 3_000_000;
    telemetry.observe(&frame(6), &late);
    telemetry.event(&Event::CameraLost { reason: "unplugged".into() });
    telemetry.event(&Event::CameraBack { gap_ms: 100 });
    telemetry.observe(&frame(900), &observation(900));
    telemetry.event(&Event::JournalCommitted { batches: 1, records: 12 });
    telemetry.event(&Event::JournalCommitted { batches: 1, records: 3 });
    telemetry.event(&Event::RecordsLost { records: 4, events: 0, seconds: 1.0 });
    telemetry.event(&Event::WritingFailed { cause: "disk_full".into(), message: "disk full".into() });
    telemetry.event(&Event::Throttled(Throttling { to: Some(Rate::Half), ..Throttling::default() }));

    let answer = get(telemetry.metrics_address().unwrap(), "/metrics", &[]);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let Some(samples) = parsed(&answer.text()) else { return };
    let value = |name: &str, label: &str| {
        let found = samples.iter().find(|sample| {
            sample[0] == name
                && (label.is_empty() || sample[1].as_object().unwrap().values().any(|value| value == label))
        });
        found.unwrap_or_else(|| panic!("no {name} {label}"))[2].as_f64().unwrap()
    };
    for (name, label, expected) in [
        ("edge_runtime_frames_total", "", 6.0),
        // 3 and 4; what a lost camera counted meanwhile is no loss of frames.
        ("edge_runtime_frames_lost_total", "", 2.0),
        ("edge_runtime_faces", "", 2.0),
        ("edge_runtime_faces_total", "good", 6.0),
        ("edge_runtime_faces_total", "small", 6.0),
        ("edge_runtime_faces_total", "turned", 0.0),
        ("edge_runtime_latency_seconds_bucket", "0.005", 0.0),
        ("edge_runtime_latency_seconds_bucket", "0.01", 5.0),
        ("edge_runtime_latency_seconds_bucket", "2", 5.0),
        ("edge_runtime_latency_seconds_bucket", "+Inf", 6.0),
        ("edge_runtime_latency_seconds_count", "", 6.0),
        ("edge_runtime_throttled", "", 1.0),
        ("edge_runtime_events_total", "camera_lost", 1.0),
        ("edge_runtime_events_total", "records_lost", 1.0),
        ("edge_runtime_temperature_celsius", "", 51.25),
        ("edge_runtime_camera_losses_total", "", 1.0),
        ("edge_runtime_journal_commits_total", "", 2.0),
        ("edge_runtime_journal_records_total", "", 15.0),
        ("edge_runtime_journal_dropped_total", "", 4.0),
        ("edge_runtime_paused", "", 0.0),
        ("edge_runtime_camera_up", "", 1.0),
        ("edge_runtime_journal_failing", "", 1.0),
        ("edge_runtime_processed_frames_ratio", "", 0.5),
        ("edge_runtime_build_info", "a \"quoted\\ name\"\nin two lines", 1.0),
    ] {
        assert_eq!(value(name, label), expected, "{name} {label}");
    }
    assert!((value("edge_runtime_latency_seconds_sum", "") - 3.0365).abs() < 1e-9);
    let labels: f64 = samples
        .iter()
        .filter(|sample| sample[0] == "edge_runtime_labels_total")
        .map(|sample| sample[2].as_f64().unwrap())
        .sum();
    assert_eq!(labels, 6.0);
    // By Prometheus' conventions what ends in _total is a counter, and nothing else is.
    for sample in &samples {
        let name = sample[0].as_str().unwrap();
        assert_eq!(name.ends_with("_total"), sample[3] == "counter", "{name}");
        // What every program has bears the name that every program gives it.
        assert!(name.starts_with("edge_runtime_") || name.starts_with("process_"), "{name}");
    }
}

#[test]
fn before_the_first_frame_nothing_is_made_up() {
    let telemetry = telemetry("b");
    let text = get(telemetry.metrics_address().unwrap(), "/metrics", &[]).text();
    assert!(!text.contains("temperature") && !text.contains("last_frame_age"), "{text}");
    let Some(samples) = parsed(&text) else { return };
    assert!(samples.iter().any(|sample| sample[0] == "edge_runtime_frames_total" && sample[2] == 0.0));
}

#[test]
fn while_the_camera_is_lost_nothing_stale_is_told() {
    let telemetry = telemetry("b");
    let text = || get(telemetry.metrics_address().unwrap(), "/metrics", &[]).text();
    let has = |text: &str, line: &str| text.lines().any(|found| found == line);
    telemetry.observe(&frame(1), &observation(1));
    assert!(has(&text(), "edge_runtime_camera_up 1") && has(&text(), "edge_runtime_faces 2"), "{}", text());
    telemetry.event(&Event::CameraLost { reason: "unplugged".into() });
    let lost = text();
    assert!(has(&lost, "edge_runtime_camera_up 0"), "{lost}");
    assert!(!lost.contains("\nedge_runtime_faces ") && !lost.contains("last_frame_age"), "{lost}");
    // Frames are the proof that it is back, with or without an event.
    telemetry.observe(&frame(900), &observation(900));
    assert!(has(&text(), "edge_runtime_camera_up 1") && has(&text(), "edge_runtime_faces 2"), "{}", text());
    telemetry.event(&Event::RecordingPaused { by: "button".into() });
    let paused = text();
    assert!(has(&paused, "edge_runtime_paused 1") && !paused.contains("\nedge_runtime_faces "), "{paused}");
    telemetry.event(&Event::WritingFailed { cause: "disk_full".into(), message: "disk full".into() });
    telemetry.event(&Event::WritingRecovered { seconds: 2.5 });
    assert!(has(&text(), "edge_runtime_journal_failing 0"));
}

/// The names of the metrics that a page writes in backticks, in tables and in examples of PromQL.
fn named(page: &str) -> std::collections::BTreeSet<&str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    page.split(|c| !word(c)).filter(|name| name.starts_with("edge_runtime_") || name.starts_with("process_")).collect()
}

#[test]
fn the_manual_and_the_program_name_the_same_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.sqlite");
    std::fs::write(&journal, "").unwrap();
    let options = TelemetryOptions { metrics: Some("127.0.0.1:0".parse().unwrap()), ..TelemetryOptions::default() };
    let telemetry = Telemetry::start(options, About { journal: Some(journal), ..about() }, None).unwrap();
    telemetry.observe(&frame(1), &observation(1));
    telemetry.event(&Event::Throttled(Throttling { to: Some(Rate::Half), ..Throttling::default() }));
    let text = get(telemetry.metrics_address().unwrap(), "/metrics", &[]).text();
    let manual = include_str!("../../docs/watching.md");
    let told: std::collections::BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let told_samples = named(&text);
    for name in &told {
        assert!(named(manual).contains(name), "docs/watching.md does not explain {name}");
    }
    for name in named(manual) {
        let known = told_samples.contains(name) || name.starts_with("edge_runtime_mqtt_");
        assert!(known, "docs/watching.md names {name}, which does not exist");
    }
}
