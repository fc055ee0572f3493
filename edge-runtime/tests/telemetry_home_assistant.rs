//! What Home Assistant is told over a real broker, and what it may ask for.
#![cfg(feature = "mqtt")]

#[path = "telemetry_support/broker.rs"]
mod broker;
#[path = "telemetry_support/records.rs"]
mod records;
#[path = "telemetry_support/schema.rs"]
mod schema;
#[path = "telemetry_support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use broker::{Broker, skipped};
use edge_runtime::event::Event;
use edge_runtime::telemetry::mqtt::BrokerOptions;
use edge_runtime::telemetry::{Telemetry, TelemetryOptions};
use support::*;

fn publish(options: BrokerOptions) -> Telemetry {
    let options = TelemetryOptions { mqtt: Some(options), ..TelemetryOptions::default() };
    Telemetry::start(options, about(), None).unwrap()
}

#[test]
fn home_assistant_is_told_of_the_board_and_its_state() {
    if skipped() {
        return;
    }
    let broker = Broker::anonymous();
    let telemetry = publish(broker.options());
    let mut listener = broker.listen("test/board/#", &[]);
    listener.find("test/board/status", |payload| payload == "online");
    // No face while there is no frame.
    let state = listener.find("test/board/state", |_| true);
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!((&state["face"], &state["face_count"], &state["camera"]["up"]), (&json(), &json(), &false.into()));
    telemetry.observe(&frame(1), &observation(1));
    let state = listener.find("test/board/state", |payload| payload.contains("\"face_count\":2"));
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    let expected = observation(1).faces[0].label.unwrap().name();
    records::hold("status", &state);
    let face = &state["face"];
    assert_eq!((face["label"].as_str(), face["track"].as_i64()), (Some(expected), Some(1)));
    assert_eq!((&state["celsius"], &state["camera"]["up"]), (&51.25.into(), &true.into()));
    assert_eq!(face["scores"].as_object().unwrap().len(), 8);
    // Nothing stale is told while the camera is lost.
    telemetry.event(&Event::CameraLost { reason: "unplugged".into() });
    let lost = listener.find("test/board/state", |payload| payload.contains("\"up\":false"));
    let lost: serde_json::Value = serde_json::from_str(&lost).unwrap();
    records::hold("status", &lost);
    assert_eq!((&lost["face"], &lost["face_count"]), (&json(), &json()));
    assert!(lost["camera"]["lost_since"].is_string());
    telemetry.event(&Event::WritingFailed { cause: "disk_full".into(), message: "disk full".into() });
    listener.find("test/board/state", |payload| payload.contains("\"failing_because\":\"disk full\""));

    // Retained: who comes later learns it too.
    let mut late = broker.listen("homeassistant/#", &[]);
    let mut entities = std::collections::BTreeMap::new();
    while entities.len() < 20 {
        let (topic, payload) = late.next();
        let config: serde_json::Value = serde_json::from_str(&payload).unwrap();
        assert_eq!(config["state_topic"], "test/board/state");
        let camera = config["availability"][1]["value_template"].as_str().unwrap_or_default();
        assert_eq!(config["availability"][0]["topic"], "test/board/status");
        assert_eq!(config["device"]["name"], "board");
        let parts: Vec<_> = topic.split('/').collect();
        assert!(parts.len() == 5 && parts[4] == "config", "{topic}");
        assert!(topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte)), "{topic}");
        // What a day has brought and the switch are of the board, too.
        let of_day = ["visits_today", "smiles_today", "smiles_last_hour", "pause"].contains(&parts[3]);
        let of_board = config["entity_category"] == "diagnostic" || of_day;
        assert_eq!(camera.contains("value_json.camera.up"), !of_board, "{topic}");
        entities.insert(format!("{}/{}", parts[1], parts[3]), config);
    }
    let ids: BTreeSet<_> = entities.values().map(|config| config["unique_id"].to_string()).collect();
    assert_eq!(ids.len(), entities.len());
    assert!(entities.contains_key("binary_sensor/face"));
    assert_eq!(entities["binary_sensor/camera_problem"]["device_class"], "problem");
    assert_eq!(entities["sensor/expression"]["options"].as_array().unwrap().len(), 8);
    assert!(
        entities["sensor/score_happiness"]["value_template"]
            .as_str()
            .unwrap()
            .contains("value_json.face.scores.happiness")
    );

    assert_eq!(entities["switch/pause"]["command_topic"], "test/board/pause/set");
    assert!(entities["switch/pause"]["device"].get("configuration_url").is_none(), "nobody else reaches the preview");

    // A stop on purpose is told.
    drop(telemetry);
    listener.find("test/board/status", |payload| payload == "offline");
}

/// The version of Home Assistant that `telemetry_support/home_assistant.py` was written for: it reads parts that are not its API.
const HOME_ASSISTANT: &str = "2026.11.0";

