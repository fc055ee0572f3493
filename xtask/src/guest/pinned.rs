//! The Debian packages that images and emulated boards are made of, pinned by version and SHA-256.
//!
//! apt verifies what it downloads by Debian's own signature. This list says in addition which packages those were when somebody
//! looked last, so that what an image holds changes by a commit and not by the day on which it is made.

use std::collections::BTreeMap;
use std::env;
use std::fs;

use anyhow::{Context, Result};

use crate::cargo;
use crate::error::bad_input;

/// The list, from the workspace's folder.
pub const LIST: &str = "xtask/src/guest/pinned.txt";
/// The variable that accepts other packages when its value is `accept`.
const VARIABLE: &str = "DEBIAN_PACKAGES";
/// How many differences an error names.
const NAMED: usize = 10;

/// Packages by name and architecture: version and SHA-256.
type Packages<'a> = BTreeMap<(&'a str, &'a str), (&'a str, &'a str)>;

/// Checks that every package of a list is the pinned one. Each line is a name, version, architecture and SHA-256.
/// `DEBIAN_PACKAGES=accept` writes the packages that differ into the pinned list instead, for a commit.
///
/// # Errors
/// Returns an error that names the packages that differ, or if a list cannot be read.
pub fn check(found: &str) -> Result<()> {
    let path = cargo::workspace_root().join(LIST);
    let pinned = fs::read_to_string(&path).with_context(|| format!("{LIST} could not be read"))?;
    let differences = differences(&pinned, found)?;
    if differences.is_empty() {
        return Ok(());
    }
    if env::var(VARIABLE).is_ok_and(|value| value == "accept") {
        eprintln!("{LIST}: {}", differences.join(", "));
        return fs::write(&path, merged(&pinned, found)?).with_context(|| format!("{LIST} could not be written"));
    }
    let (count, more) = (differences.len(), if differences.len() > NAMED { ", ..." } else { "" });
    let named = differences[..count.min(NAMED)].join(", ");
    Err(bad_input(format!(
        "{count} packages of Debian are not those in {LIST}: {named}{more}; look at them and run this again with {VARIABLE}=accept"
    )))
}

/// Returns how each package that differs does.
fn differences(pinned: &str, found: &str) -> Result<Vec<String>> {
    let (pinned, found) = (parse(pinned)?, parse(found)?);
    let difference = |(key, (version, sum)): (&(&str, &str), &(&str, &str))| match pinned.get(key) {
        Some((_, known)) if known == sum => None,
        Some((known, _)) if known == version => Some(format!("{} {version} has another SHA-256", key.0)),
        Some((known, _)) => Some(format!("{} {version} instead of {known}", key.0)),
        None => Some(format!("{} {version} is new", key.0)),
    };
    Ok(found.iter().filter_map(difference).collect())
}

/// Returns the pinned list with the packages that were found in place of their namesakes.
fn merged(pinned: &str, found: &str) -> Result<String> {
    let mut all = parse(pinned)?;
    all.extend(parse(found)?);
    let comments = pinned.lines().filter(|line| line.starts_with('#')).map(|line| format!("{line}\n"));
    let lines =
        all.iter().map(|((name, architecture), (version, sum))| format!("{name} {version} {architecture} {sum}\n"));
    Ok(comments.chain(lines).collect())
}

fn parse(list: &str) -> Result<Packages<'_>> {
    let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let [name, version, architecture, sum] = fields[..] else {
                return Err(bad_input(format!("no package in {line:?}: expected NAME VERSION ARCHITECTURE SHA256")));
            };
            Ok(((name, architecture), (version, sum)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PINNED: &str = "# comment\nbash 5.2-1 arm64 aa\nlibc6 2.36-9 arm64 bb\ntzdata 2026a all cc\n";

    #[test]
    fn what_differs_is_named_and_can_be_accepted() {
        assert!(differences(PINNED, "tzdata 2026a all cc\nbash 5.2-1 arm64 aa\n").unwrap().is_empty());
        let found = "bash 5.2-2 arm64 dd\nlibc6 2.36-9 arm64 ee\nudev 252 arm64 ff\n";
        let expected = ["bash 5.2-2 instead of 5.2-1", "libc6 2.36-9 has another SHA-256", "udev 252 is new"];
        assert_eq!(differences(PINNED, found).unwrap(), expected);
        let merged = merged(PINNED, found).unwrap();
        assert!(differences(&merged, found).unwrap().is_empty());
        assert!(merged.starts_with("# comment\nbash 5.2-2 arm64 dd\n") && merged.contains("tzdata 2026a all cc\n"));
        assert!(parse("bash 5.2").unwrap_err().to_string().contains("NAME VERSION ARCHITECTURE SHA256"));
    }

    #[test]
    fn the_committed_list_is_sorted_and_has_whole_hashes() {
        let text = fs::read_to_string(cargo::workspace_root().join(LIST)).unwrap();
        let packages = parse(&text).unwrap();
        assert!(packages.len() > 50 && packages.contains_key(&("systemd", "arm64")));
        assert!(packages.values().all(|(_, sum)| sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit())));
        assert_eq!(merged(&text, "").unwrap(), text);
    }
}
