//! Cross-compilers for AArch64 boards and the emulator of single AArch64 programs.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::error::bad_input;
use crate::{cargo, process};

/// The boards' target triple.
pub const TARGET: &str = "aarch64-unknown-linux-gnu";
/// The C compiler for the boards, which also links.
pub const C_COMPILER: &str = "aarch64-linux-gnu-gcc";
/// Emulators of single programs; either will do.
const EMULATORS: [&str; 2] = ["qemu-aarch64-static", "qemu-aarch64"];
/// Packages of Debian 12 with the boards' standard library, for machines without rustup.
const STANDARD_LIBRARY: [&str; 2] = ["rustc-web", "libstd-rust-web-dev:arm64"];

/// The tools that build for the boards.
pub struct Tools {
    /// A Rust compiler other than cargo's own, if that one lacks the boards' standard library.
    pub rustc: Option<PathBuf>,
}

impl Tools {
    /// Finds the Rust and C compilers.
    ///
    /// # Errors
    /// Returns the Debian packages that are missing.
    pub fn find() -> Result<Tools, Vec<&'static str>> {
        let compiler = Tools::find_rustc();
        if process::starts(C_COMPILER) {
            return compiler;
        }
        let mut missing = compiler.err().unwrap_or_default();
        missing.extend(["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"]);
        Err(missing)
    }

    /// Finds the Rust compiler alone.
    ///
    /// # Errors
    /// Returns the Debian packages that are missing.
    pub fn find_rustc() -> Result<Tools, Vec<&'static str>> {
        let rustup = has_standard_library(Path::new("rustc"));
        let debian = Path::new("/usr/bin/rustc");
        if !rustup && !has_standard_library(debian) {
            return Err(STANDARD_LIBRARY.to_vec());
        }
        Ok(Tools { rustc: (!rustup).then(|| debian.into()) })
    }

    /// Returns a cargo command that builds for the boards, in a target folder of its own.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(arguments).args(["--target", TARGET]);
        cargo.env("CARGO_TARGET_DIR", target_folder());
        cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", C_COMPILER);
        cargo.env("CC_aarch64_unknown_linux_gnu", C_COMPILER);
        if let Some(rustc) = &self.rustc {
            cargo.env("RUSTC", rustc);
        }
        cargo
    }
}

/// Returns the folder in which programs for boards are built.
pub fn target_folder() -> PathBuf {
    env::var_os("XTASK_ARM_TARGET").map_or_else(|| cargo::workspace_root().join("target/arm64"), PathBuf::from)
}

/// Finds the emulator of single programs.
///
/// # Errors
/// Returns the Debian package that is missing.
pub fn emulator() -> Result<&'static str, Vec<&'static str>> {
    EMULATORS.into_iter().find(|name| process::starts(name)).ok_or(vec!["qemu-user-static"])
}

/// Returns the command that installs Debian `packages`.
pub fn install_command(packages: &[&str]) -> String {
    let packages = packages.join(" ");
    format!(
        "on Debian 12: `sudo dpkg --add-architecture arm64 && sudo apt-get update && sudo apt-get install {packages}` \
         (or `rustup target add {TARGET}` in place of rustc-web and its library)"
    )
}

/// Checks a list of missing Debian packages.
///
/// # Errors
/// Returns an error that names the packages and the command that installs them, unless the list is empty.
pub fn require(missing: &[&str]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    Err(bad_input(format!("missing: {}; {}", missing.join(", "), install_command(missing))))
}

/// Returns whether `rustc` exists and has the boards' standard library.
fn has_standard_library(rustc: &Path) -> bool {
    let asked =
        Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).stderr(Stdio::null()).output();
    let Ok(answer) = asked else { return false };
    let folder = String::from_utf8_lossy(&answer.stdout);
    let mut files = std::fs::read_dir(folder.trim()).into_iter().flatten().flatten();
    answer.status.success() && files.any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error;

    #[test]
    fn what_is_missing_is_named_with_the_command_that_installs_it() {
        assert!(!has_standard_library(Path::new("/nowhere/rustc")));
        require(&[]).unwrap();
        let error = require(&["rustc-web", "qemu-user-static"]).unwrap_err();
        assert_eq!(error::exit_code(&error), 2);
        let line = error.to_string();
        assert!(
            line.contains("apt-get install rustc-web qemu-user-static`") && line.contains("add-architecture arm64"),
            "{line}"
        );
    }
}
