//! A tarball of the program and all that belongs to it, in the layout of `/usr/local`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// What a tarball is made of.
pub struct Contents<'a> {
    /// The program for the architecture.
    pub program: &'a Path,
    /// Man pages and completions.
    pub manual: &'a Path,
    /// The bundle with its detector.
    pub bundle: &'a Path,
    /// The list of dependencies and their licences.
    pub papers: &'a [PathBuf],
}

/// Lays out the files of a tarball in `folder`: the layout of `/usr/local`, so that it can be unpacked there.
///
/// # Errors
/// Returns an error if the bundle has no detector, or a file cannot be copied.
pub fn stage(folder: &Path, root: &Path, contents: &Contents) -> Result<()> {
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
    copy_all(&boards.join("monitoring"), "", &share.join("boards/monitoring"))?;
    for name in [
        "edge-runtime.service",
        "edge-runtime.sysusers",
        "edge-runtime.rules",
        "board.schema.json",
        "fleet.schema.json",
        "README.md",
    ] {
        copy(&boards.join(name), &share.join("boards").join(name))?;
    }
    let doc = folder.join("share/doc/edge-runtime");
    for name in ["LICENSE-MIT", "LICENSE-APACHE", "CHANGELOG.md"] {
        copy(&root.join(name), &doc.join(name))?;
    }
    copy(&boards.join("release/NOTICE"), &doc.join("NOTICE"))?;
    for name in ["README.txt", "install.sh"] {
        copy(&boards.join("release").join(name), &folder.join(name))?;
    }
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
///
/// # Errors
/// Returns an error if tar or xz fails.
pub fn pack(folder: &Path, date: u64, tarball: &Path) -> Result<()> {
    let (above, name) = (folder.parent().context("a folder above")?, folder.file_name().context("a name")?);
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--format=ustar", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX"]);
    tar.arg(format!("--mtime=@{date}")).args(["--use-compress-program", "xz -T1", "-cf"]).arg(tarball);
    process::run(tar.env("LC_ALL", "C").arg("-C").arg(above).arg(name)).context("the tarball could not be written")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo;
    use crate::release::checksums::{self, CHECKSUMS};
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
            checksums::write(&dist).unwrap();
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
            "edge-runtime-1/install.sh\n",
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
}
