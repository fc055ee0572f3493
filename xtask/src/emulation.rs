//! What the suites on emulated boards need of this machine.

use std::process::Command;

use anyhow::Result;

use crate::guest::EMULATOR;
use crate::process::{is_installed, run};
use crate::{arm, image, package};

/// Returns the Debian packages that the suites need and that are missing.
pub fn missing_packages() -> Vec<&'static str> {
    let mut missing = image::missing_packages();
    let needs = [(EMULATOR, "qemu-system-arm"), ("ssh-keygen", "openssh-client")];
    missing.extend(needs.into_iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| package));
    let foreign = run(Command::new("dpkg").arg("--print-foreign-architectures")).unwrap_or_default();
    if cfg!(target_arch = "x86_64") && !foreign.lines().any(|name| name == "arm64") {
        missing.push("packages of the architecture arm64");
    }
    missing
}

/// Checks that everything that the suites need is installed.
///
/// # Errors
/// Returns an error that names what is missing and the command that installs it.
pub fn require_tools() -> Result<()> {
    arm::require(&missing_packages())?;
    package::require_cargo_deb()
}
