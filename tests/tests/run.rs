//! `edge-runtime run`, end to end: the rendered video and rendered pictures, journal, signals, bad input.

#[path = "../../edge-runtime/tests/telemetry_support/records.rs"]
mod records;
#[path = "../../edge-runtime/tests/telemetry_support/schema.rs"]
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use expression_engine::bundle;
use serde_json::Value;
use system_tests::video::{RATE, Scene, write};
use system_tests::{json_lines, program, refuse, root, shipped_bundle, succeed};

/// Seconds of the rendered video: all that its script has.
const SECONDS: u64 = 20;
/// Frames that a label must last: what shorter ones are is flicker. The smoothing holds for 200 ms.
const LABEL_LASTS: usize = 6;

fn video(folder: &Path, seconds: u64) -> (PathBuf, Vec<Value>) {
    let path = folder.join("video.y4m");
    let mut truth = Vec::new();
    let mut file = BufWriter::new(std::fs::File::create(&path).unwrap());
    write(&Scene::new(1).unwrap(), seconds * RATE, true, &mut file, &mut truth).unwrap();
    (path, json_lines(&truth))
}

fn run(bundle: &Path, source: &str) -> Command {
    let mut command = program("edge-runtime");
    command.args(["run", "--board", "generic-x86-64", "--source", source, "--bundle"]).arg(bundle);
    command
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Intersection over union of two boxes: left, top, width, height.
fn overlap(a: &[f64], b: &[f64]) -> f64 {
    let side = |axis: usize| ((a[axis] + a[axis + 2]).min(b[axis] + b[axis + 2]) - a[axis].max(b[axis])).max(0.0);
    let both = side(0) * side(1);
    both / (a[2] * a[3] + b[2] * b[3] - both)
}

#[test]
fn tracks_keep_their_numbers_labels_do_not_flicker_and_the_journal_holds_it_all() {
    let folder = tempfile::tempdir().unwrap();
    let (bundle, (video, truth)) = (shipped_bundle(folder.path()), video(folder.path(), SECONDS));
    let journal = folder.path().join("journal.sqlite");
    let mut command = run(&bundle, &format!("y4m:{}", video.display()));
    command.args(["--print", "--records-per-second", "inf", "--journal"]).arg(&journal);
    let lines = json_lines(&succeed(&mut command).stdout);
    assert_eq!(lines.len() as u64, SECONDS * RATE);
    for line in &lines {
        records::hold("frame", line);
    }

    // The face of a record is the one whose box it shares most with.
    let mut of_face: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    let mut labels: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    let (mut seen, mut in_view, mut records) = (0, 0, 0);
    for line in &lines {
        let faces: Vec<&Value> = truth.iter().filter(|face| face["frame"] == line["frame"]).collect();
        in_view += faces.iter().filter(|face| face["visible"].as_f64().unwrap() > 0.98).count();
        for record in line["faces"].as_array().unwrap() {
            records += 1;
            let shared = |face: &&&Value| overlap(&numbers(&face["box"]), &numbers(&record["box"]));
            let face = faces.iter().max_by(|a, b| shared(a).total_cmp(&shared(b))).unwrap();
            let track = record["track"].as_u64().unwrap();
            if shared(&face) > 0.4 {
                of_face.entry(track).or_default().insert(face["face"].as_u64().unwrap());
                seen += usize::from(face["visible"].as_f64().unwrap() > 0.98);
            }
            labels.entry(track).or_default().push(record["label"].clone());
        }
    }
    // One face leaves and comes back, as another visit: three tracks, each of one face.
    let faces: Vec<Vec<u64>> = of_face.values().map(|faces| faces.iter().copied().collect()).collect();
    assert_eq!(of_face.keys().copied().collect::<Vec<_>>(), [1, 2, 3], "{of_face:?}");
    assert!(faces.iter().all(|faces| faces.len() == 1), "a track that changes faces: {of_face:?}");
    assert!(seen as f64 > 0.9 * in_view as f64, "{seen} of {in_view}");
    for (track, labels) in &labels {
        let runs: Vec<usize> = labels.chunk_by(|a, b| a == b).map(<[Value]>::len).collect();
        // The first and the last may be cut off.
        let shortest = runs.iter().skip(1).rev().skip(1).min();
        assert!(shortest.is_none_or(|frames| *frames >= LABEL_LASTS), "track {track}: {runs:?}");
    }
    assert!(labels.values().any(|labels| labels.iter().collect::<Vec<_>>().chunk_by(|a, b| a == b).count() > 2));

    let stats = succeed(program("edge-runtime").args(["log", "stats", "--json", "--journal"]).arg(&journal));
    let stats = &json_lines(&stats.stdout)[0];
    assert_eq!((&stats["records"], &stats["frames"]), (&Value::from(records), &Value::from(lines.len())), "{stats}");
    succeed(program("edge-runtime").args(["log", "verify", "--journal"]).arg(&journal));
}

#[test]
fn a_signal_ends_it_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (bundle, (video, _)) = (shipped_bundle(folder.path()), video(folder.path(), 6));
    let journal = folder.path().join("journal.sqlite");
    let mut command = run(&bundle, &format!("y4m:{}", video.display()));
    command.args(["--realtime", "--print", "--journal"]).arg(&journal).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let before = (&mut lines).take(30).map(Result::unwrap).count();
    succeed(Command::new("kill").args(["-TERM", &child.id().to_string()]));
    let frames = before + lines.count();
    assert!(child.wait().unwrap().success());
    assert!(frames < 6 * RATE as usize, "it ran to the end");
    let exported =
        succeed(program("edge-runtime").args(["log", "tail", "--json", "-n", "1", "--journal"]).arg(&journal));
    let last = &json_lines(&exported.stdout)[0];
    assert_eq!(last["event"], "stop", "{last}");
    succeed(program("edge-runtime").args(["log", "verify", "--journal"]).arg(&journal));
}

