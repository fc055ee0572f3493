//! `edge-runtime` as boards run it: built for their processors, and for the oldest C library that they have.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::arm::{self, Tools};
use crate::assets::ZIG;
use crate::command::setup;
use crate::refusal::refusal;
use crate::{cargo, fetch, libtorch};

/// The C library of Debian 11, Raspberry Pi OS bullseye and JetPack 5.
const GLIBC: (u32, u32) = (2, 31);
/// Targets for which it is built, and the bytes that it may take there: on a board's card less than on a PC's disk, for which
/// the same sources give a fifth more code.
const TARGETS: [(&str, u64); 2] = [(arm::TARGET, 25_000_000), ("x86_64-unknown-linux-gnu", 30_000_000)];

/// Where the program for `target` is put.
pub fn place(target: &str) -> PathBuf {
    cargo::workspace_root().join("target/boards").join(target).join("edge-runtime")
}

/// Builds the program for `target`, puts it in its place, and gives that.
///
/// # Errors
/// Where a tool is missing, the build fails, or the program is larger or asks for a newer C library than it may.
pub fn build(target: &str) -> Result<PathBuf> {
    let built = packages(target, "board", &["edge-runtime"])?.join("edge-runtime");
    let program = place(target);
    let content = fs::read(&built).with_context(|| format!("{} could not be read", built.display()))?;
    let (major, minor) = newest_glibc(&content);
    ensure!(
        (major, minor) <= GLIBC,
        "the program asks for the C library {major}.{minor}, where boards may have {}.{}",
        GLIBC.0,
        GLIBC.1
    );
    let bytes = content.len() as u64;
    let most = TARGETS.iter().find(|(name, _)| *name == target).map_or(0, |(_, most)| *most);
    ensure!(bytes <= most, "the program has {bytes} bytes, more than {most}");
    fs::create_dir_all(program.parent().context("a folder")?)?;
    // A program that runs cannot be written to; a new file in its place can.
    let new = program.with_extension("new");
    fs::copy(&built, &new).and_then(|_| fs::rename(&new, &program)).context("the program could not be put in place")?;
    eprintln!(
        "{}: {:.1} MB, for {target} with the C library {major}.{minor} or newer",
        program.display(),
        bytes as f64 / 1e6
    );
    Ok(program)
}

/// Builds programs of the workspace for a board, under a profile of its manifest, and gives the folder that they lie in.
pub fn packages(target: &str, profile: &str, names: &[&str]) -> Result<PathBuf> {
    let targets = TARGETS.map(|(name, _)| name);
    if !targets.contains(&target) {
        return Err(refusal(format!("programs are built for {}, not for {target}", targets.join(" and "))));
    }
    let mut command = zigbuild(target)?;
    command.args(["--profile", profile]).args(names.iter().flat_map(|name| ["--package", name]));
    let status = command.status().context("cargo-zigbuild could not be started")?;
    if !status.success() {
        bail!("{} could not be built for {target}", names.join(" and "));
    }
    Ok(folder(target, profile))
}

/// Where programs that were built under a profile lie.
pub fn folder(target: &str, profile: &str) -> PathBuf {
    arm::target_folder().join(target).join(profile)
}

fn zigbuild(target: &str) -> Result<Command> {
    let tools = if target == arm::TARGET {
        Some(
            Tools::compiler()
                .map_err(|missing| refusal(format!("missing: {}; {}", missing.join(", "), arm::advice(&missing))))?,
        )
    } else {
        None
    };
    let assets = cargo::workspace_root().join(".assets");
    let mut command = if libtorch::PINNED_HOST {
        setup::bring(&assets, &[&ZIG], false, &fetch::by_client)?;
        let mut command = Command::new(assets.join("zig/cargo-zigbuild"));
        command.env("CARGO_ZIGBUILD_ZIG_PATH", assets.join("zig/zig"));
        command
    } else if arm::answers("cargo-zigbuild") {
        Command::new("cargo-zigbuild")
    } else {
        return Err(refusal("missing: cargo-zigbuild; `pip install cargo-zigbuild` brings it"));
    };
    command.args(["zigbuild", "--locked", "--target"]);
    command.arg(format!("{target}.{}.{}", GLIBC.0, GLIBC.1));
    command.current_dir(cargo::workspace_root()).env("CARGO_TARGET_DIR", arm::target_folder());
    if let Some(cargo) = env::var_os("CARGO") {
        command.env("CARGO", cargo);
    }
    if let Some(rustc) = tools.and_then(|tools| tools.rustc) {
        command.env("RUSTC", rustc);
    }
    Ok(command)
}

/// The newest version of the C library that the program's symbols name.
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

/// The target of a board file: its key `target`.
pub fn target_of(board: &Path) -> Result<String> {
    let text = fs::read_to_string(board)
        .map_err(|error| refusal(format!("{}: {error}; board files lie in boards/", board.display())))?;
    let target = text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "target").then(|| value.trim().trim_matches('"').to_owned())
    });
    target.ok_or_else(|| refusal(format!("{} names no target", board.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

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
                let target = target_of(&path).unwrap();
                assert!(TARGETS.iter().any(|(name, _)| *name == target), "{}", path.display());
                boards += 1;
            }
        }
        assert!(boards > 1);
        let error = target_of(Path::new("/nowhere/board.toml")).unwrap_err();
        assert_eq!(crate::refusal::exit_code(&error), 2);
    }
}
