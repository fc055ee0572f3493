//! Are the tools there that a set-up and the build after it take?
//!
//! Rust itself needs no look: cargo refuses this very program where rustc is older than the workspace's `rust-version`.

use std::env;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::refusal::refusal;

/// A program that the README's first line asks for.
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

    fn answers(self) -> bool {
        let mut command = match self {
            // The compiler that the build of torch-sys takes.
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

/// All the tools that are missing are named at once, with the command that brings them.
pub fn require(tools: &[Tool]) -> Result<()> {
    require_answering(tools, Tool::answers)
}

fn require_answering(tools: &[Tool], answers: impl Fn(Tool) -> bool) -> Result<()> {
    let missing: Vec<Tool> = tools.iter().copied().filter(|tool| !answers(*tool)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|tool| tool.name()).collect();
    let packages: Vec<_> = missing.iter().map(|tool| tool.debian_package()).collect();
    Err(refusal(format!(
        "missing: {}; on Debian or Ubuntu `sudo apt-get install {}` brings it",
        names.join(", "),
        packages.join(" ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal;

    #[test]
    fn all_missing_tools_are_named_at_once() {
        let all = [Tool::Compiler, Tool::Python, Tool::Pip, Tool::Npm];
        let error = require_answering(&all, |tool| tool == Tool::Python).unwrap_err();
        assert_eq!(
            error.to_string(),
            "missing: a C++ compiler (c++), pip for python3, npm; \
             on Debian or Ubuntu `sudo apt-get install g++ python3-pip npm` brings it"
        );
        assert_eq!(refusal::exit_code(&error), 2);
        require_answering(&all, |_| true).unwrap();
    }
}