#[test]
fn bad_input_is_one_line_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = shipped_bundle(folder.path());
    let without = folder.path().join("without");
    std::fs::create_dir(&without).unwrap();
    for entry in std::fs::read_dir(&bundle).unwrap().map(Result::unwrap) {
        if entry.file_name() != bundle::DETECTOR {
            std::fs::copy(entry.path(), without.join(entry.file_name())).unwrap();
        }
    }
    std::fs::write(folder.path().join("grey.pgm"), "P5 1 1 255\n\0").unwrap();
    let missing = folder.path().join("nothing-here");
    let damaged = folder.path().join("damaged.y4m");
    std::fs::write(&damaged, b"YUV4MPEG2 W640 H480 F30:1\nFRAME\nshort").unwrap();
    let cases: [(&Path, String, &[&str], &str); 6] = [
        (&without, format!("dir:{}", folder.path().display()), &[], "host-trainer detector"),
        (&missing, "y4m:-".into(), &[], "give the folder of a bundle"),
        (&bundle, format!("y4m:{}", missing.display()), &[], "nothing-here"),
        (&bundle, format!("y4m:{}", damaged.display()), &[], "damaged.y4m"),
        (&bundle, "webcam".into(), &[], "v4l2:/dev/video0"),
        (&bundle, "y4m:-".into(), &["--commit-every=-1"], "commit-every"),
    ];
    for (bundle, source, more, says) in cases {
        let text = refuse(run(bundle, &source).args(more).stdin(Stdio::null()));
        assert!(text.contains(says), "{source}: {text}");
    }
}

#[test]
fn the_service_as_its_unit_starts_it_keeps_the_boards_journal() {
    let folder = tempfile::tempdir().unwrap();
    let (bundle, board) = (shipped_bundle(folder.path()), folder.path().join("board.toml"));
    let journal = folder.path().join("journal.sqlite");
    let unit = std::fs::read_to_string(root().join("boards/edge-runtime.service")).unwrap();
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/edge-runtime ")).unwrap();
    let variables: Vec<_> =
        unit.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('=')).collect();
    assert!(!variables.is_empty(), "nothing makes the service record");
    let given = std::fs::read_to_string(root().join("boards/generic-x86-64.toml")).unwrap();
    let here = given.replace("/var/lib/edge-runtime/journal.sqlite", journal.to_str().unwrap());
    assert_ne!(given, here);
    std::fs::write(&board, &here).unwrap();
    let start = start.replace("/etc/edge-runtime/board.toml", board.to_str().unwrap());
    // One picture of nothing: the session is journalled, whatever is seen.
    image::GrayImage::new(64, 64).save(folder.path().join("nothing.png")).unwrap();
    let source = format!("dir:{}", folder.path().display());
    let with = |options: &[&str]| {
        let mut command = program("edge-runtime");
        command.envs(variables.iter().copied());
        command.args(start.replace("$OPTIONS", "").split_whitespace()).args(options);
        succeed(command.args(["--source", &source, "--bundle"]).arg(&bundle));
    };
    with(&[]);
    assert!(journal.is_file(), "the service keeps nothing");
    // Whoever administers it may name another.
    let other = folder.path().join("other.sqlite");
    with(&["--journal", other.to_str().unwrap()]);
    assert!(other.is_file());
    // The board file may say that nothing is recorded.
    std::fs::remove_file(&journal).unwrap();
    std::fs::write(&board, format!("{here}\n[journal]\nrecord = false\n")).unwrap();
    with(&[]);
    assert!(!journal.exists(), "the service records although its board file says that it must not");
}

/// What a run of pictures said on stderr.
fn talk(command: &mut Command) -> String {
    String::from_utf8_lossy(&succeed(command.env_remove("RUST_LOG").env_remove("NO_COLOR")).stderr).into_owned()
}

