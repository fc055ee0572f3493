//! `/health` and `edge-runtime health`: over the service's socket, and where preview and metrics listen.
#![cfg(all(feature = "preview", feature = "metrics"))]

#[path = "telemetry_support/mod.rs"]
mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use edge_runtime::event::Event;
use edge_runtime::telemetry::{About, ClientLimits, Telemetry, TelemetryOptions, Token};
use support::*;

/// What `edge-runtime health` says: exit code, stdout, stderr.
fn health(socket: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edge-runtime"));
    let Output { status, stdout, stderr } =
        command.arg("health").arg("--socket").arg(socket).args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn the_program_asks_the_service_over_its_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("health.sock");
    let (code, _, error) = health(&socket, &[]);
    assert_eq!(code, Some(1));
    assert!(error.contains("is the service running") && error.lines().count() == 1, "{error}");

    // A socket that a killed run left behind is no obstacle.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let journal = folder.path().join("journal.sqlite");
    std::fs::write(&journal, [0; 300]).unwrap();
    let options = TelemetryOptions { health: Some(socket.clone()), ..TelemetryOptions::default() };
    let about = About { journal: Some(journal), ..about() };
    let telemetry = Telemetry::start(options, about, None).unwrap();
    telemetry.event(&Event::Start);
    let (code, lines, error) = health(&socket, &[]);
    assert_eq!((code, error.as_str()), (Some(1), "error: camera: no frame has come yet\n"));
    let outcomes: Vec<_> = lines.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>()).collect();
    assert_eq!(outcomes, [["ok", "ready"], ["ok", "model"], ["fail", "camera"], ["ok", "journal"]], "{lines}");
    assert!(lines.contains("300 bytes"), "{lines}");
    let (code, lines, _) = health(&socket, &["--ignore", "camera"]);
    assert!(code == Some(0) && lines.contains("warn  camera"), "{lines}");

    // It waits until all is well.
    let waiting = std::thread::spawn({
        let socket = socket.clone();
        move || health(&socket, &["--wait", "60", "--model", "0123"])
    });
    telemetry.observe(&frame(7), &observation(7));
    let (code, lines, error) = waiting.join().unwrap();
    assert_eq!(code, Some(0), "{lines}{error}");
    let (code, _, error) = health(&socket, &["--model", "ffff"]);
    assert_eq!((code, error.as_str()), (Some(1), "error: model: 0123abcd runs, not ffff\n"));

    let (code, json, _) = health(&socket, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["healthy"], &json["faces_today"]), (Some(0), &true.into(), &1.into()));
    assert_eq!((&json["model"], &json["journal"]["bytes"]), (&"0123abcd".into(), &300.into()));
    telemetry.event(&Event::WritingFailed { cause: "disk_full".into(), message: "disk is full".into() });
    let (code, lines, _) = health(&socket, &[]);
    assert!(code == Some(1) && lines.contains("fail  journal  cannot be written: disk is full"), "{lines}");
    let (_, json, _) = health(&socket, &["--json"]);
    assert!(json.contains(r#""last_error":{"time":"#), "{json}");
}

#[test]
fn health_is_served_beside_the_metrics_under_the_same_conditions() {
    let any = || Some("127.0.0.1:0".parse().unwrap());
    let telemetry =
        start(TelemetryOptions { preview: any(), metrics: any(), preview_rate: 20, ..TelemetryOptions::default() });
    let addresses = [telemetry.preview_address().unwrap(), telemetry.metrics_address().unwrap()];
    for address in addresses {
        let answer = get(address, "/health", &[]);
        assert_eq!((answer.status, &answer.json()["ready"]), (503, &false.into()));
    }
    telemetry.event(&Event::Start);
    telemetry.observe(&frame(7), &observation(7));
    for address in addresses {
        let answer = get(address, "/health", &[]);
        assert_eq!((answer.status, &answer.json()["camera"]["up"]), (200, &true.into()));
    }
    let guarded = TelemetryOptions {
        metrics: Some("0.0.0.0:0".parse().unwrap()),
        token: Token::new(TOKEN),
        ..TelemetryOptions::default()
    };
    let telemetry = start(guarded);
    let address = ([127, 0, 0, 1], telemetry.metrics_address().unwrap().port()).into();
    assert_eq!(get(address, "/health", &[]).status, 401);
}

#[test]
fn viewers_who_take_all_places_do_not_keep_the_health_from_being_told() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("health.sock");
    let telemetry = start(TelemetryOptions {
        preview: Some("127.0.0.1:0".parse().unwrap()),
        preview_rate: 20,
        health: Some(socket.clone()),
        limits: ClientLimits { connections: 1, head: LONG, ..ClientLimits::default() },
        ..TelemetryOptions::default()
    });
    // Its request never ends, so it keeps the only place.
    let mut slow = connect(telemetry.preview_address().unwrap());
    slow.write_all(b"GET / HTTP/1.1\r\nHost: local").unwrap();
    let (code, lines, error) = health(&socket, &["--ignore", "camera", "--ignore", "ready"]);
    assert_eq!(code, Some(0), "{lines}{error}");
}

#[test]
fn idle_connections_do_not_keep_the_health_from_being_told_and_the_socket_goes_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("health.sock");
    let telemetry = start(TelemetryOptions {
        health: Some(socket.clone()),
        limits: ClientLimits { connections: 4, head: LONG, ..ClientLimits::default() },
        ..TelemetryOptions::default()
    });
    let idle: Vec<_> = (0..40).map(|_| std::os::unix::net::UnixStream::connect(&socket).unwrap()).collect();
    let (code, lines, error) = health(&socket, &["--ignore", "camera", "--ignore", "ready"]);
    assert_eq!(code, Some(0), "{lines}{error}");
    drop((idle, telemetry));
    assert!(!socket.exists());
}

/// The whole program, in the runtime directory that systemd would give it.
#[test]
fn a_run_listens_in_its_runtime_directory() {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/ferplus-edge");
    if !bundle.join("detector.onnx").exists() {
        eprintln!(
            "skipped: the whole program's health: models/ferplus-edge has no detector; `cargo xtask setup` brings it"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_edge-runtime"));
    run.args(["run", "--board", "generic-x86-64", "--source", "v4l2:/dev/no-camera", "--bundle"]).arg(&bundle);
    run.arg("--journal").arg(folder.path().join("journal.sqlite"));
    let mut run = run.env("RUNTIME_DIRECTORY", folder.path()).stderr(Stdio::null()).spawn().unwrap();
    let (socket, begun) = (folder.path().join("health.sock"), Instant::now());
    let (code, lines, error) = loop {
        let told = health(&socket, &["--wait", "2", "--ignore", "camera"]);
        if told.0 == Some(0) || begun.elapsed() > LONG {
            break told;
        }
    };
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(code == Some(0) && lines.contains("ok    ready"), "{lines}{error}");
    assert!(lines.contains("warn  camera") && lines.contains("ferplus-edge"), "{lines}");
}
