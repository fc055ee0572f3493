//! Installs what the project needs into `.assets`: pinned, checked, and downloaded only once.

mod asset_folder;
mod assets;
mod cuda;
mod fetch;
mod libtorch;
mod preflight;
mod staging;
mod unpack;

pub use assets::{Asset, Package, Registry, ZIG};
pub use cuda::Cuda;
pub use libtorch::PINNED_HOST;

use std::path::Path;

use anyhow::Result;

use assets::{ASSETS, CUDA_BYTES};
use fetch::Download;
use preflight::Tool;
use staging::Staging;

use crate::cargo;

/// Installs into the workspace's `.assets` everything that is missing there.
///
/// # Errors
/// Returns an error if a tool is missing, the disk is too full, or a download fails.
pub fn install() -> Result<()> {
    install_into(&cargo::workspace_root().join(".assets"), Cuda::Auto)
}

/// Installs into the folder `assets` everything that is missing there.
///
/// # Errors
/// Returns an error if a tool is missing, the disk is too full, or a download fails.
pub fn install_into(assets: &Path, cuda: Cuda) -> Result<()> {
    let needed = needed_here()?;
    if install_missing(assets, &needed, cuda.wanted(), &fetch::by_client)? {
        eprintln!("setup: everything was installed in {}", assets.display());
    } else {
        eprintln!("setup: everything is already installed in {}", assets.display());
    }
    Ok(())
}

/// Installs one asset into the folder `assets`, unless it is there.
///
/// # Errors
/// Returns an error if a tool is missing, the disk is too full, or a download fails.
pub fn install_asset(assets: &Path, asset: &Asset) -> Result<()> {
    install_missing(assets, &[asset], false, &fetch::by_client).map(drop)
}

/// Returns the assets that this machine needs: all of them, but not libtorch if the user provides one.
fn needed_here() -> Result<Vec<&'static Asset>> {
    let own_libtorch = libtorch::is_provided_by_user()?;
    Ok(ASSETS
        .iter()
        .filter(|asset| !(own_libtorch && asset.folder == "libtorch"))
        .filter(|asset| {
            let pinned = !asset.x86_64_linux_only || PINNED_HOST;
            if !pinned {
                eprintln!("setup: {} is pinned for x86-64 Linux only; skipping it", asset.folder);
            }
            pinned
        })
        .collect())
}

/// The assets that are missing or incomplete.
struct Missing<'a> {
    assets: Vec<&'a Asset>,
    cuda: bool,
}

