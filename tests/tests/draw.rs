//! `host-trainer draw` can be interrupted.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use system_tests::{program, succeed};

/// Names of what lies in a folder.
fn names(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn an_interrupted_drawing_leaves_nothing_behind() {
    // One that writes picture by picture, and one that draws all of them first.
    ["affectnet", "tfd"].into_iter().for_each(interrupted);
}

fn interrupted(layout: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut draw = program("host-trainer");
    draw.args(["draw", "--layout", layout, "--out"]).arg(folder.path().join("set"));
    let mut child = draw.stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while names(folder.path()).is_empty() {
        assert!(
            started.elapsed() < Duration::from_secs(300) && child.try_wait().unwrap().is_none(),
            "nothing is drawn"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    succeed(Command::new("kill").args(["-INT", &child.id().to_string()]));
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: interrupted; nothing was written"), "{said}");
    assert_eq!(names(folder.path()), [""; 0]);
}
