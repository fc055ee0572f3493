//! The bundle that the project ships.

use std::path::PathBuf;
use std::process::Command;

use expression_engine::EngineOptions;
use expression_engine::{Bundle, Engine, bundle};
use serde_json::Value;
use system_tests::{json_lines, photographs, program, root, succeed};

fn folder() -> PathBuf {
    root().join("models/ferplus-edge")
}

#[test]
fn it_is_small_and_passes_its_self_test() {
    let entries = std::fs::read_dir(folder()).unwrap().map(Result::unwrap);
    // The detector is put beside it, and is not ours.
    let ours = entries.filter(|entry| entry.file_name() != bundle::DETECTOR);
    let bytes: u64 = ours.map(|entry| entry.metadata().unwrap().len()).sum();
    assert!(bytes <= 2_000_000, "{bytes} bytes");
    let output = succeed(program("edge-runtime").args(["selftest", "--bundle"]).arg(folder()));
    assert!(json_lines(&output.stdout)[0]["vectors"].as_u64().unwrap() >= 32);
    let bundle = Bundle::open(&folder()).unwrap();
    assert!(bundle.manifest().metrics["multiply_accumulates"] <= 200e6);
}

#[test]
fn its_detector_is_put_beside_it_and_is_the_one_it_names() {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder()).unwrap().map(Result::unwrap) {
        if entry.file_name() != bundle::DETECTOR {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    let bundle = Bundle::open(copy.path()).unwrap();
    assert!(bundle.read(bundle::DETECTOR).unwrap_err().to_string().contains("host-trainer detector"));
    succeed(program("host-trainer").arg("detector").arg(copy.path()));
    assert!(!bundle.read(bundle::DETECTOR).unwrap().is_empty());
}

#[test]
fn it_runs_without_stock_tract() {
    let engine = Engine::open(&Bundle::open(&folder()).unwrap(), EngineOptions::default()).unwrap();
    assert_eq!(engine.not_fused(), []);
    assert!(engine.operators().contains(&"FusedChain".to_owned()), "{:?}", engine.operators());
}

/// What its model card says is what it gives, measured anew.
#[test]
fn its_figures_are_those_of_its_manifest() {
    let Some(archive) = photographs("EXPRESSION_FERPLUS", "shared/data/ferplus/ferplus-train-valid.tar.xz") else {
        return;
    };
    let unpacked = tempfile::tempdir().unwrap();
    succeed(Command::new("tar").arg("xJf").arg(&archive).arg("-C").arg(unpacked.path()));
    let data = format!("ferplus:{}", unpacked.path().join("FERPlus").display());
    let mut command = program("host-trainer");
    command.args(["evaluate", "--data", &data, "--split", "valid", "--json", "--bundle"]).arg(folder());
    let measured: Value = json_lines(&succeed(&mut command).stdout)[0].clone();
    assert_eq!(measured["int8"]["samples"], 3579);
    for (figure, name) in [("int8_accuracy", "accuracy"), ("int8_macro_recall", "macro_recall")] {
        let (stated, found) =
            (measured["manifest"][figure].as_f64().unwrap(), measured["int8"][name].as_f64().unwrap());
        assert!((stated - found).abs() < 1e-9, "{figure}: {stated} stated, {found} measured");
    }
}
