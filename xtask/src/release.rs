//! A release: for each architecture a tarball and a Debian package, with man pages, completions, units, board files, the bundle with its
//! detector, the licences of all dependencies and a list of them (CycloneDX). The same sources give the same bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::error::bad_input;
use crate::{cargo, manual, package, process, program, setup};

/// What releases are built for: the target, and its name in the names of files.
const ARCHITECTURES: [(&str, &str); 2] = [("x86_64-unknown-linux-gnu", "x86_64"), (crate::arm::TARGET, "aarch64")];
/// Commands of cargo that a release needs, and the versions that are known to work.
const TOOLS: [(&str, &str); 2] = [("cyclonedx", "cargo-cyclonedx@0.5.9"), ("about", "cargo-about@0.9.3")];
/// The page with the licences of all dependencies.
const LICENCES: &str = "LICENCES.html";
/// The checksums of all other files.
pub const CHECKSUMS: &str = "SHA256SUMS";

/// What a tarball is made of.
struct Contents<'a> {
    program: &'a Path,
    /// Man pages and completions.
    manual: &'a Path,
    /// The bundle with its detector.
    bundle: &'a Path,
    /// The list of dependencies and their licences.
    papers: &'a [PathBuf],
}

/// Makes a release in `dist`, in place of what is there.
///
/// # Errors
/// Returns an error if a tool is missing, or a build or tool fails.
pub fn make(dist: &Path) -> Result<()> {
    for (name, package) in TOOLS {
        if process::run(&mut cargo::command(&[name, "--version"])).is_err() {
            return Err(bad_input(format!(
                "missing: cargo-{name}; install it with `cargo install --locked {package}`"
            )));
        }
    }
    package::require_cargo_deb()?;
    setup::install()?;
    cargo::run(&["build", "--workspace"])?;
    let root = cargo::workspace_root();
    let date = cargo::source_date().ok_or_else(|| bad_input("no date for the files: set SOURCE_DATE_EPOCH"))?;
    empty(dist)?;
    begin(dist)?;
    let licences = dist.join(LICENCES);
    write_licences(&root, &licences)?;
    for (target, architecture) in ARCHITECTURES {
        let program = program::build(target)?;
        // It also adds the detector to the bundle and writes the man pages.
        let package = package::pack(target)?;
        fs::copy(&package, dist.join(package.file_name().context("a package has a name")?))?;
        let name = format!("edge-runtime-{}-{architecture}-linux", version(&root)?);
        let list = dist.join(format!("{name}.cdx.json"));
        write_dependencies(&root, target, date, &list)?;
        let work = root.join("target/release-work").join(&name);
        let _ = fs::remove_dir_all(&work);
        stage(
            &work,
            &root,
            &Contents {
                program: &program,
                manual: &manual::folder(),
                bundle: &root.join("models/ferplus-edge"),
                papers: &[licences.clone(), list],
            },
        )?;
        pack(&work, date, &dist.join(format!("{name}.tar.xz")))?;
    }
    write_checksums(dist)
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

/// Lays out the files of a tarball in `folder`: the layout of `/usr/local`, so that it can be unpacked there.
fn stage(folder: &Path, root: &Path, contents: &Contents) -> Result<()> {
    let boards = root.join("boards");
    copy(contents.program, &folder.join("bin/edge-runtime"))?;
    copy_all(&contents.manual.join("man1"), "", &folder.join("share/man/man1"))?;
    for (name, to) in [
        ("edge-runtime.bash", "bash-completion/completions/edge-runtime"),
        ("edge-runtime.fish", "fish/vendor_completions.d/edge-runtime.fish"),
        ("_edge-runtime", "zsh/site-functions/_edge-runtime"),
    ] {
        copy(&contents.manual.join(name), &folder.join("share").join(to))?;
    }
    let share = folder.join("share/edge-runtime");
    if !contents.bundle.join("detector.onnx").is_file() {
        bail!("{} has no detector.onnx", contents.bundle.display());
    }
    copy_all(contents.bundle, "", &share.join("bundle"))?;
    copy_all(&boards, ".toml", &share.join("boards"))?;
    let names =
        ["edge-runtime.service", "edge-runtime.sysusers", "edge-runtime.rules", "board.schema.json", "README.md"];
    for name in names {
        copy(&boards.join(name), &share.join("boards").join(name))?;
    }
    let doc = folder.join("share/doc/edge-runtime");
    for name in ["LICENSE-MIT", "LICENSE-APACHE", "CHANGELOG.md"] {
        copy(&root.join(name), &doc.join(name))?;
    }
    copy(&boards.join("release/NOTICE"), &doc.join("NOTICE"))?;
    copy(&boards.join("release/README.txt"), &folder.join("README.txt"))?;
    for paper in contents.papers {
        let name = paper.file_name().context("a file has a name")?;
        copy(paper, &doc.join(name))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().context("a folder")?)?;
    fs::copy(from, to).with_context(|| format!("{} could not be copied", from.display()))?;
    Ok(())
}

/// Copies the files of a folder whose names have this ending.
fn copy_all(from: &Path, ending: &str, to: &Path) -> Result<()> {
    let entries = fs::read_dir(from).with_context(|| format!("{} could not be read", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_file() && name.to_string_lossy().ends_with(ending) {
            copy(&entry.path(), &to.join(name))?;
        }
    }
    Ok(())
}

/// Packs a folder. Owners, dates, permissions and the order of files do not depend on the machine.
fn pack(folder: &Path, date: u64, tarball: &Path) -> Result<()> {
    let (above, name) = (folder.parent().context("a folder above")?, folder.file_name().context("a name")?);
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--format=ustar", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX"]);
    tar.arg(format!("--mtime=@{date}")).args(["--use-compress-program", "xz -T1", "-cf"]).arg(tarball);
    process::run(tar.env("LC_ALL", "C").arg("-C").arg(above).arg(name)).context("the tarball could not be written")?;
    Ok(())
}

