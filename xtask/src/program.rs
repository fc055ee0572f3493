//! `edge-runtime` as boards run it: built for their processors and for the oldest C library among them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::arm::{self, Tools};
use crate::error::bad_input;
use crate::{cargo, process, setup};

/// The C library of Debian 11, Raspberry Pi OS bullseye and JetPack 5.
const GLIBC: (u32, u32) = (2, 31);
/// Targets for which it is built, and its maximum size there in bytes. The same sources give a fifth more code for a PC, whose
/// disk is large.
const TARGETS: [(&str, u64); 2] = [(arm::TARGET, 25_000_000), ("x86_64-unknown-linux-gnu", 30_000_000)];

/// Returns the path of the program that [`build`] makes for `target`.
pub fn path(target: &str) -> PathBuf {
    cargo::workspace_root().join("target/boards").join(target).join("edge-runtime")
}

/// Builds the program for `target` and returns its path.
///
/// # Errors
/// Returns an error if a tool is missing, the build fails, or the program is too large or needs too new a C library.
pub fn build(target: &str) -> Result<PathBuf> {
    let built = build_packages(target, "board", &["edge-runtime"])?.join("edge-runtime");
    let program = path(target);
    let content = fs::read(&built).with_context(|| format!("{} could not be read", built.display()))?;
    let (major, minor) = newest_glibc(&content);
    ensure!(
        (major, minor) <= GLIBC,
        "the program needs the C library {major}.{minor}, but boards may have no newer one than {}.{}",
        GLIBC.0,
        GLIBC.1
    );
    let bytes = content.len() as u64;
    let max = TARGETS.iter().find(|(name, _)| *name == target).map_or(0, |(_, max)| *max);
    ensure!(bytes <= max, "the program has {bytes} bytes, more than the {max} that are allowed");
    fs::create_dir_all(program.parent().context("a folder")?)?;
    // A running program cannot be overwritten, but it can be replaced by a new file.
    let new = program.with_extension("new");
    fs::copy(&built, &new)
        .and_then(|_| fs::rename(&new, &program))
        .with_context(|| format!("{} could not be written", program.display()))?;
    eprintln!(
        "{}: {:.1} MB, for {target} with the C library {major}.{minor} or newer",
        program.display(),
        bytes as f64 / 1e6
    );
    Ok(program)
}

/// Builds packages of the workspace for a board under one of the workspace's profiles, and returns the folder of their programs.
///
/// # Errors
/// Returns an error if programs are not built for `target`, a tool is missing, or the build fails.
pub fn build_packages(target: &str, profile: &str, names: &[&str]) -> Result<PathBuf> {
    let targets = TARGETS.map(|(name, _)| name);
    if !targets.contains(&target) {
        return Err(bad_input(format!("invalid target {target:?}: expected {}", targets.join(" or "))));
    }
    let mut command = zigbuild(target)?;
    command.args(["--profile", profile]).args(names.iter().flat_map(|name| ["--package", name]));
    let status = command.status().context("cargo-zigbuild could not be started")?;
    if !status.success() {
        bail!("{} could not be built for {target}", names.join(" and "));
    }
    Ok(folder(target, profile))
}

/// Returns the folder of the programs that were built for `target` under a profile.
pub fn folder(target: &str, profile: &str) -> PathBuf {
    arm::target_folder().join(target).join(profile)
}

fn zigbuild(target: &str) -> Result<Command> {
    let rustc = if target == arm::TARGET {
        let tools = Tools::find_rustc().or_else(|missing| arm::require(&missing).map(|()| Tools { rustc: None }))?;
        tools.rustc
    } else {
        None
    };
    let assets = cargo::workspace_root().join(".assets");
    let mut command = if setup::PINNED_HOST {
        setup::install_asset(&assets, &setup::ZIG)?;
        let mut command = Command::new(assets.join("zig/cargo-zigbuild"));
        command.env("CARGO_ZIGBUILD_ZIG_PATH", assets.join("zig/zig"));
        command
    } else if process::starts("cargo-zigbuild") {
        Command::new("cargo-zigbuild")
    } else {
        return Err(bad_input("missing: cargo-zigbuild; install it with `pip install cargo-zigbuild`"));
    };
    command.args(["zigbuild", "--locked", "--target"]);
    command.arg(format!("{target}.{}.{}", GLIBC.0, GLIBC.1));
    command.current_dir(cargo::workspace_root()).env("CARGO_TARGET_DIR", arm::target_folder());
    let [rust, c] = path_flags(&cargo::workspace_root(), &cargo_home());
    command.env("CARGO_ENCODED_RUSTFLAGS", rust.join("\x1f")).env("CFLAGS", c.join(" "));
    // They name the package that runs this. Build scripts ask for them, and would run again for each of our commands.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    if let Some(cargo) = env::var_os("CARGO") {
        command.env("CARGO", cargo);
    }
    if let Some(rustc) = rustc {
        command.env("RUSTC", rustc);
    }
    Ok(command)
}

/// Returns the folder in which cargo keeps the sources of crates.
fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo");
    env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// Returns flags of the Rust and C compilers that keep the paths of whoever builds out of the program: wherever it is built, it
/// has the same bytes.
fn path_flags(root: &Path, cargo_home: &Path) -> [Vec<String>; 2] {
    let maps = [(cargo_home, "/cargo"), (root, "/source")].map(|(from, to)| format!("{}={to}", from.display()));
    [
        maps.iter().map(|map| format!("--remap-path-prefix={map}")).collect(),
        maps.iter().map(|map| format!("-ffile-prefix-map={map}")).collect(),
    ]
}

/// Returns the newest version of the C library that the program's symbols name.
fn newest_glibc(program: &[u8]) -> (u32, u32) {
    let prefix = b"GLIBC_";
    let named = program.windows(prefix.len()).enumerate().filter(|(_, window)| window == prefix);
    let version = |(at, _): (usize, &[u8])| {
        let text: String = program[at + prefix.len()..]
            .iter()
            .map(|byte| char::from(*byte))
            .take_while(|character| character.is_ascii_digit() || *character == '.')
            .collect();
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    named.filter_map(version).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board_file::BoardFile;

    #[test]
    fn paths_of_whoever_builds_are_kept_out_of_programs() {
        let [rust, c] = path_flags(Path::new("/home/me/project"), Path::new("/home/me/.cargo"));
        // Of flags that fit, the compilers take the last.
        assert_eq!(
            rust,
            ["--remap-path-prefix=/home/me/.cargo=/cargo", "--remap-path-prefix=/home/me/project=/source"]
        );
        assert_eq!(c, ["-ffile-prefix-map=/home/me/.cargo=/cargo", "-ffile-prefix-map=/home/me/project=/source"]);
    }

    #[test]
    fn the_newest_c_library_is_found_among_symbols() {
        assert_eq!(newest_glibc(b"\0GLIBC_2.17\0GLIBC_2.4\0GLIBC_2.28\0GLIBC_PRIVATE\0"), (2, 28));
        assert_eq!(newest_glibc(b"nothing"), (0, 0));
    }

    #[test]
    fn every_board_file_names_a_target_that_is_built() {
        let mut boards = 0;
        for entry in fs::read_dir(cargo::workspace_root().join("boards")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let target = BoardFile::read(&path).unwrap().target;
                assert!(TARGETS.iter().any(|(name, _)| *name == target), "{}", path.display());
                boards += 1;
            }
        }
        assert!(boards > 1);
    }
}
