//! A second release from the same commit in another folder, to see that it has the same bytes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::compare;
use crate::error::bad_input;
use crate::{cargo, process};

/// A second release, to be made when the first one is.
pub struct Again {
    work: PathBuf,
    commit: String,
}

impl Again {
    /// Notes the commit, and keeps this machine's own programs as they are: they write the man pages and completions, and whoever builds while the first
    /// release is made replaces them. Call it after [`super::prepare`].
    ///
    /// # Errors
    /// Returns an error if a program is missing or cannot be copied.
    pub fn new() -> Result<Again> {
        let root = cargo::workspace_root();
        let commit =
            process::run(Command::new("git").args(["rev-parse", "HEAD"]).current_dir(&root))?.trim().to_owned();
        let work = root.join("target/release-again");
        let _ = fs::remove_dir_all(&work);
        fs::create_dir_all(work.join(PROGRAMS))?;
        for name in ["xtask", "host-trainer", "edge-runtime"] {
            let program = cargo::sibling(name)?;
            let copy = work.join(PROGRAMS).join(name);
            fs::copy(&program, copy).with_context(|| format!("cannot copy {}", program.display()))?;
        }
        Ok(Again { work, commit })
    }

    /// Makes the release again from a second checkout, whose path has another length, as a user with another umask and time zone,
    /// and compares it with the one in `dist`. What the second one builds for boards is built from scratch.
    ///
    /// # Errors
    /// Returns an error if the second release cannot be made, or if a file differs; the error names each.
    pub fn make(self, dist: &Path, boards: &[String]) -> Result<()> {
        let root = cargo::workspace_root();
        let checkout = self.work.join("a-checkout-whose-path-is-longer");
        process::run(Command::new("git").args(["clone", "--quiet", "--no-checkout"]).arg(&root).arg(&checkout))?;
        process::run(
            Command::new("git").args(["checkout", "--quiet", "--detach", &self.commit]).current_dir(&checkout),
        )?;
        // Pinned downloads: a second one would be the same.
        symlink(fs::canonicalize(root.join(".assets"))?, checkout.join(".assets"))?;
        eprintln!("the same again in {}", checkout.display());
        let mut again = Command::new("sh");
        let xtask = self.work.join(PROGRAMS).join("xtask");
        again.args(["-c", "umask 077; exec \"$0\" \"$@\""]).arg(xtask).args(["release", "--prepared"]);
        again.args(boards.iter().flat_map(|board| ["--image", board]));
        again.env("CARGO_MANIFEST_DIR", checkout.join("xtask")).env("TZ", "Asia/Kathmandu").current_dir(&checkout);
        again.env_remove("XTASK_ARM_TARGET").env_remove("CARGO_TARGET_DIR");
        ensure!(
            again.status().context("xtask could not be started")?.success(),
            "the second release could not be made"
        );
        let different = compare::differences(dist, &checkout.join("dist"), &self.work.join("unpacked"))?;
        if !different.is_empty() {
            bail!("the second release, in {}, differs: {}", checkout.join("dist").display(), different.join("; "));
        }
        let files = fs::read_dir(dist)?.count();
        eprintln!("made twice: all {files} files have the same bytes");
        fs::remove_dir_all(self.work)?;
        Ok(())
    }
}

/// The folder of the programs that are kept. Programs of the workspace look for each other in one folder.
const PROGRAMS: &str = "programs";

/// Checks that everything is committed: the second release is made from the commit.
///
/// # Errors
/// Returns an error if something is not, or if this is not a checkout of git.
pub fn require_committed() -> Result<()> {
    let changed =
        process::run(Command::new("git").args(["status", "--porcelain"]).current_dir(cargo::workspace_root()))
            .map_err(|_| bad_input("--twice needs a git checkout"))?;
    match changed.lines().next() {
        None => Ok(()),
        Some(line) => Err(bad_input(format!("--twice builds the commit, but {} is not committed", line.trim()))),
    }
}
