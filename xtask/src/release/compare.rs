//! Whether two releases are the same to the byte, and if not, which file differs.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// Returns a line for each file that is not the same in both folders. For an archive it names the files in it that differ. `work` is a
/// folder for unpacking, which is made and removed.
///
/// # Errors
/// Returns an error if a file cannot be read, or an archive cannot be unpacked.
pub fn differences(one: &Path, other: &Path, work: &Path) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for (name, difference) in compare(one, other)? {
        let mut unpacked = Vec::new();
        for (number, folder) in [one, other].into_iter().enumerate() {
            let to = work.join(number.to_string());
            let _ = fs::remove_dir_all(&to);
            if difference.is_content() && unpack(&folder.join(&name), &to)? {
                unpacked.push(to);
            }
        }
        match &unpacked[..] {
            [one, other] => {
                let found = compare(one, other)?;
                if found.is_empty() {
                    lines.push(format!("{}: dates, owners or order of the files in it", name.display()));
                }
                let inner = found.iter().map(|(inner, why)| format!("{}: {}: {why}", name.display(), inner.display()));
                lines.extend(inner);
            }
            _ => lines.push(format!("{}: {difference}", name.display())),
        }
    }
    let _ = fs::remove_dir_all(work);
    Ok(lines)
}

/// How a file differs in two folders.
#[derive(Debug, PartialEq)]
enum Difference {
    /// It is in the first folder only.
    OnlyFirst,
    /// It is in the second folder only.
    OnlySecond,
    /// Kind (file, link) or permissions.
    Kind([u32; 2]),
    /// The content, from this byte on.
    Content(usize),
}

impl Difference {
    fn is_content(&self) -> bool {
        matches!(self, Difference::Content(_))
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Difference::OnlyFirst => f.write_str("only in the first"),
            Difference::OnlySecond => f.write_str("only in the second"),
            Difference::Kind([one, other]) => write!(f, "kind and permissions {one:o} and {other:o}"),
            Difference::Content(at) => write!(f, "byte {at}"),
        }
    }
}

/// Returns the files that differ, by their paths in the folders.
fn compare(one: &Path, other: &Path) -> Result<Vec<(PathBuf, Difference)>> {
    let (first, second) = (files(one)?, files(other)?);
    let mut found = Vec::new();
    for name in first.union(&second) {
        let difference = match (first.contains(name), second.contains(name)) {
            (true, false) => Some(Difference::OnlyFirst),
            (false, true) => Some(Difference::OnlySecond),
            _ => compare_files(&one.join(name), &other.join(name))?,
        };
        found.extend(difference.map(|difference| (name.clone(), difference)));
    }
    Ok(found)
}

fn compare_files(one: &Path, other: &Path) -> Result<Option<Difference>> {
    let kinds = [one, other].map(|path| fs::symlink_metadata(path).map(|about| about.permissions().mode()));
    let [Ok(kind), Ok(other_kind)] = kinds else { return Ok(None) };
    if kind != other_kind {
        return Ok(Some(Difference::Kind([kind, other_kind])));
    }
    let read = |path: &Path| {
        let content = if path.is_symlink() {
            fs::read_link(path).map(|to| to.into_os_string().into_encoded_bytes())
        } else {
            fs::read(path)
        };
        content.with_context(|| format!("{} could not be read", path.display()))
    };
    let (one, other) = (read(one)?, read(other)?);
    let differs = one.iter().zip(&other).position(|(a, b)| a != b);
    let ends = (one.len() != other.len()).then(|| one.len().min(other.len()));
    Ok(differs.or(ends).map(Difference::Content))
}

/// Returns the paths of all files and links in a folder, without the folder's own.
fn files(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        let path = folder.join(&inner);
        let entries = fs::read_dir(&path).with_context(|| format!("{} could not be read", path.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = inner.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(name);
            } else {
                found.insert(name);
            }
        }
    }
    Ok(found)
}

/// Unpacks an archive; returns false if the file is not one.
fn unpack(archive: &Path, to: &Path) -> Result<bool> {
    let name = archive.to_string_lossy();
    let mut command = if name.ends_with(".deb") {
        fs::create_dir_all(to.parent().context("a folder above")?)?;
        let mut command = Command::new("dpkg-deb");
        command.arg("--raw-extract").arg(archive).arg(to);
        command
    } else if name.ends_with(".tar.xz") {
        fs::create_dir_all(to)?;
        let mut command = Command::new("tar");
        command.args(["-p", "-xf"]).arg(archive).arg("-C").arg(to);
        command
    } else {
        return Ok(false);
    };
    process::run(&mut command).with_context(|| format!("{name} could not be unpacked"))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::tarball;

    /// Makes a release of two files, one of them a tarball with `program` in it.
    fn release(folder: &Path, program: &[u8], mode: u32, date: u64) -> PathBuf {
        let (dist, inner) = (folder.join("dist"), folder.join("edge-runtime-1"));
        fs::create_dir_all(inner.join("bin")).unwrap();
        fs::create_dir(&dist).unwrap();
        fs::write(inner.join("bin/edge-runtime"), program).unwrap();
        fs::set_permissions(inner.join("bin/edge-runtime"), fs::Permissions::from_mode(mode)).unwrap();
        fs::write(inner.join("README.txt"), "read me").unwrap();
        tarball::pack(&inner, date, &dist.join("edge-runtime-1.tar.xz")).unwrap();
        fs::write(dist.join("list.cdx.json"), "[]").unwrap();
        dist
    }

    #[test]
    fn the_file_that_differs_is_named_and_the_one_within_an_archive_too() {
        let work = tempfile::tempdir().unwrap();
        let made = |name: &str, program: &[u8], mode: u32, date: u64| {
            let folder = work.path().join(name);
            fs::create_dir(&folder).unwrap();
            release(&folder, program, mode, date)
        };
        let one = made("a", b"program", 0o755, 1_000_000_000);
        let against = |other: &Path| differences(&one, other, &work.path().join("unpacked")).unwrap();
        assert_eq!(against(&made("same", b"program", 0o755, 1_000_000_000)), [""; 0]);
        assert_eq!(
            against(&made("content", b"progrem", 0o755, 1_000_000_000)),
            ["edge-runtime-1.tar.xz: edge-runtime-1/bin/edge-runtime: byte 5"]
        );
        assert_eq!(
            against(&made("mode", b"program", 0o644, 1_000_000_000)),
            ["edge-runtime-1.tar.xz: edge-runtime-1/bin/edge-runtime: kind and permissions 100755 and 100644"]
        );
        assert_eq!(
            against(&made("later", b"program", 0o755, 1_000_000_001)),
            ["edge-runtime-1.tar.xz: dates, owners or order of the files in it"]
        );
        let other = made("list", b"program", 0o755, 1_000_000_000);
        fs::write(other.join("list.cdx.json"), "[").unwrap();
        fs::write(other.join("more"), "").unwrap();
        assert_eq!(against(&other), ["list.cdx.json: byte 1", "more: only in the second"]);
        fs::remove_file(other.join("list.cdx.json")).unwrap();
        assert_eq!(against(&other), ["list.cdx.json: only in the first", "more: only in the second"]);
    }
}
