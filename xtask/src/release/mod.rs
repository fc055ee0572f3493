//! A release: for each architecture a tarball and a Debian package, with man pages, completions, units, board files, the bundle with its
//! detector, the licences of all dependencies and a list of them (CycloneDX), and images of cards. The same sources give the same bytes.

mod checksums;
mod compare;
mod papers;
mod tarball;
mod twice;

pub use checksums::CHECKSUMS;
pub use twice::{Again, require_committed};

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::error::bad_input;
use crate::image::{self, Recipe};
use crate::{arm, cargo, manual, package, process, program, setup};

/// What releases are built for: the target, and its name in the names of files.
const ARCHITECTURES: [(&str, &str); 2] = [("x86_64-unknown-linux-gnu", "x86_64"), (arm::TARGET, "aarch64")];

/// Builds the programs of this machine that make a release: the one that adds the detector to the bundle, and the one that writes the
/// man pages.
///
/// # Errors
/// Returns an error if a tool is missing, or the build fails.
pub fn prepare(images: bool) -> Result<()> {
    papers::require_tools()?;
    package::require_cargo_deb()?;
    if images {
        arm::require(&image::missing_packages())?;
    }
    setup::install()?;
    cargo::run(&["build", "--workspace"])?;
    if !uncommitted()?.is_empty() {
        eprintln!("warning: not everything is committed, so nobody else can make this release from the commit");
    }
    Ok(())
}

/// Makes a release in `dist`, in place of what is there, with images for `boards`. [`prepare`] must have run.
///
/// # Errors
/// Returns an error if a build or tool fails.
pub fn make(dist: &Path, boards: &[String]) -> Result<()> {
    let root = cargo::workspace_root();
    let date = cargo::source_date().ok_or_else(|| bad_input("no date for the files: set SOURCE_DATE_EPOCH"))?;
    empty(dist)?;
    begin(dist)?;
    let version = version(&root)?;
    package::add_detector()?;
    let licences = papers::write_licences(&root, dist)?;
    for (target, architecture) in ARCHITECTURES {
        let program = program::build(target)?;
        let name = format!("edge-runtime-{version}-{architecture}-linux");
        let list = dist.join(format!("{name}.cdx.json"));
        papers::write_dependencies(&root, target, date, &list)?;
        let papers = [licences.clone(), list];
        // It also writes the man pages.
        let package = package::pack_with(target, &papers)?;
        fs::copy(&package, dist.join(package.file_name().context("a package has a name")?))?;
        let work = work_folder(&root).join(&name);
        let _ = fs::remove_dir_all(&work);
        let bundle = root.join("models/ferplus-edge");
        let contents =
            tarball::Contents { program: &program, manual: &manual::folder(), bundle: &bundle, papers: &papers };
        tarball::stage(&work, &root, &contents)?;
        tarball::pack(&work, date, &dist.join(format!("{name}.tar.xz")))?;
    }
    if !boards.is_empty() {
        make_images(&root, dist, &version, boards)?;
    }
    checksums::write(dist)
}

/// The folder of what a release is made from.
fn work_folder(root: &Path) -> PathBuf {
    root.join("target/release-work")
}

/// Makes compressed images of cards, each with the list of the Debian packages in it.
fn make_images(root: &Path, dist: &Path, version: &str, boards: &[String]) -> Result<()> {
    // Not those that were made for emulated boards some time ago: a release has the packages of today.
    let assets = work_folder(root).join("image");
    let _ = fs::remove_dir_all(&assets);
    fs::create_dir_all(&assets)?;
    for board in boards {
        let output = dist.join(format!("edge-runtime-{version}-{board}.img"));
        image::make_in(
            &assets,
            &Recipe {
                program: &program::path(arm::TARGET),
                board: &root.join("boards").join(format!("{board}.toml")),
                bundle: &root.join("models/ferplus-edge"),
                files: None,
                data_mib: image::DATA_MIB,
                output: &output,
            },
        )?;
        fs::write(output.with_extension("packages.txt"), image::packages(&assets)?)?;
        // A single thread, so that the number of processors makes no difference.
        process::run(Command::new("xz").args(["-T1", "-4", "--force"]).arg(&output))
            .context("the image could not be compressed")?;
    }
    Ok(())
}

/// Returns what git says is not committed, one file a line; nothing outside a checkout.
fn uncommitted() -> Result<String> {
    let root = cargo::workspace_root();
    if !root.join(".git").exists() {
        return Ok(String::new());
    }
    process::run(Command::new("git").args(["status", "--porcelain"]).current_dir(root))
}

/// Removes the release that is in `dist`, and nothing else.
fn empty(dist: &Path) -> Result<()> {
    let anything = fs::read_dir(dist).is_ok_and(|mut entries| entries.next().is_some());
    if anything && !dist.join(CHECKSUMS).is_file() {
        return Err(bad_input(format!(
            "{} holds something that is not a release; name another folder",
            dist.display()
        )));
    }
    let _ = fs::remove_dir_all(dist);
    Ok(())
}

/// Creates `dist` with an empty list of checksums, so that a release that fails half-way is still known as one to be replaced.
fn begin(dist: &Path) -> Result<()> {
    fs::create_dir_all(dist).with_context(|| format!("{} could not be made", dist.display()))?;
    fs::write(dist.join(CHECKSUMS), "").context("the checksums could not be written")
}

/// Returns the version of the workspace.
fn version(root: &Path) -> Result<String> {
    let manifest: toml::Table = fs::read_to_string(root.join("Cargo.toml"))?.parse()?;
    let version = manifest["workspace"]["package"]["version"].as_str();
    Ok(version.context("the workspace's manifest has no version")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_release_is_replaced() {
        let work = tempfile::tempdir().unwrap();
        empty(work.path()).unwrap();
        fs::create_dir_all(work.path()).unwrap();
        fs::write(work.path().join("letter.txt"), "dear").unwrap();
        assert!(empty(work.path()).unwrap_err().to_string().contains("not a release"));
        assert!(work.path().join("letter.txt").exists());
        let dist = work.path().join("dist");
        begin(&dist).unwrap();
        fs::write(dist.join("half a tarball"), "").unwrap();
        empty(&dist).unwrap();
        assert!(!dist.exists());
    }
}
