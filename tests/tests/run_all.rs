//! The main job end to end, by the programs as people call them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use system_tests::{
    json_lines, metrics, photographs, program, refuse, root, run_all, succeed, tiny_preset, write_folder,
};

/// What `edge-runtime classify` says of pictures, each with what the run's host says of them.
fn classified(
    bundle: &Path,
    run: &Path,
    picture: impl Fn(&str) -> std::path::PathBuf,
    most: usize,
) -> Vec<(Value, Value)> {
    let answers = json_lines(&std::fs::read(run.join("answers.jsonl")).unwrap());
    let answers: Vec<Value> = answers.into_iter().take(most).collect();
    let files = answers.iter().map(|answer| picture(answer["sample"].as_str().unwrap()));
    let output = succeed(program("edge-runtime").arg("classify").arg("--bundle").arg(bundle).args(files));
    let lines = json_lines(&output.stdout);
    assert_eq!(lines.len(), answers.len());
    lines.into_iter().zip(answers).collect()
}

#[test]
fn a_folder_becomes_a_bundle_that_answers_on_the_edge_as_on_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let (pictures, runs) = (folder.path().join("pictures"), folder.path().join("runs"));
    write_folder(&pictures, 1200);
    // A single broken picture is skipped, counted and named.
    std::fs::write(pictures.join("fear/broken.png"), b"no picture").unwrap();
    let output = succeed(&mut run_all(&runs, &["--data", &format!("folder:{}", pictures.display())]));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let run = runs.join("pictures-smoke");
    let bundle = run.join("bundle");

    let metrics = metrics(&run);
    assert!(metrics["run"]["skipped"][0].as_str().unwrap().contains("broken.png"));
    assert!(table.contains("1 pictures that could not be read"), "{table}");
    let rungs: Vec<u64> =
        metrics["run"]["parity"].as_array().unwrap().iter().map(|rung| rung["number"].as_u64().unwrap()).collect();
    assert_eq!(rungs, [1, 2, 3, 5, 6], "{table}");
    for name in ["samples.png", "report.html", "config.toml", "bundle/MODEL_CARD.md", "bundle/detector.onnx"] {
        assert!(run.join(name).is_file(), "{name}");
    }
    // Trained, not drawn by lot: an eighth would be chance.
    assert!(metrics["figures"]["int8_accuracy"].as_f64().unwrap() > 0.4, "{table}");

    for (edge, host) in classified(&bundle, &run, |sample| pictures.join(sample), usize::MAX) {
        let face = &edge["faces"][0];
        assert_eq!(face["integer_scores"], host["integer_scores"], "{host}");
        // No label where the bundle's least confidence is not reached.
        assert!(face["label"] == host["int8"] || face["label"].is_null(), "{host}: {edge}");
    }

    let output = succeed(
        program("edge-runtime")
            .args(["bench", "--json", "--iterations", "20", "--side-by-side", "2", "--explain", "--bundle"])
            .arg(&bundle),
    );
    let bench = &json_lines(&output.stdout)[0];
    assert_eq!(bench["inferences"], 40);
    assert!(bench["ms"]["median"].as_f64().unwrap() > 0.0 && bench["peak_memory_bytes"].as_u64().unwrap() > 1 << 20);
    assert!(!bench["kernels"].as_array().unwrap().is_empty());
    assert_eq!(bench["not_fused"], serde_json::json!([]));
    let mut elsewhere = program("edge-runtime");
    elsewhere.args(["bench", "--kernel", "z80", "--bundle"]).arg(&bundle);
    assert!(refuse(&mut elsewhere).contains("portable"));

    unreadable_pictures_are_named_and_the_others_classified(&bundle, &pictures);
    a_spoilt_bundle_is_refused(&bundle);
}

fn unreadable_pictures_are_named_and_the_others_classified(bundle: &Path, pictures: &Path) {
    let mut command = program("edge-runtime");
    command.args(["classify", "--bundle"]).arg(bundle);
    command.arg(pictures.join("fear/broken.png")).arg(pictures.join("fear/00006.png"));
    let line = refuse(&mut command);
    assert!(line.contains("1 of 2"), "{line}");
    let lines = json_lines(&command.output().unwrap().stdout);
    assert_eq!(lines.len(), 1);
    assert!(lines[0]["file"].as_str().unwrap().ends_with("00006.png"));
}

