//! `edge-runtime demo` as somebody starts it who has just unpacked the program.
#![cfg(feature = "preview")]

#[path = "telemetry_support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use support::{get, until};

fn bundle() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/ferplus-edge")
}

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edge-runtime"));
    command.args(["demo", "--no-browser", "--port", "0"]).args(arguments);
    command.env_remove("RUST_LOG");
    command
}

/// A demo that runs. It ends when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_page_shows_a_face_of_the_clip() {
    let bundle = bundle();
    if !bundle.join("detector.onnx").is_file() {
        eprintln!("skipped: no detector beside the bundle (host-trainer detector models/ferplus-edge)");
        return;
    }
    let mut command = demo(&["--clip", "--bundle", bundle.to_str().unwrap()]);
    let mut demo = Running(command.stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(demo.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    let page = lines.find_map(|line| Some(line.strip_prefix("preview: http://")?.trim_end_matches('/').to_owned()));
    let address: SocketAddr = page.expect("the demo says where its page is").parse().unwrap();
    assert!(address.ip().is_loopback());
    let told: Vec<_> = lines.by_ref().take(6).collect();
    assert!(told[0].contains("built-in clip") && told.iter().any(|line| line.contains("--journal")), "{told:?}");
    let face = until("a face", || {
        let state = get(address, "/api/state", &[]).json();
        state["status"]["face"].as_object().filter(|face| face["label"].is_string()).cloned()
    });
    assert_eq!(face["quality"], "good");
    let picture = get(address, "/frame.jpg", &[]);
    assert_eq!((picture.status, &picture.body[..2]), (200, &[0xff, 0xd8][..]));
}

#[test]
fn a_bundle_without_its_detector_and_a_missing_bundle_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(bundle()).unwrap().map(Result::unwrap) {
        if entry.file_name() != "detector.onnx" {
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    let refused = demo(&["--bundle", folder.path().to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!((refused.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("lacks detector.onnx") && said.contains("host-trainer detector"), "{said}");
    let refused = demo(&["--bundle", "/nowhere"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("/nowhere"), "{refused:?}");
}
