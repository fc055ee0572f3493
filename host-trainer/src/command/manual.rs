//! `host-trainer completions` and `host-trainer man`

use std::io::{self, Write};
use std::path::PathBuf;

use clap::CommandFactory;

use super::Cli;
use crate::error::Context;

/// Write the completion script of a shell to stdout.
///
/// Example: host-trainer completions bash > ~/.local/share/bash-completion/completions/host-trainer
#[derive(clap::Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: clap_complete::Shell,
}

impl Completions {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if stdout cannot be written.
    pub fn run(&self) -> crate::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "host-trainer", &mut script);
        match io::stdout().write_all(&script) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("cannot write to stdout"),
            _ => Ok(()),
        }
    }
}

/// Write the man pages, one file per command.
///
/// Example: host-trainer man ~/.local/share/man/man1
#[derive(clap::Args)]
pub struct Man {
    /// Folder to write to. It is created if it is missing.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Man {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if a file cannot be written.
    pub fn run(&self) -> crate::Result<()> {
        let command = Cli::command().disable_help_subcommand(true);
        let written =
            std::fs::create_dir_all(&self.folder).and_then(|()| clap_mangen::generate_to(command, &self.folder));
        written.with_context(|| format!("cannot write man pages to {}", self.folder.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_man_page_and_completions() {
        let folder = tempfile::tempdir().unwrap();
        Man { folder: folder.path().join("man1") }.run().unwrap();
        let mut script = Vec::new();
        clap_complete::generate(clap_complete::Shell::Bash, &mut Cli::command(), "host-trainer", &mut script);
        let script = String::from_utf8(script).unwrap();
        let command = Cli::command();
        assert!(command.get_subcommands().count() > 9);
        for name in command.get_subcommands().map(clap::Command::get_name) {
            let page = folder.path().join(format!("man1/host-trainer-{name}.1"));
            assert!(std::fs::read_to_string(page).unwrap().contains("SYNOPSIS"), "{name}");
            assert!(script.contains(name), "{name}");
        }
    }

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }
}