/// Rung 6, and that it can fail.
fn a_spoilt_bundle_is_refused(bundle: &Path) {
    let selftest = |bundle: &Path| {
        let mut command = program("edge-runtime");
        command.args(["selftest", "--bundle"]).arg(bundle);
        command
    };
    assert_eq!(json_lines(&succeed(&mut selftest(bundle)).stdout)[0]["differences"], 0);

    let copy = |name: &str, change: &dyn Fn(&Path)| {
        let copy = bundle.with_file_name(name);
        std::fs::create_dir(&copy).unwrap();
        for entry in std::fs::read_dir(bundle).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
        change(&copy);
        copy
    };
    let edit = |file: &'static str, change: &'static dyn Fn(&mut Vec<u8>)| {
        move |folder: &Path| {
            let mut bytes = std::fs::read(folder.join(file)).unwrap();
            change(&mut bytes);
            std::fs::write(folder.join(file), bytes).unwrap();
        }
    };
    let manifest = |from: &'static str, to: &'static str| {
        move |folder: &Path| {
            let text = std::fs::read_to_string(folder.join("manifest.toml")).unwrap();
            assert!(text.contains(from));
            std::fs::write(folder.join("manifest.toml"), text.replacen(from, to, 1)).unwrap();
        }
    };
    let altered = copy("altered", &edit("expression.onnx", &|bytes| *bytes.last_mut().unwrap() ^= 1));
    assert!(refuse(&mut selftest(&altered)).contains("sha256"));
    let cut = copy("cut", &edit("selftest.safetensors", &|bytes| bytes.truncate(bytes.len() / 2)));
    assert!(refuse(&mut selftest(&cut)).contains("sha256"));
    let lost = copy("lost", &|folder| std::fs::remove_file(folder.join("expression.onnx")).unwrap());
    assert!(refuse(&mut selftest(&lost)).contains("missing"));
    let newer = copy("newer", &manifest("format = 1", "format = 3"));
    assert!(refuse(&mut selftest(&newer)).contains("newer"));
    let damaged = copy("damaged", &manifest("[input]", "[input"));
    assert!(refuse(&mut selftest(&damaged)).contains("damaged manifest"));
    assert!(refuse(&mut selftest(&bundle.join("none"))).contains("no manifest.toml"));

    // Hashes that fit a net that answers otherwise: only the vectors can tell. The detector may be absent.
    let swapped = copy("swapped", &|folder| {
        std::fs::remove_file(folder.join("detector.onnx")).unwrap();
        let mut net = std::fs::read(folder.join("expression.onnx")).unwrap();
        let text = std::fs::read_to_string(folder.join("manifest.toml")).unwrap();
        let before = expression_engine::files::sha256(&net);
        let name = b"scores_u8_bias";
        // The bias of the last layer follows the second mention of its name, in the constants.
        let place = net.windows(name.len()).rposition(|bytes| bytes == name).unwrap();
        net[place + name.len() + 6] ^= 0x40;
        std::fs::write(folder.join("expression.onnx"), &net).unwrap();
        let after = expression_engine::files::sha256(&net);
        std::fs::write(folder.join("manifest.toml"), text.replace(&before, &after)).unwrap();
    });
    let output = selftest(&swapped).output().unwrap();
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{talk}");
    assert!(talk.contains("the bundle expects"), "{talk}");
}

#[test]
fn an_interrupted_run_resumes_to_the_same_result() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--data", "rendered:160", "--seed", "3"];
    let whole = folder.path().join("whole");
    // So few faces may leave a net that the export refuses: what counts is that both runs end alike.
    let ended = run_all(&whole, &arguments).output().unwrap();

    let broken = folder.path().join("broken");
    let mut child = run_all(&broken, &arguments).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let checkpoint = broken.join("rendered-smoke/stage-two.safetensors");
    let started = Instant::now();
    while !checkpoint.exists() {
        assert!(started.elapsed() < Duration::from_secs(300) && child.try_wait().unwrap().is_none(), "no checkpoint");
        std::thread::sleep(Duration::from_millis(20));
    }
    succeed(Command::new("kill").args(["-INT", &child.id().to_string()]));
    let output = child.wait_with_output().unwrap();
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{talk}");
    assert!(talk.contains("--resume"), "{talk}");
    assert!(!broken.join("rendered-smoke/bundle").exists());

    let resumed = run_all(&broken, &arguments).arg("--resume").output().unwrap();
    let talk = String::from_utf8_lossy(&resumed.stderr).into_owned();
    assert_eq!(resumed.status.code(), ended.status.code(), "{talk}");
    assert!(!talk.contains("stage one epoch"), "stage one was trained again: {talk}");
    let answers = |runs: &Path| std::fs::read(runs.join("rendered-smoke/answers.jsonl")).unwrap();
    assert!(answers(&whole) == answers(&broken), "the resumed run made another net");

    // Resuming something else is refused, and what lies there stays.
    let other = refuse(run_all(&broken, &["--data", "rendered:160", "--seed", "4", "--resume"]).stdin(Stdio::null()));
    assert!(other.contains("started otherwise"), "{other}");
    assert!(answers(&whole) == answers(&broken));
}

