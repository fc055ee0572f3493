//! The unit file, read by systemd's own tools.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What systemd before version 254 does not know, and passes over.
const NEWER: [&str; 2] = ["RestartSteps", "RestartMaxDelaySec"];
/// The most exposure that the unit may have, in tenths, from 0 (safe) to 100.
const MAX_EXPOSURE: &str = "15";

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../boards/edge-runtime.service")
}

/// The unit with a program that is there, in a folder of its own.
fn unit(change: impl Fn(&str) -> String) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edge-runtime.service");
    let text = std::fs::read_to_string(shipped()).unwrap();
    let program = "ExecStart=/usr/bin/edge-runtime ";
    assert!(text.contains(program), "the unit starts something else");
    std::fs::write(&path, change(&text.replace(program, "ExecStart=/bin/true "))).unwrap();
    (folder, path)
}

/// What `systemd-analyze` says; `None` where there is none.
fn analyze(arguments: &[&str], unit: &Path) -> Option<Output> {
    match Command::new("systemd-analyze").args(arguments).arg(unit).env("SYSTEMD_COLORS", "0").output() {
        Ok(output) => Some(output),
        Err(_) => {
            eprintln!("skipped: no systemd-analyze here; apt-get install systemd brings it");
            None
        }
    }
}

/// What is wrong with a unit, without what only newer versions know.
fn complaints(unit: &Path) -> Option<Vec<String>> {
    let output = analyze(&["verify", "--man=no"], unit)?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let about_it = |line: &&str| line.contains("edge-runtime") && !NEWER.iter().any(|key| line.contains(key));
    Some(text.lines().filter(about_it).map(str::to_owned).collect())
}

#[test]
fn systemd_understands_the_unit() {
    let (_folder, path) = unit(str::to_owned);
    if let Some(complaints) = complaints(&path) {
        assert!(complaints.is_empty(), "{complaints:#?}");
        let (_folder, path) = unit(|text| text.replace("Restart=always", "Restart=sometimes"));
        assert_ne!(self::complaints(&path).unwrap().len(), 0, "a wrong unit was not noticed");
    }
}

#[test]
fn the_unit_exposes_little() {
    let arguments = ["security", "--offline=true", "--no-pager", &format!("--threshold={MAX_EXPOSURE}")];
    let (_folder, path) = unit(str::to_owned);
    if let Some(output) = analyze(&arguments, &path) {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let (_folder, path) = unit(|text| text.replace("ProtectSystem=strict", "").replace("SystemCallFilter=", "#"));
        assert!(!analyze(&arguments, &path).unwrap().status.success(), "an open unit was not noticed");
    }
}

/// What nothing else would notice: the unit is of no use without these.
#[test]
fn the_unit_keeps_its_promises() {
    let text = std::fs::read_to_string(shipped()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    for line in [
        "Type=notify",
        "WatchdogSec=30",
        "Restart=always",
        "StartLimitIntervalSec=0",
        "User=edge-runtime",
        "StateDirectory=edge-runtime",
        "RuntimeDirectory=edge-runtime",
        "RuntimeDirectoryPreserve=restart",
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "PrivateUsers=yes",
        "ProtectClock=yes",
        // Which `@system-service` leaves out.
        "SystemCallFilter=landlock_create_ruleset landlock_add_rule landlock_restrict_self",
        "DevicePolicy=closed",
        "DeviceAllow=char-video4linux rw",
        "DeviceAllow=char-gpiochip rw",
        "DeviceAllow=char-i2c rw",
    ] {
        assert!(lines.contains(&line), "{line} is missing");
    }
    assert_eq!(lines.iter().filter(|line| line.starts_with("DeviceAllow=")).count(), 3);
}
