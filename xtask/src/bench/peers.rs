//! The Python packages of the other engines, pinned in `tests/peers/requirements.txt`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{scripts, succeed};

/// The Python of the root file system in which emulated boards run the engines: Debian bookworm's.
const BOARD_PYTHON: &str = "3.11";
/// The newest C library that a board's wheel may need: bookworm's.
const BOARD_GLIBC: u32 = 36;

/// Makes a virtual environment with the packages in `folder`, and returns its Python. If they cannot be installed, this says so, and
/// the Python may be missing: the table then names what could not be measured.
///
/// # Errors
/// Returns an error if files cannot be read or written.
pub fn install(folder: &Path) -> Result<PathBuf> {
    let venv = folder.join("venv");
    let python = venv.join("bin/python");
    make_once(&venv, |venv| {
        succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv))?;
        succeed(pip(&python).arg("-r").arg(scripts().join("requirements.txt")))
    })?;
    Ok(python)
}

/// Puts the packages for boards into a folder for `PYTHONPATH`, and returns it.
///
/// # Errors
/// As [`install`].
pub fn install_for_boards(folder: &Path) -> Result<PathBuf> {
    let site = folder.join("site-aarch64");
    make_once(&site, |site| {
        let mut pip = pip(Path::new("python3"));
        pip.args(["--no-deps", "--implementation=cp", "--python-version", BOARD_PYTHON, "--target"]).arg(site);
        pip.args((17..=BOARD_GLIBC).rev().map(|minor| format!("--platform=manylinux_2_{minor}_aarch64")));
        pip.arg("--platform=manylinux2014_aarch64").arg("-r").arg(scripts().join("requirements.txt"));
        succeed(&mut pip)
    })?;
    Ok(site)
}

/// Returns the command that installs packages by their hashes. Wheels alone are allowed: nothing is built or run.
fn pip(python: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary=:all:"]);
    pip.args(["--no-cache-dir", "--no-input", "--disable-pip-version-check"]);
    pip
}

/// Calls `make` unless `folder` was made from the same requirements.
fn make_once(folder: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let requirements = fs::read_to_string(scripts().join("requirements.txt"))?;
    let stamp = folder.join("requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|made| made == requirements) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    eprintln!("bench: installing the other engines in {} (0.3 GB)", folder.display());
    match make(folder) {
        Ok(()) => fs::write(stamp, requirements)?,
        Err(error) => eprintln!("bench: the other engines could not be installed ({error}, see above)"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_pinned_by_hash() {
        let [wanted, pinned] =
            ["requirements.in", "requirements.txt"].map(|name| fs::read_to_string(scripts().join(name)).unwrap());
        let packages = |text: &str| -> Vec<String> {
            text.lines()
                .filter(|line| line.contains("=="))
                .map(|line| line.trim_end_matches(" \\").to_owned())
                .collect()
        };
        let all = packages(&pinned);
        assert!(packages(&wanted).iter().all(|package| all.contains(package)), "requirements.txt is out of date");
        for part in pinned.split("==").skip(1) {
            assert!(part.contains("--hash=sha256:"), "{}", part.lines().next().unwrap_or_default());
        }
    }
}
