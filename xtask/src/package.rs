//! Debian packages of the program for boards: docs/deploy.md.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::error::bad_input;
use crate::{arm, cargo, manual, process};

/// Checks that cargo-deb is installed.
///
/// # Errors
/// Returns an error with the command that installs it.
pub fn require_cargo_deb() -> Result<()> {
    if process::run(Command::new("cargo").args(["deb", "--version"])).is_ok() {
        return Ok(());
    }
    Err(bad_input("missing: cargo-deb; install it with `cargo install cargo-deb@3.8.0 --locked`"))
}

/// Adds the detector to the shipped bundle, unless it is there.
///
/// # Errors
/// Returns an error if `host-trainer` is not built or fails.
pub fn add_detector() -> Result<()> {
    let bundle = cargo::workspace_root().join("models/ferplus-edge");
    process::run(Command::new(cargo::sibling("host-trainer")?).arg("detector").arg(bundle))?;
    Ok(())
}

/// Packs the program that `program::build` has built for `target`, with its man pages and completions, and returns the path of the
/// package.
///
/// # Errors
/// Returns an error if cargo-deb is missing or fails.
pub fn pack(target: &str) -> Result<PathBuf> {
    pack_with(target, &[])
}

/// Packs as [`pack`] does, and adds `papers` to the package's documentation.
///
/// # Errors
/// Returns an error if cargo-deb is missing or fails, or a paper cannot be read.
pub fn pack_with(target: &str, papers: &[PathBuf]) -> Result<PathBuf> {
    require_cargo_deb()?;
    let root = cargo::workspace_root();
    let folder = root.join("target/boards/papers");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    for paper in papers.iter().chain([&root.join("boards/release/NOTICE")]) {
        let name = paper.file_name().context("a file has a name")?;
        fs::copy(paper, folder.join(name)).with_context(|| format!("{} could not be copied", paper.display()))?;
    }
    manual::write(&cargo::sibling("edge-runtime")?, &manual::folder())?;
    add_detector()?;
    let mut deb = Command::new("cargo");
    deb.args(["deb", "-p", "edge-runtime", "--no-build", "--no-strip", "--quiet", "--target", target]);
    if target == arm::TARGET {
        deb.args(["--variant", "arm64"]);
    }
    // The files in the package then bear this date, so that the same sources give the same package.
    if let Some(date) = cargo::source_date() {
        deb.env("SOURCE_DATE_EPOCH", date.to_string());
    }
    let output = process::run(deb.current_dir(&root))?;
    let path = output.lines().map(str::trim).rfind(|line| line.ends_with(".deb"));
    Ok(root.join(path.context("cargo-deb did not print the path of the package")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_entries_of_the_package_go_to_one_place() {
        // The variant for arm64 merges its entry by the place where files go: of two with the same place, it keeps the last.
        let manifest = fs::read_to_string(cargo::workspace_root().join("edge-runtime/Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
        let mut places = BTreeSet::new();
        for asset in assets {
            assert!(places.insert(asset[1].as_str().unwrap()), "{} has two entries", asset[1]);
        }
        assert!(places.contains("usr/bin/edge-runtime"));
    }
}
