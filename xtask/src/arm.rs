//! Building for AArch64 boards, and running what was built under an emulator of their processors.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::cargo;

/// The boards' target.
pub const TARGET: &str = "aarch64-unknown-linux-gnu";
/// The boards' C compiler, which links.
pub const COMPILER: &str = "aarch64-linux-gnu-gcc";
/// Emulators of single programs; either does.
const EMULATORS: [&str; 2] = ["qemu-aarch64-static", "qemu-aarch64"];
/// What brings the boards' standard library where rustup has not, as packages of Debian 12.
const STANDARD_LIBRARY: [&str; 2] = ["rustc-web", "libstd-rust-web-dev:arm64"];

/// The tools that build for the boards.
pub struct Tools {
    /// Another compiler than cargo's own, where that has no standard library for the boards.
    pub rustc: Option<PathBuf>,
}

impl Tools {
    /// Where they are; else the Debian packages that are missing.
    pub fn find() -> Result<Tools, Vec<&'static str>> {
        let compiler = Tools::compiler();
        if answers(COMPILER) {
            return compiler;
        }
        let mut missing = compiler.err().unwrap_or_default();
        missing.extend(["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"]);
        Err(missing)
    }

    /// The Rust compiler alone; else the Debian packages that are missing.
    pub fn compiler() -> Result<Tools, Vec<&'static str>> {
        let rustup = has_standard_library(Path::new("rustc"));
        let debian = Path::new("/usr/bin/rustc");
        if !rustup && !has_standard_library(debian) {
            return Err(STANDARD_LIBRARY.to_vec());
        }
        Ok(Tools { rustc: (!rustup).then(|| debian.into()) })
    }

    /// A cargo command for the boards: `arguments`, then the target. Its target folder is its own.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(arguments).args(["--target", TARGET]);
        cargo.env("CARGO_TARGET_DIR", target_folder());
        cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", COMPILER);
        cargo.env("CC_aarch64_unknown_linux_gnu", COMPILER);
        if let Some(rustc) = &self.rustc {
            cargo.env("RUSTC", rustc);
        }
        cargo
    }
}

/// Where the boards' programs are built.
pub fn target_folder() -> PathBuf {
    env::var_os("XTASK_ARM_TARGET").map_or_else(|| cargo::workspace_root().join("target/arm64"), PathBuf::from)
}

/// The emulator of single programs; else the Debian package that is missing.
pub fn emulator() -> Result<&'static str, Vec<&'static str>> {
    EMULATORS.into_iter().find(|name| answers(name)).ok_or(vec!["qemu-user-static"])
}

/// The command that brings `packages`.
pub fn advice(packages: &[&str]) -> String {
    let packages = packages.join(" ");
    format!(
        "on Debian 12: `sudo dpkg --add-architecture arm64 && sudo apt-get update && sudo apt-get install {packages}` \
         (or `rustup target add {TARGET}` in place of rustc-web and its library)"
    )
}

/// Whether `rustc` is there and has the boards' standard library.
fn has_standard_library(rustc: &Path) -> bool {
    let asked =
        Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).stderr(Stdio::null()).output();
    let Ok(answer) = asked else { return false };
    let folder = String::from_utf8_lossy(&answer.stdout);
    let files = std::fs::read_dir(folder.trim()).into_iter().flatten().flatten();
    answer.status.success() && files.into_iter().any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
}

/// Whether a program is there.
pub fn answers(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_command_that_brings_it() {
        assert!(!has_standard_library(Path::new("/nowhere/rustc")));
        assert!(!answers("no-such-program"));
        let line = advice(&["rustc-web", "qemu-user-static"]);
        assert!(
            line.contains("apt-get install rustc-web qemu-user-static`") && line.contains("add-architecture arm64")
        );
    }
}