/// Case 15-run-overwritten, and a set without contempt.
#[test]
fn a_second_run_leaves_the_first_one_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (preset, runs) = (tiny_preset(folder.path(), 1), folder.path().join("runs"));
    let drawn = folder.path().join("drawn");
    let mut draw = program("host-trainer");
    succeed(draw.args(["draw", "--layout", "tfd", "--subjects", "12", "--size", "48", "--out"]).arg(&drawn));
    let run = |arguments: &[&str]| {
        let mut command = program("host-trainer");
        command.args(["run-all", "--device", "cpu", "--accept-rung3", "--data", &format!("tfd:{}", drawn.display())]);
        command.arg("--runs").arg(&runs).arg("--preset").arg(&preset).args(arguments);
        command
    };
    let name = format!("drawn-{}", preset.file_stem().unwrap().to_str().unwrap());
    let said = String::from_utf8_lossy(&succeed(&mut run(&[])).stderr).into_owned();
    assert!(said.contains("no samples of contempt"), "{said}");
    let read = |file: &str| std::fs::read(runs.join(&name).join(file)).unwrap();
    let manifest: toml::Table = String::from_utf8(read("bundle/manifest.toml")).unwrap().parse().unwrap();
    let labels = manifest["labels"].as_array().unwrap();
    assert!(labels.len() == 7 && !labels.iter().any(|label| label.as_str() == Some("contempt")), "{labels:?}");

    let before = read("metrics.json");
    let line = refuse(&mut run(&["--name", &name]));
    assert!(line.contains("holds a run") && line.contains("--overwrite"), "{line}");
    succeed(&mut run(&["--seed", "2"]));
    assert!(runs.join(format!("{name}-2/bundle/manifest.toml")).exists());
    assert!(read("metrics.json") == before, "the second run touched the first one");
    succeed(&mut run(&["--seed", "2", "--name", &name, "--overwrite"]));
    assert!(read("metrics.json") != before, "--overwrite left the older run");
}

#[test]
fn the_tuned_face_net_teaches() {
    let folder = tempfile::tempdir().unwrap();
    let preset = tiny_preset(folder.path(), 2);
    let edit = |from: &str, to: &str| {
        let text = std::fs::read_to_string(&preset).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(&preset, text.replace(from, to)).unwrap();
    };
    let run = |name: &str, arguments: &[&str]| {
        let mut command = program("host-trainer");
        command.args(["run-all", "--device", "cpu", "--data", "rendered:80", "--name", name, "--runs"]);
        command.arg(folder.path()).arg("--preset").arg(&preset).args(arguments);
        command
    };
    edit("teacher = 0.0", "teacher = 1.0");
    let untuned = refuse(&mut run("untuned", &[]));
    assert!(untuned.contains("face_net_tuning.epochs"), "{untuned}");

    // So little training may leave a net that the export refuses.
    let talk = |mut command: Command| String::from_utf8_lossy(&command.output().unwrap().stderr).into_owned();
    let answers = |name: &str| std::fs::read(folder.path().join(name).join("answers.jsonl")).unwrap();
    edit("epochs = 0", "epochs = 1");
    edit("size = 224", "size = 64");
    talk(run("taught", &[]));
    let first = answers("taught");

    // The teacher is kept: going on with stage two does not tune it again, and ends alike.
    for file in ["metrics.json", "stage-two.safetensors"] {
        std::fs::remove_file(folder.path().join("taught").join(file)).unwrap();
    }
    let said = talk(run("taught", &["--resume"]));
    assert!(said.contains("stage two epoch") && !said.contains("face net epoch"), "{said}");
    assert!(answers("taught") == first);

    // Taught on four views of each face, the net sees other faces and learns otherwise.
    edit("teacher_views = 0", "teacher_views = 4");
    talk(run("views", &[]));
    assert!(answers("views") != first, "the views changed nothing");

    edit("teacher_views = 4", "teacher_views = 0");
    edit("teacher = 1.0", "teacher = 0.0");
    talk(run("alone", &[]));
    assert!(answers("alone") != first, "the face net taught nothing");
}

