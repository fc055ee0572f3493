//! A trained bundle gets better where it stands: `--from`, `--preset adapt`, the evidence, and `evaluate --against`.

use std::path::{Path, PathBuf};
use std::process::Command;

use expression_engine::Bundle;
use serde_json::Value;
use system_tests::{json_lines, metrics, program, refuse, root, succeed};

fn shipped() -> PathBuf {
    root().join("models/ferplus-edge")
}

/// `--preset adapt` as a file, with changes. Rendered people are the room here, so they are no rehearsal: the old net's answers to
/// them are what is to be mended.
fn preset(folder: &Path, changes: &[(&str, &str)]) -> PathBuf {
    let mut text = std::fs::read_to_string(root().join("host-trainer/presets/adapt.toml")).unwrap();
    for (from, to) in [("rehearsal = 20.0", "rehearsal = 0.0"), ("rehearsal_faces = 16384", "rehearsal_faces = 64")]
        .iter()
        .chain(changes)
    {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let path = folder.join("room.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn adapt(folder: &Path, preset: &Path, arguments: &[&str]) -> Command {
    let mut command = program("host-trainer");
    command.args(["run-all", "--device", "cpu", "--data", "rendered:400", "--name", "room", "--from"]).arg(shipped());
    command.arg("--preset").arg(preset).arg("--runs").arg(folder).args(arguments);
    command
}

/// The shipped model is right on four of ten rendered people. After a hundred labelled ones it is right on most others.
#[test]
fn a_hundred_labelled_faces_mend_what_the_shipped_model_gets_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let preset = preset(folder.path(), &[("epochs = 45 ", "epochs = 8 "), ("draws = 640", "draws = 320")]);
    let output = succeed(&mut adapt(folder.path(), &preset, &["--limit", "100"]));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("better on your pictures and no worse on the old test"), "{table}");

    let run = folder.path().join("room");
    let figures = metrics(&run)["figures"].clone();
    let count = |key: &str| figures[format!("adapted_own_{key}")].as_f64().unwrap();
    let [samples, both, gained, lost] = ["samples", "both", "gained", "lost"].map(count);
    let (errors_before, errors_after) = (samples - both - lost, samples - both - gained);
    assert!(samples >= 100.0 && errors_before / samples > 0.4, "{table}");
    assert!(errors_after < 0.7 * errors_before, "{errors_before} errors before, {errors_after} after\n{table}");

    // The bundle says where it comes from, and Netron would show what goes in and comes out.
    let bundle = run.join("bundle");
    let manifest = Bundle::open(&bundle).unwrap().manifest().clone();
    assert_eq!(manifest.labels.len(), 8);
    assert!(manifest.provenance.contains_key("adapted_from") && manifest.metrics["adapted_own_gained"] == gained);
    let onnx = std::fs::read(bundle.join("expression.onnx")).unwrap();
    let mentions = |text: &str| onnx.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(mentions("neutral,happiness,surprise") && mentions("(value - 128) / 64"));
    let curves = std::fs::read_to_string(run.join("curves.csv")).unwrap();
    assert!(curves.lines().nth(1).unwrap().starts_with("adapting,1,"), "{curves}");

    two_bundles_are_compared(&bundle, folder.path());
    let mut export = program("host-trainer");
    export.arg("export").arg(&bundle).args(["--format", "qdq", "--out"]).arg(folder.path().join("qdq.onnx"));
    succeed(&mut export);
    assert!(folder.path().join("qdq.onnx").is_file());
}

fn two_bundles_are_compared(new: &Path, folder: &Path) {
    let evaluate = |arguments: &[&str]| {
        let mut command = program("host-trainer");
        command.args(["evaluate", "--data", "rendered:400", "--bundle"]).arg(new).arg("--against").arg(shipped());
        command.args(arguments);
        command
    };
    let [csv, gallery] = ["answers.csv", "mistakes.html"].map(|name| folder.join(name));
    let mut command = evaluate(&["--mistakes", "3"]);
    let output = succeed(command.arg("--csv").arg(&csv).arg("--gallery").arg(&gallery));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let verdict = text.lines().last().unwrap();
    assert!(verdict.starts_with("new is better: ") && verdict.contains("p < 0.0001"), "{text}");
    assert!(["precision (95 %)", "confusion", "ECE", "mistakes, worst first"].iter().all(|part| text.contains(part)));

    let compared: Value = json_lines(&succeed(&mut evaluate(&["--json"])).stdout)[0].clone();
    let rows: Vec<String> = std::fs::read_to_string(&csv).unwrap().lines().skip(1).map(str::to_owned).collect();
    let right = rows.iter().filter(|row| row.ends_with(",1")).count();
    assert_eq!(rows.len() as u64, compared["int8"]["samples"].as_u64().unwrap());
    assert_eq!(right as f64 / rows.len() as f64, compared["int8"]["accuracy"].as_f64().unwrap());
    let pictures = std::fs::read_to_string(&gallery).unwrap().matches("<figure title").count();
    assert_eq!(pictures, rows.len() - right, "every mistake is shown");

    let mut all = program("host-trainer");
    all.args(["evaluate", "--data", "rendered:400", "--split", "all", "--json", "--bundle"]).arg(shipped());
    let all: Value = json_lines(&succeed(&mut all).stdout)[0].clone();
    assert_eq!(all["int8"]["samples"], 500);
}

