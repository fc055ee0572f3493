//! The user's own libtorch, named by the environment variable LIBTORCH.

use std::env;
use std::path::Path;

use anyhow::Result;

use super::assets::TORCH_VERSION;
use crate::cargo;
use crate::error::bad_input;

/// Whether the table of assets has machine code for this machine.
pub const PINNED_HOST: bool = cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"));

/// Returns whether LIBTORCH names a usable libtorch other than the workspace's own.
///
/// # Errors
/// Returns an error if it names something else, or if it is not set and no libtorch is pinned for this machine.
pub fn is_provided_by_user() -> Result<bool> {
    let named = env::var_os("LIBTORCH").filter(|path| Path::new(path) != cargo::own_libtorch());
    match named {
        Some(path) => {
            require_usable(Path::new(&path))?;
            Ok(true)
        }
        None if PINNED_HOST => Ok(false),
        None => Err(bad_input(format!(
            "libtorch is pinned for x86-64 Linux only; set LIBTORCH to the folder of a libtorch {TORCH_VERSION} for this machine"
        ))),
    }
}

fn require_usable(folder: &Path) -> Result<()> {
    let version = format!("\"{TORCH_VERSION}\"");
    let header = std::fs::read_to_string(folder.join("include/torch/headeronly/version.h")).unwrap_or_default();
    if header.contains(&version) && folder.join("lib").is_dir() {
        return Ok(());
    }
    Err(bad_input(format!(
        "LIBTORCH names {}, which is not a libtorch {TORCH_VERSION}; name one, or unset LIBTORCH to use the pinned one",
        folder.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_libtorch_is_usable() {
        let folder = tempfile::tempdir().unwrap();
        let header = folder.path().join("include/torch/headeronly");
        std::fs::create_dir_all(&header).unwrap();
        std::fs::create_dir(folder.path().join("lib")).unwrap();
        assert!(require_usable(folder.path()).is_err());
        std::fs::write(header.join("version.h"), "#define TORCH_VERSION \\\n  \"2.10.0\"\n").unwrap();
        assert!(require_usable(folder.path()).unwrap_err().to_string().contains("unset LIBTORCH"));
        std::fs::write(header.join("version.h"), "#define TORCH_VERSION \\\n  \"2.11.0\"\n").unwrap();
        require_usable(folder.path()).unwrap();
    }
}
