//! Debian packages of the program that was built for boards: docs/deploy.md.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::guest::run;
use crate::refusal::refusal;
use crate::{arm, cargo};

/// An error where cargo-deb is missing.
pub fn require() -> Result<()> {
    let mut asked = Command::new("cargo");
    if run(asked.args(["deb", "--version"])).is_ok() {
        return Ok(());
    }
    Err(refusal("missing: cargo-deb; `cargo install cargo-deb@3.8.0 --locked` brings it"))
}

/// Packs the program for `target`, which `cargo xtask build` has put in its place, and gives the package.
pub fn pack(target: &str) -> Result<PathBuf> {
    require()?;
    let bundle = cargo::workspace_root().join("models/ferplus-edge");
    run(Command::new(cargo::sibling("host-trainer")?).arg("detector").arg(bundle))?;
    let mut deb = Command::new("cargo");
    deb.args(["deb", "-p", "edge-runtime", "--no-build", "--no-strip", "--quiet", "--target", target]);
    if target == arm::TARGET {
        deb.args(["--variant", "arm64"]);
    }
    let said = run(deb.current_dir(cargo::workspace_root()))?;
    let said = String::from_utf8_lossy(&said);
    let path = said.lines().map(str::trim).rfind(|line| line.ends_with(".deb"));
    Ok(cargo::workspace_root().join(path.context("cargo-deb named no package")?))
}
