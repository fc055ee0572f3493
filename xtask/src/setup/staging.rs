//! `.assets/.staging`: files that are being downloaded and unpacked. A finished folder is renamed out of it, so that `.assets`
//! never has an incomplete folder, even after an interruption.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::assets::Package;
use super::fetch::{self, Download};
use crate::error::bad_input;

/// The staging folder, which one set-up at a time may use. It is deleted when this is dropped.
pub struct Staging {
    assets: PathBuf,
    root: PathBuf,
    /// Released by the system when this process ends, however it ends.
    _lock: File,
}

impl Staging {
    /// Waits until no other set-up runs, and deletes what an interrupted one has left.
    pub fn open(assets: &Path) -> Result<Self> {
        let cannot = || format!("{} could not be prepared", assets.display());
        fs::create_dir_all(assets).with_context(cannot)?;
        let lock = File::create(assets.join(".lock")).with_context(cannot)?;
        if lock.try_lock().is_err() {
            eprintln!("setup: waiting until another set-up has ended");
            lock.lock().with_context(cannot)?;
        }
        let root = assets.join(".staging");
        remove(&root).with_context(cannot)?;
        fs::create_dir(&root).with_context(cannot)?;
        Ok(Self { assets: assets.to_path_buf(), root, _lock: lock })
    }

    /// Returns `.assets`, which finished folders are moved to.
    pub fn assets(&self) -> &Path {
        &self.assets
    }

    /// Returns the path of an unfinished folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Returns a package's file, which a set-up downloads at most once.
    pub fn fetch(&self, package: &Package, download: &Download) -> Result<PathBuf> {
        let into = self.path("downloads").join(package.sha256);
        match fs::read_dir(&into).ok().and_then(|mut files| files.next()) {
            Some(verified) => Ok(verified?.path()),
            None => fetch::fetch(package, &into, download),
        }
    }

    /// Moves the finished folder `name` into `.assets`, in place of an older one.
    pub fn finish(&self, name: &str) -> Result<()> {
        let (made, place, old) = (self.path(name), self.assets.join(name), self.path("old").join(name));
        let moved = || -> io::Result<()> {
            if fs::symlink_metadata(&place).is_ok() {
                fs::create_dir_all(self.path("old"))?;
                fs::rename(&place, &old)?;
            }
            fs::rename(&made, &place)
        };
        moved().with_context(|| format!("{} could not be replaced", place.display()))
    }

    /// Checks the free disk space before a long download.
    ///
    /// # Errors
    /// Returns an error if less than `needed` bytes are free.
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
        Err(bad_input(format!(
            "set-up needs {} MB in {}, but only {} MB are free; free some space and run `cargo xtask setup` again",
            needed / 1_000_000,
            self.assets.display(),
            free / 1_000_000
        )))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // The next set-up deletes what cannot be deleted now.
        let _ = remove(&self.root);
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