#[test]
fn bad_input_is_refused_with_one_line_and_nothing_is_left_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let refused = |data: &str, expected: &str| {
        let line = refuse(&mut run_all(&runs, &["--name", "bad", "--data", data]));
        assert!(line.contains(expected), "{line}");
        assert!(!runs.join("bad/bundle").exists());
    };
    let folder_data = |name: &str| format!("folder:{}", folder.path().join(name).display());

    refused(&folder_data("missing"), "cannot be listed");
    std::fs::create_dir_all(folder.path().join("empty/fear")).unwrap();
    refused(&folder_data("empty"), "no pictures found");
    std::fs::create_dir_all(folder.path().join("unknown/boredom")).unwrap();
    refused(&folder_data("unknown"), "unknown class \"boredom\"");
    let broken = folder.path().join("broken");
    write_folder(&broken, 64);
    std::fs::write(broken.join("anger/broken.png"), b"no picture").unwrap();
    refused(&folder_data("broken"), "more than 1 %");

    let ferplus = folder.path().join("ferplus");
    std::fs::create_dir(&ferplus).unwrap();
    let ferplus_data = format!("ferplus:{}", ferplus.display());
    refused(&ferplus_data, "fer2013new.csv");
    let header = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n";
    std::fs::write(ferplus.join("fer2013new.csv"), format!("{header}Training,fer1.png,4,x,0,0,0,0,0,0,0,0\n")).unwrap();
    refused(&ferplus_data, "fer2013new.csv:2");

    let resumed = refuse(run_all(&runs, &["--name", "never", "--data", "rendered:64"]).arg("--resume"));
    assert!(resumed.contains("no run to resume"), "{resumed}");
    let preset = refuse(program("host-trainer").args(["run-all", "--preset", "large"]).current_dir(folder.path()));
    assert!(preset.contains("no preset"), "{preset}");
    let usage = program("host-trainer").args(["run-all", "--data", "rendered:x"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
    // A folder that no run made is not overwritten.
    let line = refuse(&mut run_all(folder.path(), &["--name", "broken", "--data", "rendered:64"]));
    assert!(line.contains("was not made by a run"), "{line}");
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing_half_written() {
    // A limit on the size of files stands for the full disk: writes fail half-way all the same.
    let folder = tempfile::tempdir().unwrap();
    let command = run_all(folder.path(), &["--data", "rendered:64"]);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 512; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args());
    let line = refuse(&mut limited);
    assert!(line.contains("cannot write"), "{line}");
    let run = folder.path().join("rendered-smoke");
    let left: Vec<String> = std::fs::read_dir(&run)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert!(left.iter().all(|name| !name.starts_with('.')), "{left:?}");
    assert!(!run.join("bundle").exists());
}

#[test]
fn the_edge_answers_as_the_host_on_photographs() {
    let Some(archive) = photographs("EXPRESSION_FERPLUS", "shared/data/ferplus/ferplus-train-valid.tar.xz") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    succeed(Command::new("tar").arg("xJf").arg(&archive).arg("-C").arg(folder.path()));
    let data = folder.path().join("FERPlus");
    let runs = folder.path().join("runs");
    // The smoke preset's net is so narrow that on photographs as many answers change with its quantization as rung 3 allows.
    let mut text = std::fs::read_to_string(root().join("host-trainer/presets/smoke.toml")).unwrap();
    for (from, to) in [
        ("convolutions = [16, 32, 48, 64]", "convolutions = [32, 64, 96, 128]"),
        ("[stage_two]\nepochs = 20", "[stage_two]\nepochs = 10"),
        ("percentile = 99.99", "percentile = 100.0"),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let preset = folder.path().join("wider.toml");
    std::fs::write(&preset, text).unwrap();
    let mut train = program("host-trainer");
    train.args(["run-all", "--device", "cpu", "--limit", "1500", "--data", &format!("ferplus:{}", data.display())]);
    succeed(train.arg("--preset").arg(&preset).arg("--runs").arg(&runs));
    let run = runs.join("ferplus-wider");
    // 3,579 pictures less the 279 that are in the training part, too.
    assert_eq!(metrics(&run)["figures"]["test_samples"], 3300.0);
    let valid = data.join("data/FER2013Valid");
    let pairs = classified(&run.join("bundle"), &run, |sample| valid.join(sample), 500);
    assert_eq!(pairs.len(), 500);
    for (edge, host) in pairs {
        assert_eq!(edge["faces"][0]["integer_scores"], host["integer_scores"], "{host}");
    }
}

#[test]
fn the_readme_names_the_commands_of_the_programs() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for (name, commands) in
        [("host-trainer", &["run-all", "crossval", "report"][..]), ("edge-runtime", &["classify", "selftest", "bench"])]
    {
        for command in commands {
            assert!(readme.contains(&format!("cargo run -p {name} -- {command}")), "{name} {command}");
            succeed(program(name).args([command, "--help"]));
        }
    }
}
