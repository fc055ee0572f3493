//! The workspace and cargo, as seen from a task.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The workspace's folder. Asked at run time first, so that a workspace that was moved is found.
pub fn workspace_root() -> PathBuf {
    let xtask = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let xtask = PathBuf::from(xtask);
    xtask.parent().map(Path::to_path_buf).unwrap_or(xtask)
}

/// Where the workspace's own libtorch lies; `.cargo/config.toml` says the same to every cargo command.
pub fn own_libtorch() -> PathBuf {
    workspace_root().join(".assets/libtorch")
}

/// Runs a cargo command over the workspace.
pub fn run(args: &[&str]) -> Result<()> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(args);
    // `cargo xtask` has put the configured LIBTORCH into this process. Without it the inner cargo takes it from the
    // configuration, as a plain `cargo build` does, and build scripts see no change between the two.
    if env::var_os("LIBTORCH").is_some_and(|path| Path::new(&path) == own_libtorch()) {
        cargo.env_remove("LIBTORCH");
    }
    if !cargo.status().context("cargo could not be started")?.success() {
        bail!("`cargo {}` failed", args.join(" "));
    }
    Ok(())
}

/// A program of the workspace: cargo puts it beside this one.
pub fn sibling(name: &str) -> Result<PathBuf> {
    let xtask = env::current_exe().context("where this program lies is not known")?;
    Ok(xtask.with_file_name(format!("{name}{}", env::consts::EXE_SUFFIX)))
}