/// The table of docs/adapt.md, with a few steps of training.
#[test]
fn methods_are_compared_in_a_room_and_on_the_old_test() {
    let folder = tempfile::tempdir().unwrap();
    let preset = preset(folder.path(), &[("epochs = 45 ", "epochs = 1 "), ("draws = 640", "draws = 32")]);
    let text = std::fs::read_to_string(&preset).unwrap().replace("rehearsal = 0.0", "rehearsal = 1.0");
    std::fs::write(&preset, text).unwrap();
    let study = |arguments: &[&str]| {
        let mut command = program("host-trainer");
        command.args(["study", "--device", "cpu", "--seeds", "1", "--name", "room", "--from"]).arg(shipped());
        command.arg("--preset").arg(&preset).arg("--runs").arg(folder.path()).args(arguments);
        command
    };
    let rooms = ["--data", "rendered:64", "--old-test", "rendered:128", "--samples", "20"];
    let output = succeed(study(&rooms).args(["--methods", "fine-tuned,adapted"]));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(["before ", "fine-tuned ", "adapted ", "errors gone"].iter().all(|part| table.contains(part)), "{table}");

    let bytes = std::fs::read(folder.path().join("room/adaptation.json")).unwrap();
    let cells = serde_json::from_slice::<Value>(&bytes).unwrap()["cells"].clone();
    assert_eq!(cells.as_array().unwrap().len(), 3);
    for cell in cells.as_array().unwrap() {
        for test in ["own", "old"] {
            let change = &cell[format!("{test}_change")];
            let right = change["both"].as_f64().unwrap() + change["gained"].as_f64().unwrap();
            assert_eq!(right / change["samples"].as_f64().unwrap(), cell[test]["accuracy"].as_f64().unwrap());
        }
    }
    // From none to all of what was learnt; the old net keeps all. Without rehearsal nothing is measured, and nothing mixed.
    let mixtures = |method: &str| folder.path().join("room/20-samples/seed-1").join(method).join("mixtures.csv");
    let text = std::fs::read_to_string(mixtures("adapted")).unwrap();
    assert!(text.lines().count() == 12 && text.lines().nth(1).unwrap().starts_with("0,1.0000,"), "{text}");
    assert!(!mixtures("fine-tuned").exists());

    let ferplus = folder.path().join("ferplus");
    let mut draw = program("host-trainer");
    succeed(draw.args(["draw", "--layout", "ferplus", "--subjects", "2", "--size", "48", "--out"]).arg(&ferplus));
    let data = format!("ferplus:{}", ferplus.display());
    let few = refuse(&mut study(&["--data", &data, "--look", "darkest", "--samples", "20", "--overwrite"]));
    assert!(few.contains("the darkest tenth of FER+") && few.contains("--samples"), "{few}");
}

#[test]
fn what_cannot_be_adapted_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let preset = preset(folder.path(), &[]);
    let mut without = program("host-trainer");
    without.args(["run-all", "--preset", "adapt", "--runs"]).arg(folder.path());
    assert!(refuse(&mut without).contains("give --from"));
    let mut nothing = program("host-trainer");
    nothing.args(["run-all", "--from"]).arg(folder.path()).arg("--runs").arg(folder.path());
    assert!(refuse(&mut nothing).contains("manifest.toml"));
    let few = folder.path().join("few");
    std::fs::create_dir(&few).unwrap();
    let few = format!("folder:{}", few.display());
    // Before anything is written, or anything of an older run goes.
    assert!(refuse(&mut adapt(folder.path(), &preset, &["--rehearse", &few])).contains("0 faces to rehearse"));
    assert!(!folder.path().join("room").exists());
    let wrong = std::fs::read_to_string(&preset).unwrap().replace("layer_decay = ", "layer_decay = 2");
    std::fs::write(&preset, wrong).unwrap();
    assert!(refuse(&mut adapt(folder.path(), &preset, &[])).contains("adapt.layer_decay"));
    assert!(!folder.path().join("room").exists());
}
