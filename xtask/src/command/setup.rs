//! `cargo xtask setup`

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use crate::assets::{ASSETS, Asset, CUDA_BYTES, Package, Registry};
use crate::cuda::{self, Cuda};
use crate::fetch::{self, Download};
use crate::preflight::{self, Tool};
use crate::staging::Staging;
use crate::{cargo, folder, libtorch};

/// Bring everything the project needs into `.assets/`: pinned, checked, fetched once.
///
/// libtorch (and CUDA's libraries where there is an NVIDIA GPU), the face net and the detector, the assets that
/// faces are drawn from, and onnxruntime, a peer for the parity tests. A second run takes no download.
#[derive(Args, Default)]
pub struct Cmd {
    /// Bring CUDA's libraries: `auto` asks whether there is an NVIDIA GPU.
    #[arg(long, value_enum, default_value_t)]
    cuda: Cuda,
    /// Another folder than `.assets`; for trying set-up itself.
    #[arg(long, value_name = "DIR", hide = true)]
    assets: Option<PathBuf>,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        let dir = match self.assets {
            Some(dir) => std::path::absolute(dir)?,
            None => cargo::workspace_root().join(".assets"),
        };
        let needed = needed_here()?;
        let cuda = self.cuda.wanted();
        if bring(&dir, &needed, cuda, &fetch::by_client)? {
            eprintln!("setup: done, everything is in {}", dir.display());
        } else {
            eprintln!("setup: everything is in place in {}", dir.display());
        }
        Ok(())
    }
}

/// The assets that this machine needs: all of them, without libtorch where the user names one.
fn needed_here() -> Result<Vec<&'static Asset>> {
    let own_libtorch = libtorch::of_the_user()?;
    Ok(ASSETS
        .iter()
        .filter(|asset| !(own_libtorch && asset.folder == "libtorch"))
        .filter(|asset| {
            let pinned = !asset.x86_64_linux_only || libtorch::PINNED_HOST;
            if !pinned {
                eprintln!("setup: {} is pinned for x86-64 Linux only: left out", asset.folder);
            }
            pinned
        })
        .collect())
}

/// What is not in place in `dir`.
struct Missing<'a> {
    assets: Vec<&'a Asset>,
    cuda: bool,
}

impl<'a> Missing<'a> {
    fn find(dir: &Path, needed: &[&'a Asset], cuda: bool) -> Result<Self> {
        let assets = needed.iter().copied().filter(|asset| !folder::in_place(dir, asset)).collect();
        Ok(Self { assets, cuda: cuda && !cuda::in_place(dir)? })
    }

    fn none(&self) -> bool {
        self.assets.is_empty() && !self.cuda
    }

    fn packages(&self) -> impl Iterator<Item = &Package> {
        self.assets.iter().flat_map(|asset| asset.packages)
    }

    /// The tools that bringing it takes. The compiler is always among them: set-up is there so that a build follows.
    fn tools(&self) -> Vec<Tool> {
        let mut tools = vec![Tool::Compiler];
        if !self.none() {
            tools.extend([Tool::Python, Tool::Pip]);
        }
        if self.packages().any(|package| package.registry == Registry::Npm) {
            tools.push(Tool::Npm);
        }
        tools
    }

    /// Room for downloads and what is unpacked from them, in bytes.
    fn room(&self) -> u64 {
        let downloads: u64 = self.packages().map(|package| package.bytes).sum();
        let unpacked: u64 = self.assets.iter().map(|asset| asset.unpacked_bytes).sum();
        downloads + unpacked + if self.cuda { CUDA_BYTES } else { 0 }
    }
}

/// Brings into `dir` what is missing there; false where nothing was. `download` is never called for what is in place.
pub fn bring(dir: &Path, needed: &[&Asset], cuda: bool, download: &Download) -> Result<bool> {
    let missing = Missing::find(dir, needed, cuda)?;
    preflight::require(&missing.tools())?;
    if missing.none() {
        return Ok(false);
    }
    let staging = Staging::open(dir)?;
    // Another set-up may have brought it while this one waited for the lock.
    let missing = Missing::find(dir, needed, cuda)?;
    if missing.none() {
        return Ok(false);
    }
    staging.require_room(missing.room())?;
    for asset in &missing.assets {
        folder::make(&staging, asset, download)?;
    }
    if missing.cuda {
        cuda::bring(&staging, download)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets::tests::{archive, package};
    use crate::refusal;
    use std::cell::Cell;

    fn asset(packages: &'static [Package]) -> Asset {
        Asset {
            folder: "thing",
            packages,
            written: &[("link", "INPUT(-lthing)\n")],
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
    fn a_second_setup_takes_no_download() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("assets");
        let asset = asset(Vec::leak(vec![package(&archive())]));
        let downloads = Cell::new(0);
        let download = |_: &Package, into: &Path| {
            downloads.set(downloads.get() + 1);
            Ok(std::fs::write(into.join("thing.tgz"), archive())?)
        };
        assert!(bring(&dir, &[&asset], false, &download).unwrap());
        assert_eq!(std::fs::read_to_string(dir.join("thing/data/a")).unwrap(), "alpha");
        assert_eq!(std::fs::read_to_string(dir.join("thing/b")).unwrap(), "beta");
        assert_eq!(std::fs::read_to_string(dir.join("thing/link")).unwrap(), "INPUT(-lthing)\n");
        assert!(!dir.join("thing/data/unwanted").exists());
        assert_eq!(entries(&dir), ["thing"]);

        assert!(!bring(&dir, &[&asset], false, &|_, _| panic!("nothing to fetch")).unwrap());
        assert_eq!(Missing::find(&dir, &[&asset], false).unwrap().tools(), [Tool::Compiler]);

        // What has been damaged since is fetched again.
        std::fs::write(dir.join("thing/data/a"), "alp").unwrap();
        assert!(bring(&dir, &[&asset], false, &download).unwrap());
        assert_eq!(std::fs::read_to_string(dir.join("thing/data/a")).unwrap(), "alpha");
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
            let download = |_: &Package, into: &Path| Ok(std::fs::write(into.join("thing.tgz"), bad)?);
            let error = bring(home.path(), &[&asset], false, &download).unwrap_err();
            let line = format!("{error:#}");
            assert!(line.contains("thing.tgz") && line.contains("run `cargo xtask setup` again"), "{line}");
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(refusal::exit_code(&error), 2);
            assert!(entries(home.path()).is_empty());
        }
        // And what an interruption left is cleared away by the next set-up.
        std::fs::create_dir_all(home.path().join(".staging/thing")).unwrap();
        let download = |_: &Package, into: &Path| Ok(std::fs::write(into.join("thing.tgz"), &good)?);
        assert!(bring(home.path(), &[&asset], false, &download).unwrap());
        assert_eq!(entries(home.path()), ["thing"]);
    }

    #[test]
    fn too_little_room_is_said_before_the_download() {
        let home = tempfile::tempdir().unwrap();
        let mut asset = asset(Vec::leak(vec![package(&archive())]));
        asset.unpacked_bytes = u64::MAX / 2;
        let error = bring(home.path(), &[&asset], false, &|_, _| panic!("no room")).unwrap_err();
        assert!(format!("{error:#}").contains("free some"), "{error:#}");
        assert_eq!(refusal::exit_code(&error), 2);
        assert!(entries(home.path()).is_empty());
    }
}
