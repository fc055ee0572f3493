//! Other programs: whether they are installed, and what they print.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a program without input and returns what it wrote to stdout.
///
/// # Errors
/// Returns an error if the program cannot be started or fails; the message holds what it wrote to stderr.
pub fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_owned();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("{} could not be started", name.display()))?;
    if !output.status.success() {
        bail!("{}: {}", name.display(), String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns whether a program can be started: `PROGRAM --version` succeeds.
pub fn starts(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Returns whether a program is on the path or in a folder for administrators. Some programs do not know `--version`.
pub fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let administrators = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(administrators).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_and_their_errors_are_told() {
        assert!(is_installed("sh") && !is_installed("no-such-program"));
        assert!(!starts("no-such-program"));
        assert_eq!(run(Command::new("sh").args(["-c", "echo yes"])).unwrap(), "yes\n");
        let error = run(Command::new("sh").args(["-c", "echo first >&2; echo second >&2; exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "sh: first; second");
    }
}