impl<'a> Missing<'a> {
    fn find(dir: &Path, needed: &[&'a Asset], cuda: bool) -> Result<Self> {
        let assets = needed.iter().copied().filter(|asset| !asset_folder::is_complete(dir, asset)).collect();
        Ok(Self { assets, cuda: cuda && !cuda::is_installed(dir)? })
    }

    fn is_empty(&self) -> bool {
        self.assets.is_empty() && !self.cuda
    }

    fn packages(&self) -> impl Iterator<Item = &Package> {
        self.assets.iter().flat_map(|asset| asset.packages)
    }

    /// Returns the tools that installing them needs. The compiler is always among them, because a build follows set-up.
    fn tools(&self) -> Vec<Tool> {
        let mut tools = vec![Tool::Compiler];
        if !self.is_empty() {
            tools.extend([Tool::Python, Tool::Pip]);
        }
        if self.packages().any(|package| package.registry == Registry::Npm) {
            tools.push(Tool::Npm);
        }
        tools
    }

    /// Returns the disk space for the downloads and the unpacked files in bytes.
    fn bytes(&self) -> u64 {
        let downloads: u64 = self.packages().map(|package| package.bytes).sum();
        let unpacked: u64 = self.assets.iter().map(|asset| asset.unpacked_bytes).sum();
        downloads + unpacked + if self.cuda { CUDA_BYTES } else { 0 }
    }
}

/// Installs into `dir` what is missing there, and returns whether anything was. `download` is called for missing assets only.
fn install_missing(dir: &Path, needed: &[&Asset], cuda: bool, download: &Download) -> Result<bool> {
    let missing = Missing::find(dir, needed, cuda)?;
    preflight::require(&missing.tools())?;
    if missing.is_empty() {
        return Ok(false);
    }
    let staging = Staging::open(dir)?;
    // Another set-up may have installed everyexample while this one waited for the lock.
    let missing = Missing::find(dir, needed, cuda)?;
    if missing.is_empty() {
        return Ok(false);
    }
    staging.require_room(missing.bytes())?;
    for asset in &missing.assets {
        asset_folder::make(&staging, asset, download)?;
    }
    if missing.cuda {
        cuda::install(&staging, download)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::assets::tests::{archive, package};
    use super::*;
    use crate::error;
    use std::cell::Cell;

    fn asset(packages: &'static [Package]) -> Asset {
        Asset {
            folder: "example",
            packages,
            written: &[("link", "INPUT(-lexample)\n")],
            unpacked_bytes: 10,
            x86_64_linux_only: false,
        }
    }

    fn entries(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != ".lock")
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_second_setup_downloads_nothing() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("assets");
        let asset = asset(Vec::leak(vec![package(&archive())]));
        let downloads = Cell::new(0);
        let download = |_: &Package, into: &Path| {
            downloads.set(downloads.get() + 1);
            Ok(std::fs::write(into.join("example.tgz"), archive())?)
        };
        assert!(install_missing(&dir, &[&asset], false, &download).unwrap());
        assert_eq!(std::fs::read_to_string(dir.join("example/data/a")).unwrap(), "alpha");
        assert_eq!(std::fs::read_to_string(dir.join("example/b")).unwrap(), "beta");
        assert_eq!(std::fs::read_to_string(dir.join("example/link")).unwrap(), "INPUT(-lexample)\n");
        assert!(!dir.join("example/data/unwanted").exists());
        assert_eq!(entries(&dir), ["example"]);

        assert!(!install_missing(&dir, &[&asset], false, &|_, _| panic!("nothing to download")).unwrap());
        assert_eq!(Missing::find(&dir, &[&asset], false).unwrap().tools(), [Tool::Compiler]);

        // A damaged file is downloaded again.
        std::fs::write(dir.join("example/data/a"), "alp").unwrap();
        assert!(install_missing(&dir, &[&asset], false, &download).unwrap());
        assert_eq!(std::fs::read_to_string(dir.join("example/data/a")).unwrap(), "alpha");
        assert_eq!(downloads.get(), 2);
    }

    #[test]
    fn an_altered_or_truncated_download_is_refused_and_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let asset = asset(Vec::leak(vec![package(&archive())]));
        let good = archive();
        let mut altered = good.clone();
        altered[40] ^= 1;
        for bad in [&altered[..], &good[..good.len() / 2], b""] {
            let download = |_: &Package, into: &Path| Ok(std::fs::write(into.join("example.tgz"), bad)?);
            let error = install_missing(home.path(), &[&asset], false, &download).unwrap_err();
            let line = format!("{error:#}");
            assert!(line.contains("example.tgz") && line.contains("run `cargo xtask setup` again"), "{line}");
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(error::exit_code(&error), 2);
            assert!(entries(home.path()).is_empty());
        }
        // The next set-up deletes what an interruption has left.
        std::fs::create_dir_all(home.path().join(".staging/example")).unwrap();
        let download = |_: &Package, into: &Path| Ok(std::fs::write(into.join("example.tgz"), &good)?);
        assert!(install_missing(home.path(), &[&asset], false, &download).unwrap());
        assert_eq!(entries(home.path()), ["example"]);
    }

    #[test]
    fn too_little_disk_space_is_reported_before_the_download() {
        let home = tempfile::tempdir().unwrap();
        let mut asset = asset(Vec::leak(vec![package(&archive())]));
        asset.unpacked_bytes = u64::MAX / 2;
        let error = install_missing(home.path(), &[&asset], false, &|_, _| panic!("no space")).unwrap_err();
        assert!(format!("{error:#}").contains("free some space"), "{error:#}");
        assert_eq!(error::exit_code(&error), 2);
        assert!(entries(home.path()).is_empty());
    }
}
