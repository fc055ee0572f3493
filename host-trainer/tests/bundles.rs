//! Bundles that `deploy` refuses before it connects, those that `upgrade` mends, and outputs that would destroy a bundle or another
//! input.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use expression_engine::selftest::{FACES, SCORES};
use expression_engine::{Bundle, bundle, files, selftest};
use safetensors::tensor::serialize;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tempfile::TempDir;

/// A copy of the shipped bundle, in a folder `bundle`.
fn copy() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("bundle")).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/ferplus-edge");
    for entry in fs::read_dir(shipped).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), folder.path().join("bundle").join(entry.file_name())).unwrap();
    }
    folder
}

fn edit_manifest(bundle: &Path, edit: impl FnOnce(String) -> String) {
    let path = bundle.join(bundle::MANIFEST);
    let before = fs::read_to_string(&path).unwrap();
    let after = edit(before.clone());
    assert_ne!(after, before);
    fs::write(path, after).unwrap();
}

fn swap_labels(manifest: String) -> String {
    manifest.replace("happiness", "?").replace("anger", "happiness").replace('?', "anger")
}

fn host_trainer(arguments: &[&str], bundle: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_host-trainer")).args(arguments).arg(bundle).output().unwrap()
}

fn refused(output: &Output) -> String {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{line}");
    line
}

/// Deploys the bundle in `folder` to a board that cannot be reached.
fn deploy(folder: &TempDir, arguments: &[&str]) -> Output {
    // Only the head of the program is looked at here.
    let mut program = fs::read(env!("CARGO_BIN_EXE_host-trainer")).unwrap();
    program.truncate(4096);
    program[18] = 62;
    let binary = folder.path().join("edge-runtime");
    fs::write(&binary, program).unwrap();
    let binary = binary.to_str().unwrap();
    let deploy = ["deploy", "--board", "generic-x86-64", "--host", "board.invalid", "--binary", binary];
    let arguments: Vec<&str> = deploy.iter().chain(arguments).copied().chain(["--bundle"]).collect();
    host_trainer(&arguments, &folder.path().join("bundle"))
}

#[test]
fn deploy_refuses_a_bundle_that_its_own_evidence_calls_worse() {
    let folder = copy();
    let evidence = |own: [usize; 2], old: [usize; 2]| {
        let lines = [("own", own), ("old", old)].map(|(part, [gained, lost])| {
            let line = |key: &str, count: usize| format!("adapted_{part}_{key} = {count}.0\n");
            [line("samples", 1000), line("both", 700), line("gained", gained), line("lost", lost)].concat()
        });
        move |manifest: String| {
            let kept: Vec<&str> = manifest.lines().filter(|line| !line.starts_with("adapted_")).collect();
            let from = "[provenance]\nadapted_from = \"abc\"\nadapted_own = \"room\"\nadapted_old = \"rendered\"";
            format!("{}\n{}", kept.join("\n").replace("[provenance]", from), lines.concat())
        }
    };
    let edit = |own, old| edit_manifest(&folder.path().join("bundle"), evidence(own, old));
    edit([20, 20], [9, 9]);
    assert!(refused(&deploy(&folder, &[])).contains("no better on room"));
    edit([90, 20], [9, 19]);
    assert!(refused(&deploy(&folder, &[])).contains("1.0 points worse on rendered"));
    // With --accept-worse, or for a better bundle, it turns to the board, which is not there.
    let goes_on = |arguments: &[&str]| {
        let line = String::from_utf8(deploy(&folder, arguments).stderr).unwrap();
        assert!(line.contains("board.invalid") && !line.contains("worse on"), "{line}");
    };
    goes_on(&["--accept-worse"]);
    edit([90, 20], [19, 9]);
    goes_on(&[]);
}

#[test]
fn deploy_refuses_swapped_labels_before_it_connects() {
    let folder = copy();
    let path = folder.path().join("bundle");
    edit_manifest(&path, swap_labels);
    let line = refused(&deploy(&folder, &[]));
    assert!(line.contains("manifest.toml: labels = \"neutral, anger,"), "{line}");
}

#[test]
fn upgrade_adds_labels_and_keeps_faces_and_scores() {
    let folder = copy();
    let path = folder.path().join("bundle");
    let shipped = fs::read(path.join(bundle::SELFTEST)).unwrap();
    let manifest = fs::read_to_string(path.join(bundle::MANIFEST)).unwrap();
    let said = host_trainer(&["upgrade"], &path);
    assert!(String::from_utf8_lossy(&said.stdout).ends_with("is up to date\n"), "{said:?}");
    let said = host_trainer(&["upgrade", "--low-light", "70:100"], &path);
    assert!(String::from_utf8_lossy(&said.stdout).ends_with("is up to date\n"), "it has this gain: {said:?}");
    assert!(path.join("manifest.toml.minisig").is_file(), "its signature still holds");

    // As an earlier version wrote it.
    let tensors = SafeTensors::deserialize(&shipped).unwrap();
    let old = [FACES, SCORES].map(|name| {
        let tensor = tensors.tensor(name).unwrap();
        (name, TensorView::new(Dtype::U8, tensor.shape().to_vec(), tensor.data()).unwrap())
    });
    let old = serialize(old, None).unwrap();
    fs::write(path.join(bundle::SELFTEST), &old).unwrap();
    edit_manifest(&path, |text| text.replace(&files::sha256(&shipped), &files::sha256(&old)));
    // Through a link, which stays.
    let links = tempfile::tempdir().unwrap();
    let link = links.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let said = host_trainer(&["upgrade"], &link);
    assert!(link.is_symlink() && fs::read_dir(links.path()).unwrap().count() == 1);
    let line = String::from_utf8_lossy(&said.stdout);
    assert!(line.contains(" upgraded; its signature no longer matches and was removed"), "{said:?}");
    assert_eq!(fs::read(path.join(bundle::SELFTEST)).unwrap(), shipped);
    assert_eq!(fs::read_to_string(path.join(bundle::MANIFEST)).unwrap(), manifest);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no drafts are left");
    assert!(!selftest::vectors(&Bundle::open(&path).unwrap()).unwrap().is_empty());

    // Labels that are there already are not overwritten by those of a manifest that was altered.
    edit_manifest(&path, swap_labels);
    assert!(refused(&host_trainer(&["upgrade"], &path)).contains("manifest.toml: labels = "));
    assert_eq!(fs::read(path.join(bundle::SELFTEST)).unwrap(), shipped);
}