/// A folder of pictures that show nothing, some of them empty files: `1` is a picture, `0` is not.
fn pictures(folder: &Path, which: &[u8]) -> PathBuf {
    let path = folder.join(format!("pictures-{}", String::from_utf8_lossy(which)));
    std::fs::create_dir(&path).unwrap();
    for (number, kind) in which.iter().enumerate() {
        let file = path.join(format!("{number}.png"));
        match kind {
            b'1' => image::GrayImage::new(64, 64).save(&file).unwrap(),
            _ => std::fs::write(&file, b"").unwrap(),
        }
    }
    path
}

#[test]
fn logs_are_plain_without_a_terminal_and_say_when_nobody_is_looking() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = shipped_bundle(folder.path());
    let source = format!("dir:{}", pictures(folder.path(), b"01").display());
    let said = talk(&mut run(&bundle, &source));
    assert!(!said.contains('\x1b'), "{said:?}");
    assert!(said.contains("nobody will see the results") && said.contains("--preview"), "{said}");
    assert!(said.contains("done: 1 frames") && said.contains("1 frames not processed, 1 of them damaged"), "{said}");
    let said = talk(run(&bundle, &source).arg("--print"));
    assert!(!said.contains("nobody will see"), "{said}");
    assert_eq!(talk(run(&bundle, &source).args(["--print", "--quiet"])), "");
    let said = talk(run(&bundle, &source).args(["--print", "--frame-rate", "5", "--rotate", "90"]));
    assert!(said.contains("--frame-rate has no effect on this source"), "{said}");
    assert!(!said.contains("--rotate") && !said.contains("--frame-size"), "{said}");
    let said = talk(run(&bundle, &source).args(["--mqtt", "mqtt://127.0.0.1:9/x"]));
    assert!(said.contains("--mqtt without --journal") && said.contains("PREFIX/records"), "{said}");
}

#[test]
fn a_log_on_a_full_disk_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = shipped_bundle(folder.path());
    let pictures = pictures(folder.path(), b"01");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut classify = program("edge-runtime");
    classify.args(["classify", "--bundle"]).arg(&bundle).args([pictures.join("0.png"), pictures.join("1.png")]);
    let output = classify.stderr(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
}

#[test]
fn names_of_files_neither_control_a_terminal_nor_forge_lines() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = shipped_bundle(folder.path());
    let pictures = pictures(folder.path(), b"1");
    std::fs::write(pictures.join("a\x1b[31m\nERROR forged\r.png"), b"").unwrap();
    let said = talk(&mut run(&bundle, &format!("dir:{}", pictures.display())));
    assert!(said.contains("[31m\\nERROR forged\\r.png"), "{said:?}");
    assert!(!said.contains(['\x1b', '\r']) && said.lines().all(|line| !line.starts_with("ERROR")), "{said:?}");
    let missing = run(&bundle, "dir:no\x1b[31m\r").output().unwrap();
    let said = String::from_utf8_lossy(&missing.stderr);
    assert!(said.contains("no\\u001b[31m\\r") && !said.contains('\x1b'), "{said:?}");
}

#[test]
fn pictures_left_out_are_counted_wherever_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = shipped_bundle(folder.path());
    for (which, left_out) in [(&b"0101"[..], 2), (b"1010", 2), (b"1100", 2), (b"0011", 2), (b"1000", 3), (b"11", 0)] {
        let journal = folder.path().join(format!("{}.sqlite", String::from_utf8_lossy(which)));
        let source = format!("dir:{}", pictures(folder.path(), which).display());
        succeed(run(&bundle, &source).arg("--journal").arg(&journal));
        let mut export = program("edge-runtime");
        export.args(["log", "export", "--events", "--format", "jsonl", "--journal"]).arg(&journal);
        let text = String::from_utf8(succeed(&mut export).stdout).unwrap();
        let events = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let dropped = events.filter(|event| event["event"] == "frames_dropped");
        let counted: u64 = dropped.map(|event| event["detail"]["frames"].as_u64().unwrap()).sum();
        assert_eq!(counted, left_out, "{text}");
    }
}

#[test]
fn a_source_without_a_frame_and_a_journal_of_somebody_else_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = shipped_bundle(folder.path());
    let empty = folder.path().join("empty.y4m");
    std::fs::write(&empty, b"YUV4MPEG2 W64 H48 F30:1\n").unwrap();
    let text = refuse(&mut run(&bundle, &format!("y4m:{}", empty.display())));
    assert!(text.contains("no frames"), "{text}");
    let source = format!("dir:{}", pictures(folder.path(), b"1").display());
    let other = folder.path().join("board.toml");
    std::fs::write(&other, "my configuration\n").unwrap();
    let text = refuse(run(&bundle, &source).arg("--journal").arg(&other));
    assert!(text.contains("file of another program"), "{text}");
    assert_eq!(std::fs::read(&other).unwrap(), b"my configuration\n");
}
