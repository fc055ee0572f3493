//! Bundles that `deploy` refuses before it connects, and those that `upgrade` mends.

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

#[test]
fn deploy_refuses_swapped_labels_before_it_connects() {
    let folder = copy();
    let path = folder.path().join("bundle");
    edit_manifest(&path, swap_labels);
    // Only the head of the program is looked at here.
    let mut program = fs::read(env!("CARGO_BIN_EXE_host-trainer")).unwrap();
    program.truncate(4096);
    program[18] = 62;
    let binary = folder.path().join("edge-runtime");
    fs::write(&binary, program).unwrap();
    let binary = binary.to_str().unwrap();
    let deploy = ["deploy", "--board", "generic-x86-64", "--host", "board.invalid", "--binary", binary, "--bundle"];
    let line = refused(&host_trainer(&deploy, &path));
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

    // As an earlier version wrote it.
    let tensors = SafeTensors::deserialize(&shipped).unwrap();
    let old = [FACES, SCORES].map(|name| {
        let tensor = tensors.tensor(name).unwrap();
        (name, TensorView::new(Dtype::U8, tensor.shape().to_vec(), tensor.data()).unwrap())
    });
    let old = serialize(old, None).unwrap();
    fs::write(path.join(bundle::SELFTEST), &old).unwrap();
    edit_manifest(&path, |text| text.replace(&files::sha256(&shipped), &files::sha256(&old)));
    let said = host_trainer(&["upgrade"], &path);
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
