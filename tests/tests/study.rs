//! The study of three methods, and the inspection of its nets.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use system_tests::{program, refuse, succeed, tiny_preset};

/// `host-trainer study` on drawn faces with a small preset that tunes the face net.
fn study(folder: &Path, arguments: &[&str]) -> Command {
    let preset = tiny_preset(folder, 2);
    let text = std::fs::read_to_string(&preset).unwrap();
    assert!(text.contains("[face_net_tuning]") && text.contains("epochs = 0") && text.contains("size = 224"));
    // The only stage without epochs is the tuning of the face net.
    let text = text.replace("epochs = 0", "epochs = 1").replace("size = 224", "size = 64");
    std::fs::write(&preset, text).unwrap();
    let mut command = program("host-trainer");
    command.args(["study", "--device", "cpu", "--data", "rendered", "--name", "tiny", "--preset"]).arg(&preset);
    command.arg("--runs").arg(folder).args(["--samples", "24,40", "--seeds", "2"]).args(arguments);
    command
}

fn cells(folder: &Path) -> Vec<Value> {
    let bytes = std::fs::read(folder.join("tiny/study.json")).expect("study.json is written");
    let study: Value = serde_json::from_slice(&bytes).expect("JSON");
    study["cells"].as_array().expect("cells").clone()
}

#[test]
fn every_method_is_measured_with_every_size_and_seed_and_its_nets_can_be_inspected() {
    let folder = tempfile::tempdir().unwrap();
    let output = succeed(&mut study(folder.path(), &[]));
    let found = cells(folder.path());
    let mut names: Vec<_> = found.iter().map(|cell| (&cell["samples"], &cell["seed"], &cell["method"])).collect();
    names.sort_by_key(|name| format!("{name:?}"));
    names.dedup();
    assert_eq!((found.len(), names.len()), (12, 12), "{names:?}");
    // As many samples are trained on as are named, whatever is held out beside them.
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(["24 training, ", "40 training, "].iter().all(|part| said.contains(part)), "{said}");
    // The methods answer differently; the test samples are the same for all.
    let of_first = |method: &str| found.iter().find(|cell| cell["method"] == method).unwrap()["test"].clone();
    let [scratch, tuned, fn2en] = ["scratch", "fine-tuned", "fn2en"].map(of_first);
    assert!(scratch["confusion"] != tuned["confusion"] && tuned["confusion"] != fn2en["confusion"]);
    assert_eq!(scratch["samples"], fn2en["samples"]);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(["scratch", "fine-tuned", "fn2en", "2 seeds"].iter().all(|part| table.contains(part)), "{table}");

    // A cell that is lost is trained again, to the same figures; the others stay.
    let lost = folder.path().join("tiny/40-samples/seed-2/fn2en");
    let kept = folder.path().join("tiny/24-samples/seed-1/scratch/stage-two.safetensors");
    let before = std::fs::metadata(&kept).unwrap().modified().unwrap();
    std::fs::remove_dir_all(lost).unwrap();
    succeed(&mut study(folder.path(), &["--resume"]));
    assert_eq!(cells(folder.path()), found);
    assert_eq!(std::fs::metadata(&kept).unwrap().modified().unwrap(), before);

    let mut inspect = program("host-trainer");
    inspect
        .args(["inspect", "--device", "cpu", "--samples", "40", "--seed", "2", "--study"])
        .arg(folder.path().join("tiny"));
    let text = String::from_utf8_lossy(&succeed(&mut inspect).stdout).into_owned();
    assert!(
        ["scratch", "conv_pw_11_relu", "conv_pw_13_relu", "adapter"].iter().all(|part| text.contains(part)),
        "{text}"
    );
    for file in ["neurons.png", "entropy.png", "inspect.html", "inspect.json"] {
        assert!(folder.path().join("tiny/inspect").join(file).exists(), "{file}");
    }
    inspect.args(["--out"]).arg(folder.path().join("elsewhere"));
    succeed(&mut inspect);
    let read = |place: &str| std::fs::read(folder.path().join(place).join("inspect.json")).unwrap();
    assert!(read("elsewhere") == read("tiny/inspect"), "inspecting again gives other figures");
}

#[test]
fn a_set_with_fewer_samples_than_the_table_would_say_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut study = program("host-trainer");
    study.args(["study", "--device", "cpu", "--preset", "ferplus", "--data", "rendered:32", "--samples", "100"]);
    let said = refuse(study.arg("--runs").arg(folder.path()));
    assert!(said.contains("--samples 100 asks for more than the 26 that there are"), "{said}");
}

#[test]
fn what_cannot_be_studied_or_inspected_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut untuned = program("host-trainer");
    untuned.args(["study", "--preset", "smoke", "--device", "cpu", "--runs"]).arg(folder.path());
    assert!(refuse(&mut untuned).contains("face_net_tuning.epochs"));
    let mut nothing = program("host-trainer");
    nothing.args(["inspect", "--study"]).arg(folder.path());
    assert!(refuse(&mut nothing).contains("finished study"));
}
