//! Checks for the tools that set-up and the build after it need.
//!
//! Rust itself is not checked: cargo refuses to build this program if rustc is older than the workspace's `rust-version`.

use std::env;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::error::bad_input;

/// A program that the first line of the README asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tool {
    Compiler,
    Python,
    Pip,
    Npm,
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Compiler => "a C++ compiler (c++)",
            Self::Python => "python3",
            Self::Pip => "pip for python3",
            Self::Npm => "npm",
        }
    }

    fn debian_package(self) -> &'static str {
        match self {
            Self::Compiler => "g++",
            Self::Python => "python3",
            Self::Pip => "python3-pip",
            Self::Npm => "npm",
        }
    }

    fn starts(self) -> bool {
        let mut command = match self {
            // The compiler that torch-sys is built with.
            Self::Compiler => Command::new(env::var_os("CXX").unwrap_or_else(|| "c++".into())),
            Self::Python | Self::Pip => Command::new("python3"),
            Self::Npm => Command::new("npm"),
        };
        if self == Self::Pip {
            command.args(["-m", "pip"]);
        }
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

/// Checks that all tools can be started.
///
/// # Errors
/// Returns an error that names all missing tools and the command that installs them.
pub fn require(tools: &[Tool]) -> Result<()> {
    require_starting(tools, Tool::starts)
}

fn require_starting(tools: &[Tool], starts: impl Fn(Tool) -> bool) -> Result<()> {
    let missing: Vec<Tool> = tools.iter().copied().filter(|tool| !starts(*tool)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|tool| tool.name()).collect();
    let packages: Vec<_> = missing.iter().map(|tool| tool.debian_package()).collect();
    Err(bad_input(format!(
        "missing: {}; install with `sudo apt-get install {}` (Debian, Ubuntu)",
        names.join(", "),
        packages.join(" ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error;

    #[test]
    fn all_missing_tools_are_named_at_once() {
        let all = [Tool::Compiler, Tool::Python, Tool::Pip, Tool::Npm];
        let error = require_starting(&all, |tool| tool == Tool::Python).unwrap_err();
        assert_eq!(
            error.to_string(),
            "missing: a C++ compiler (c++), pip for python3, npm; \
             install with `sudo apt-get install g++ python3-pip npm` (Debian, Ubuntu)"
        );
        assert_eq!(error::exit_code(&error), 2);
        require_starting(&all, |_| true).unwrap();
    }
}