#[test]
fn outputs_that_would_destroy_an_input_are_refused_before_anything_runs() {
    let folder = copy();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("two/happy")).unwrap();
    for name in ["faces.csv", "two/happy/0.png", "names.txt"] {
        fs::write(at(name), "a=happiness").unwrap();
    }
    std::os::unix::fs::symlink("faces.csv", at("link.csv")).unwrap();
    let tree = || {
        let list = Command::new("find").arg(folder.path()).args(["-type", "f", "-exec", "cksum", "{}", "+"]).output();
        String::from_utf8(list.unwrap().stdout).unwrap()
    };
    let before = tree();
    let (table, pictures) = ("fer2013:faces.csv", "folder:two");
    for (data, flag, output) in [
        (table, "--csv", "faces.csv"),
        (table, "--gallery", "./two/../faces.csv"),
        (table, "--csv", "link.csv"),
        (table, "--csv", "bundle/manifest.toml"),
        (pictures, "--gallery", "two/happy/0.png"),
        (pictures, "--csv", "names.txt"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_host-trainer"));
        command.current_dir(folder.path()).args([
            "evaluate",
            "--bundle",
            "other",
            "--against",
            "bundle",
            "--data",
            data,
        ]);
        command.args(["--classes", "names.txt", flag, output]);
        let told = refused(&command.output().unwrap());
        assert!(told.contains("it would overwrite the input"), "{told}");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-trainer"));
    command.current_dir(folder.path()).args(["evaluate", "--bundle", "bundle", "--data", pictures]);
    let told = refused(&command.args(["--csv", "new", "--gallery", "./new"]).output().unwrap());
    assert!(told.contains("--csv and --gallery are both new"), "{told}");
    for (out, words) in [("bundle/MODEL_CARD.md", "overwrite the input"), ("two", "it is a folder")] {
        let told =
            refused(&host_trainer(&["export", "--format", "qdq", "--out", at(out).to_str().unwrap()], &at("bundle")));
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(tree(), before);
}

#[test]
fn an_exported_net_says_what_its_manifest_says() {
    let folder = copy();
    let out = folder.path().join("qdq.onnx");
    let arguments = ["export", "--format", "qdq", "--out", out.to_str().unwrap()];
    let output = host_trainer(&arguments, &folder.path().join("bundle"));
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && talk.contains("below 70 to the mean 100"), "{talk}");
    let onnx = fs::read(out).unwrap();
    for told in ["neutral,happiness,surprise,sadness", "below 70, to 100", "(value - 128) / 64"] {
        assert_eq!(onnx.windows(told.len()).filter(|bytes| *bytes == told.as_bytes()).count(), 1, "{told}");
    }
}

#[test]
fn figures_are_shown_even_if_a_file_cannot_be_written() {
    let folder = copy();
    let class = folder.path().join("faces/happy");
    fs::create_dir_all(&class).unwrap();
    for number in 0..2 {
        image::GrayImage::new(48, 48).save(class.join(format!("{number}.png"))).unwrap();
    }
    let data = format!("folder:{}", folder.path().join("faces").display());
    let arguments = ["evaluate", "--data", &data, "--split", "all", "--csv", "/dev/full", "--bundle"];
    let output = host_trainer(&arguments, &folder.path().join("bundle"));
    assert!(refused(&output).contains("cannot write /dev/full"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("int8 accuracy"), "{output:?}");
}

#[test]
fn the_results_of_another_study_are_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let study = folder.path().join("mine/study.json");
    fs::create_dir(folder.path().join("mine")).unwrap();
    fs::write(&study, "{}").unwrap();
    let told = refused(&host_trainer(&["study", "--device", "cpu", "--name", "mine", "--runs"], folder.path()));
    assert!(told.contains("study.json already exists; give another --name"), "{told}");
    assert_eq!(fs::read_to_string(study).unwrap(), "{}");
}

#[test]
fn a_folder_of_assets_that_is_not_there_is_named() {
    let absent = tempfile::tempdir().unwrap().path().join("absent");
    let program = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_host-trainer"));
        command.args(["completions", "bash"]).env_remove("EXPRESSION_ASSETS");
        command
    };
    let told = refused(&program().arg("--assets").arg(&absent).output().unwrap());
    assert!(told.contains(&format!("--assets {} is not a folder", absent.display())), "{told}");
    let said = program().env("EXPRESSION_ASSETS", &absent).output().unwrap();
    let told = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success() && told.contains("EXPRESSION_ASSETS=") && told.lines().count() == 1, "{told}");
    let said = program().env("EXPRESSION_ASSETS", "").output().unwrap();
    assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
}
