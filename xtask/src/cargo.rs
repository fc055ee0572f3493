//! The workspace's folder, cargo, and the programs that cargo builds.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// Returns the workspace's folder. Cargo's environment is asked first, so that a workspace that was moved is found.
pub fn workspace_root() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let package = Path::new(&package);
    package.ancestors().find(|folder| folder.join("Cargo.lock").is_file()).unwrap_or(package).to_path_buf()
}

/// Returns the folder of the workspace's own libtorch. `.cargo/config.toml` tells every cargo command the same.
pub fn own_libtorch() -> PathBuf {
    workspace_root().join(".assets/libtorch")
}

/// Returns a cargo command, by the cargo that started this program if there is one.
pub fn command(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments);
    // `cargo xtask` has put the configured LIBTORCH into this process. Without it the inner cargo takes it from the
    // configuration, as a plain `cargo build` does, and build scripts see no change between the two.
    if env::var_os("LIBTORCH").is_some_and(|path| Path::new(&path) == own_libtorch()) {
        cargo.env_remove("LIBTORCH");
    }
    cargo
}

/// Runs a cargo command over the workspace.
///
/// # Errors
/// Returns an error if cargo cannot be started or fails.
pub fn run(arguments: &[&str]) -> Result<()> {
    if !command(arguments).status().context("cargo could not be started")?.success() {
        bail!("`cargo {}` failed", arguments.join(" "));
    }
    Ok(())
}

/// Returns the path of a program of the workspace: cargo puts all of them into the folder of the running one.
///
/// # Errors
/// Returns an error if the system does not tell the running program's path.
pub fn sibling(name: &str) -> Result<PathBuf> {
    let running = env::current_exe().context("the path of the running program is unknown")?;
    Ok(running.with_file_name(format!("{name}{}", env::consts::EXE_SUFFIX)))
}

/// Returns the time that files of a release bear, in seconds since 1970: `SOURCE_DATE_EPOCH`, else that of the last commit.
pub fn source_date() -> Option<u64> {
    if let Some(given) = env::var_os("SOURCE_DATE_EPOCH") {
        return given.to_str()?.parse().ok();
    }
    let mut git = Command::new("git");
    git.args(["log", "-1", "--format=%ct"]).current_dir(workspace_root());
    process::run(&mut git).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_the_folder_of_the_lock_file() {
        let root = workspace_root();
        assert!(root.join("Cargo.lock").is_file() && root.join("xtask/Cargo.toml").is_file(), "{}", root.display());
    }
}
