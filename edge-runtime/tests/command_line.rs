//! The program's command line, and a bundle that every command refuses.

use std::path::Path;
use std::process::{Command, Output};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edge-runtime"));
    command.env_remove("RUST_LOG").env_remove("NO_COLOR");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn done(output: Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = done(program().args(["completions", shell]).output().unwrap());
        assert!(script.contains("edge-runtime") && script.contains("records-per-second"), "{shell}: {script}");
    }
    let refused = program().args(["completions", "abacus"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn each_command_has_a_man_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    done(program().arg("man").arg(&pages).output().unwrap());
    for (name, says) in [
        ("edge-runtime.1", "Exit codes"),
        ("edge-runtime-run.1", "commit\\-every"),
        ("edge-runtime-log-export.1", "journal"),
        ("edge-runtime-doctor.1", "source"),
    ] {
        let page = std::fs::read_to_string(pages.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(page.contains(".TH") && page.contains(says), "{name}: {page}");
    }
}

#[test]
fn help_says_what_each_command_does() {
    for command in
        ["run", "classify", "config", "demo", "bench", "doctor", "selftest", "verify", "log", "completions", "man"]
    {
        let help = done(program().args([command, "--help"]).output().unwrap());
        assert!(help.contains("Usage: edge-runtime") && help.contains("--quiet"), "{help}");
    }
}

#[test]
fn a_wrong_rust_log_is_bad_input_and_levels_are_taken() {
    let selftest = |log: &str, more: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        program().env("RUST_LOG", log).args(["selftest", "--bundle"]).arg(folder.path()).args(more).output().unwrap()
    };
    let wrong = selftest("loud=very", &[]);
    assert_eq!(wrong.status.code(), Some(2));
    let said = text(&wrong.stderr);
    assert!(said.contains("RUST_LOG=loud=very") && said.contains("warn") && said.lines().count() == 1, "{said}");
    for log in ["", "debug", "edge_runtime=trace,warn"] {
        assert!(text(&selftest(log, &[]).stderr).contains("manifest.toml"), "{log}");
    }
    // Flags are above the variable.
    assert!(text(&selftest("loud=very", &["-v"]).stderr).contains("manifest.toml"));
}

#[test]
fn sizes_that_are_not_sizes_are_told_what_to_write() {
    for size in ["640", "640x", "widex480", "-1x5", "0x0"] {
        let output = program().args(["run", &format!("--frame-size={size}")]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{size}");
        assert!(text(&output.stderr).contains("640x480"), "{size}: {}", text(&output.stderr));
    }
}

#[test]
fn a_negative_rotation_is_told_what_to_write() {
    let output = program().args(["run", "--rotate", "-90"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("0, 90, 180 or 270"), "{}", text(&output.stderr));
}

#[test]
fn a_path_may_begin_with_a_tilde() {
    let home = tempfile::tempdir().unwrap();
    let output = program().env("HOME", home.path()).args(["selftest", "--bundle=~/none"]).output().unwrap();
    let wanted = home.path().join("none");
    assert!(text(&output.stderr).contains(wanted.to_str().unwrap()), "{}", text(&output.stderr));
}

#[test]
fn a_bundle_with_swapped_labels_is_refused_by_every_command() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/ferplus-edge");
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(shipped).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let path = folder.path().join("manifest.toml");
    let manifest = std::fs::read_to_string(&path).unwrap();
    let swapped = manifest.replace("happiness", "?").replace("anger", "happiness").replace('?', "anger");
    assert_ne!(swapped, manifest);
    std::fs::write(&path, swapped).unwrap();
    let bundle = folder.path().to_str().unwrap();
    for command in [
        &["selftest"][..],
        &["classify", "face.png"],
        &["bench"],
        &["run", "--board", "generic-x86-64", "--source", "images:/dev/null"],
        &["doctor", "--board", "generic-x86-64"],
    ] {
        let output = program().args(command).args(["--bundle", bundle]).output().unwrap();
        let doctor = command[0] == "doctor";
        assert_eq!(output.status.code(), Some(if doctor { 1 } else { 2 }), "{output:?}");
        let said = text(if doctor { &output.stdout } else { &output.stderr });
        let lines: Vec<_> =
            said.lines().filter(|line| line.contains("manifest.toml: labels = \"neutral, anger,")).collect();
        assert_eq!((lines.len(), doctor || said.lines().count() == 1), (1, true), "{command:?}: {said}");
        assert!(lines[0].contains("were made for \"neutral, happiness,"), "{said}");
    }
}