/// Writes a page with the licences of all crates of the program, without asking any server.
fn write_licences(root: &Path, page: &Path) -> Result<()> {
    let mut about = cargo::command(&["about", "generate", "--fail", "--offline", "--locked", "--config"]);
    about.arg(root.join("boards/release/about.toml")).arg("--manifest-path").arg(root.join("edge-runtime/Cargo.toml"));
    about.arg("--output-file").arg(page).arg(root.join("boards/release/licences.hbs"));
    process::run(&mut about).context("the licences could not be listed")?;
    Ok(())
}

/// Writes the list of all crates in the program for a target.
fn write_dependencies(root: &Path, target: &str, date: u64, list: &Path) -> Result<()> {
    let name = "release-dependencies";
    let mut tool = cargo::command(&["cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5"]);
    tool.args(["--target", target, "--no-build-deps", "--override-filename", name, "--manifest-path"]);
    tool.arg(root.join("edge-runtime/Cargo.toml")).env("SOURCE_DATE_EPOCH", date.to_string());
    process::run(&mut tool).context("the dependencies could not be listed")?;
    // It writes a list beside the manifest of each member of the workspace.
    let manifest: toml::Table = fs::read_to_string(root.join("Cargo.toml"))?.parse()?;
    let members = manifest["workspace"]["members"].as_array().context("the workspace has no members")?;
    let mut text = None;
    for member in members.iter().filter_map(toml::Value::as_str) {
        let path = root.join(member).join(format!("{name}.json"));
        if member == "edge-runtime" {
            text = fs::read_to_string(&path).ok();
        }
        let _ = fs::remove_file(path);
    }
    let text = text.context("cargo-cyclonedx wrote no list of edge-runtime")?;
    // Crates of the workspace are named by their paths.
    let text = text.replace(&root.display().to_string(), "/source");
    fs::write(list, text).with_context(|| format!("{} could not be written", list.display()))
}

