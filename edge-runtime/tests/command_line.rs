//! The program's command line, as far as it needs no bundle.

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
    for command in ["run", "classify", "bench", "doctor", "selftest", "log", "completions", "man"] {
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
    for size in ["640", "640x", "widex480", "-1x5"] {
        let output = program().args(["run", &format!("--frame-size={size}")]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{size}");
        assert!(text(&output.stderr).contains("640x480"), "{size}: {}", text(&output.stderr));
    }
}