/// The wheel of Home Assistant, downloaded once for all runs of the tests; `None` if pip does not find it.
fn home_assistant() -> Option<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("home-assistant");
    let wheel = || {
        let files = std::fs::read_dir(&folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        let name = format!("homeassistant-{HOME_ASSISTANT}-");
        let is_it =
            |path: &std::path::PathBuf| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&name));
        files.filter(|path| path.extension().is_some_and(|extension| extension == "whl")).find(is_it)
    };
    if wheel().is_none() {
        let mut pip = Command::new("python3");
        let wanted = format!("homeassistant=={HOME_ASSISTANT}");
        pip.args(["-m", "pip", "download", &wanted, "--no-deps", "--ignore-requires-python", "--quiet"]);
        pip.args(["--only-binary=:all:", "--disable-pip-version-check", "--dest"]).arg(&folder).stderr(Stdio::null());
        let _ = pip.status();
    }
    let found = wheel();
    if found.is_none() {
        eprintln!("skipped: pip cannot download homeassistant, whose schemas the announcements are held to");
    }
    found
}

#[test]
fn announcements_fit_the_schemas_of_home_assistant() {
    if skipped() {
        return;
    }
    let Some(wheel) = home_assistant() else { return };
    let broker = Broker::anonymous();
    let options = TelemetryOptions {
        preview: Some("0.0.0.0:0".parse().unwrap()),
        preview_rate: 10,
        mqtt: Some(broker.options()),
        ..TelemetryOptions::default()
    };
    let _telemetry = Telemetry::start(options, about(), None).unwrap();
    let mut listener = broker.listen("homeassistant/#", &[]);
    let mut messages = std::collections::BTreeMap::new();
    while messages.len() < 20 {
        let (topic, payload) = listener.next();
        let config: serde_json::Value = serde_json::from_str(&payload).unwrap();
        messages.insert(topic.strip_prefix("homeassistant/").unwrap().to_owned(), config);
    }
    let check = |messages: &[(&String, &serde_json::Value)]| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/telemetry_support/home_assistant.py");
        let mut python = Command::new("python3");
        python.arg(script).arg(&wheel).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut python = python.spawn().unwrap();
        python.stdin.take().unwrap().write_all(serde_json::to_string(messages).unwrap().as_bytes()).unwrap();
        let output = python.wait_with_output().unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    };
    let all: Vec<_> = messages.iter().collect();
    assert_eq!(check(&all), Ok("20".to_owned()));
    // What it finds wrong.
    let (topic, config) = all[0];
    for (key, value) in [("icno", "mdi:eye"), ("device_class", "trouble"), ("entity_category", "config")] {
        let mut wrong = config.clone();
        wrong[key] = value.into();
        let refused = check(&[(topic, &wrong)]);
        assert!(refused.is_err(), "{key} = {value} is not refused");
    }
}

#[test]
fn the_broker_asks_for_a_pause_unless_only_the_button_may() {
    if skipped() {
        return;
    }
    let broker = Broker::anonymous();
    let send = |payload: &str, more: &[&str]| {
        let port = broker.port.to_string();
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", "test/board/pause/set", "-m", payload]);
        assert!(command.args(more).status().unwrap().success());
    };
    // A request from the past, which the broker has kept.
    send("ON", &["-r"]);
    let telemetry = publish(broker.options());
    let mut listener = broker.listen("test/board/#", &[]);
    listener.find("test/board/status", |payload| payload == "online");
    assert_eq!(telemetry.take_pause_request(), None);
    for (payload, asked) in [("ON", true), ("OFF", false)] {
        send("pause", &[]);
        send(payload, &[]);
        assert_eq!(until("a request", || telemetry.take_pause_request()), asked);
        assert_eq!(telemetry.take_pause_request(), None, "it is told once");
    }
    let mut announced = broker.listen("homeassistant/#", &[]);
    let switch = loop {
        let (topic, payload) = announced.next();
        if topic.ends_with("/pause/config") && !payload.is_empty() {
            break topic;
        }
    };
    drop(telemetry);
    let options = BrokerOptions { pauses: false, ..broker.options() };
    let telemetry = publish(options);
    // The broker still has the switch of the run before.
    announced.find(&switch, |payload| payload.is_empty());
    listener.find("test/board/status", |payload| payload == "online");
    send("ON", &[]);
    std::thread::sleep(Duration::from_millis(500));
    let state = broker.listen("test/board/state", &[]).find("test/board/state", |_| true);
    assert!(state.contains("\"paused\":false"), "{state}");
    assert_eq!(telemetry.take_pause_request(), None);
}

/// What a field is that has no value.
fn json() -> serde_json::Value {
    serde_json::Value::Null
}
