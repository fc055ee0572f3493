//! What the system tests share: the built programs, runs of them, and where data lies.

pub mod video;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

/// The workspace's root folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A program of this workspace, built when it was last changed.
///
/// `cargo test` builds binaries for tests of their own package only, so they are built here, once for each test program.
pub fn program(name: &str) -> Command {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--workspace"]).current_dir(root());
        // cargo gives its tests the LIBTORCH of its configuration. Handed on, it would look like one of the person's own,
        // and build scripts would run again.
        let configured = root().join(".assets/libtorch").canonicalize().ok();
        let found = std::env::var_os("LIBTORCH").and_then(|folder| Path::new(&folder).canonicalize().ok());
        if found == configured {
            build.env_remove("LIBTORCH");
        }
        assert!(build.status().expect("cargo starts").success(), "cargo build fails");
    });
    let tests = std::env::current_exe().expect("a test program has a path");
    // target/PROFILE/deps/TEST -> target/PROFILE/NAME
    let folder = tests.ancestors().nth(2).expect("cargo's layout");
    Command::new(folder.join(name))
}

/// Copies the shipped bundle to `folder/bundle`, with the detector beside it.
pub fn shipped_bundle(folder: &Path) -> PathBuf {
    let copy = folder.join("bundle");
    std::fs::create_dir(&copy).expect("a temporary folder");
    let entries = std::fs::read_dir(root().join("models/ferplus-edge")).expect("the shipped bundle");
    for entry in entries.map(|entry| entry.expect("the shipped bundle")) {
        // It is put there by whoever builds the project.
        if entry.file_name() != expression_engine::bundle::DETECTOR {
            std::fs::copy(entry.path(), copy.join(entry.file_name())).expect("a temporary folder");
        }
    }
    succeed(program("host-trainer").arg("detector").arg(&copy));
    copy
}

/// `host-trainer run-all` with the smoke preset and `--runs RUNS`.
pub fn run_all(runs: &Path, arguments: &[&str]) -> Command {
    let mut command = program("host-trainer");
    command.args(["run-all", "--preset", "smoke", "--device", "cpu", "--runs"]).arg(runs).args(arguments);
    command
}

/// A preset that is trained in seconds, written to `folder`: few epochs of a small net.
pub fn tiny_preset(folder: &Path, stage_two_epochs: usize) -> PathBuf {
    let smoke = std::fs::read_to_string(root().join("host-trainer/presets/smoke.toml")).expect("the smoke preset");
    let mut text = smoke;
    for (from, to) in [
        ("convolutions = [16, 32, 48, 64]", "convolutions = [8, 8, 8, 8]"),
        ("[stage_one]\nepochs = 4", "[stage_one]\nepochs = 1"),
        ("[stage_two]\nepochs = 20", &format!("[stage_two]\nepochs = {stage_two_epochs}")),
        ("calibration_samples = 64", "calibration_samples = 8"),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let path = folder.join("tiny.toml");
    std::fs::write(&path, text).expect("a temporary folder");
    path
}

/// Runs a command that must succeed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().expect("the program starts");
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{talk}", output.status);
    output
}

/// Runs a command that must refuse its input: exit code 2 and one line, which it gives.
pub fn refuse(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{command:?}\n{talk}");
    let errors: Vec<&str> = talk.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{command:?}\n{talk}");
    assert!(!talk.contains("panicked"), "{talk}");
    errors[0].to_owned()
}

/// JSON lines.
pub fn json_lines(text: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(text).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

/// `metrics.json` of a run.
pub fn metrics(run: &Path) -> Value {
    let bytes = std::fs::read(run.join("metrics.json")).expect("a finished run has metrics.json");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// The place of a data set of photographs, which is never part of the project: named by an environment variable, or
/// beside the project. Says so where it is absent.
pub fn photographs(variable: &str, beside: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable).map_or_else(|| root().join("..").join(beside), PathBuf::from);
    let found = folder.exists();
    if !found {
        // Past the capture of the test harness, which shows only what failing tests print.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: no photographs at {}; name their place by {variable}",
            folder.display()
        );
    }
    found.then_some(folder)
}

/// Writes rendered faces as a folder data set: `count` pictures, their labels in turn, under `folder/LABEL/NUMBER.png`.
pub fn write_folder(folder: &Path, count: usize) {
    use host_trainer::dataset::rendered;
    let renderer = rendered::open().expect("assets are set up");
    let identities = count.div_ceil(16) as u64;
    for (number, sample) in rendered::draw(&renderer, 77, 0..identities).iter().take(count).enumerate() {
        let class = folder.join(sample.label.name());
        std::fs::create_dir_all(&class).expect("a temporary folder");
        let (picture, path) = (&sample.picture, class.join(format!("{number:05}.png")));
        let (width, height) = (picture.width as u32, picture.height as u32);
        image::save_buffer(path, &picture.data, width, height, image::ColorType::Rgb8).expect("a picture is written");
    }
}