/// Writes the checksums of the files in a folder, as `sha256sum --check` reads them.
fn write_checksums(folder: &Path) -> Result<()> {
    let mut names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
    names.retain(|name| name != CHECKSUMS);
    names.sort();
    let mut lines = String::new();
    for name in names {
        let sum = Sha256::digest(fs::read(folder.join(&name))?);
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        lines += &format!("{sum}  {}\n", name.display());
    }
    fs::write(folder.join(CHECKSUMS), lines).context("the checksums could not be written")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// Writes what a tarball is made of, with permissions and in an order of its own.
    fn contents(folder: &Path, mode: u32, backwards: bool) -> [PathBuf; 4] {
        let [program, list] = ["program", "list.cdx.json"].map(|name| folder.join(name));
        let [manual, bundle] = ["manual", "bundle"].map(|name| folder.join(name));
        fs::create_dir_all(manual.join("man1")).unwrap();
        fs::create_dir_all(&bundle).unwrap();
        let mut files: Vec<PathBuf> = vec![program.clone(), list.clone()];
        files.extend(
            ["man1/b.1", "man1/a.1", "edge-runtime.bash", "edge-runtime.fish", "_edge-runtime"]
                .map(|name| manual.join(name)),
        );
        files.extend(["manifest.toml", "detector.onnx", "expression.onnx"].map(|name| bundle.join(name)));
        if backwards {
            files.reverse();
        }
        for file in files {
            fs::write(&file, file.file_name().unwrap().as_encoded_bytes()).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::set_permissions(&program, fs::Permissions::from_mode(mode | 0o111)).unwrap();
        [program, manual, bundle, list]
    }

    #[test]
    fn the_same_files_give_the_same_tarball_whoever_packs_them_when() {
        let root = cargo::workspace_root();
        let packed = [(0o600, false), (0o664, true)].map(|(mode, backwards)| {
            let work = tempfile::tempdir().unwrap();
            let [program, manual, bundle, list] = contents(work.path(), mode, backwards);
            let contents = Contents { program: &program, manual: &manual, bundle: &bundle, papers: &[list] };
            let (folder, dist) = (work.path().join("edge-runtime-1"), work.path().join("dist"));
            let tarball = dist.join("edge-runtime-1.tar.xz");
            fs::create_dir(&dist).unwrap();
            stage(&folder, &root, &contents).unwrap();
            let earlier = fs::File::open(folder.join("README.txt")).unwrap();
            earlier.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::from(mode))).unwrap();
            pack(&folder, 1_000_000_000, &tarball).unwrap();
            let listed = process::run(Command::new("tar").arg("-tvf").arg(&tarball)).unwrap();
            write_checksums(&dist).unwrap();
            let checked = Command::new("sha256sum").args(["--check", "--quiet", CHECKSUMS]).current_dir(&dist).output();
            assert!(checked.unwrap().status.success());
            (fs::read(tarball).unwrap(), listed)
        });
        assert!(packed[0].0 == packed[1].0, "{}\n{}", packed[0].1, packed[1].1);
        let listed = &packed[0].1;
        for path in [
            "-rwxr-xr-x 0/0",
            "2001-09-09",
            "edge-runtime-1/bin/edge-runtime\n",
            "share/man/man1/a.1\n",
            "share/bash-completion/completions/edge-runtime\n",
            "share/edge-runtime/bundle/detector.onnx\n",
            "share/edge-runtime/boards/raspberry-pi-4b.toml\n",
            "share/edge-runtime/boards/edge-runtime.service\n",
            "share/doc/edge-runtime/NOTICE\n",
            "share/doc/edge-runtime/list.cdx.json\n",
        ] {
            assert!(listed.contains(path), "{path}\n{listed}");
        }
    }

    #[test]
    fn a_bundle_without_its_detector_is_not_packed() {
        let work = tempfile::tempdir().unwrap();
        let [program, manual, bundle, list] = contents(work.path(), 0o644, false);
        fs::remove_file(bundle.join("detector.onnx")).unwrap();
        let contents = Contents { program: &program, manual: &manual, bundle: &bundle, papers: &[list] };
        let error = stage(&work.path().join("a"), &cargo::workspace_root(), &contents).unwrap_err();
        assert!(error.to_string().contains("no detector.onnx"), "{error}");
    }

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

    #[test]
    fn the_licences_that_a_release_accepts_are_those_of_deny_toml() {
        let root = cargo::workspace_root();
        let table = |path: &str| fs::read_to_string(root.join(path)).unwrap().parse::<toml::Table>().unwrap();
        assert_eq!(table("boards/release/about.toml")["accepted"], table("deny.toml")["licenses"]["allow"]);
    }
}
