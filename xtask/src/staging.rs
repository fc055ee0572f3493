//! `.assets/.staging`: what is being fetched and unpacked. What is finished is renamed out of it, so that an interruption
//! at any instant leaves nothing half-written where it would be taken for whole.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::assets::Package;
use crate::fetch::{self, Download};
use crate::refusal::refusal;

/// Held by one set-up at a time; removed with all it holds when dropped.
pub struct Staging {
    assets: PathBuf,
    root: PathBuf,
    /// Released by the system when this process ends, however it ends.
    _lock: File,
}

impl Staging {
    /// Waits for another set-up to end, and clears away what an interrupted one has left.
    pub fn open(assets: &Path) -> Result<Self> {
        let cannot = || format!("{} could not be made ready", assets.display());
        fs::create_dir_all(assets).with_context(cannot)?;
        let lock = File::create(assets.join(".lock")).with_context(cannot)?;
        if lock.try_lock().is_err() {
            eprintln!("setup: waiting for another set-up to end");
            lock.lock().with_context(cannot)?;
        }
        let root = assets.join(".staging");
        remove(&root).with_context(cannot)?;
        fs::create_dir(&root).with_context(cannot)?;
        Ok(Self { assets: assets.to_path_buf(), root, _lock: lock })
    }

    /// The folder that finished folders are moved to.
    pub fn assets(&self) -> &Path {
        &self.assets
    }

    /// A place in it for a folder being made.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The package's file, fetched at most once in a set-up.
    pub fn fetch(&self, package: &Package, download: &Download) -> Result<PathBuf> {
        let into = self.path("downloads").join(package.sha256);
        match fs::read_dir(&into).ok().and_then(|mut files| files.next()) {
            Some(verified) => Ok(verified?.path()),
            None => fetch::fetch(package, &into, download),
        }
    }

    /// Puts the finished folder `name` in its place, instead of an older one.
    pub fn finish(&self, name: &str) -> Result<()> {
        let (made, place, old) = (self.path(name), self.assets.join(name), self.path("old").join(name));
        let moved = || -> io::Result<()> {
            if fs::symlink_metadata(&place).is_ok() {
                fs::create_dir_all(self.path("old"))?;
                fs::rename(&place, &old)?;
            }
            fs::rename(&made, &place)
        };
        moved().with_context(|| format!("{} could not be put in its place", place.display()))
    }

    /// Says before a long download that the disk is too full for it.
    pub fn require_room(&self, needed: u64) -> Result<()> {
        let asked = Command::new("python3")
            .args(["-c", "import shutil, sys; print(shutil.disk_usage(sys.argv[1]).free)"])
            .arg(&self.assets)
            .output()
            .context("python3 could not be started")?;
        let free: u64 = String::from_utf8_lossy(&asked.stdout).trim().parse().unwrap_or(u64::MAX);
        if free >= needed {
            return Ok(());
        }
        Err(refusal(format!(
            "set-up needs {} MB in {}, where {} MB are free: free some and run `cargo xtask setup` again",
            needed / 1_000_000,
            self.assets.display(),
            free / 1_000_000
        )))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next set-up.
        let _ = remove(&self.root);
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
