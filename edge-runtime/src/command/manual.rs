//! `edge-runtime completions` and `edge-runtime man`

use std::io::{self, Write};
use std::path::PathBuf;

use clap::CommandFactory;
use expression_engine::error::{Context, Result};

/// Write the completion script of a shell to stdout
///
/// Example: edge-runtime completions bash > /etc/bash_completion.d/edge-runtime
#[derive(clap::Args)]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: clap_complete::Shell,
}

impl Completions {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if stdout cannot be written.
    pub fn run(&self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::Cli::command(), "edge-runtime", &mut script);
        match io::stdout().write_all(&script) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("cannot write to stdout"),
            _ => Ok(()),
        }
    }
}

/// Write the man pages, one file per command
///
/// Example: edge-runtime man /usr/local/share/man/man1
#[derive(clap::Args)]
pub struct Man {
    /// Folder to write to; it is created if it is missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Man {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if a file cannot be written.
    pub fn run(&self) -> Result<()> {
        let written = std::fs::create_dir_all(&self.folder)
            .and_then(|()| clap_mangen::generate_to(super::Cli::command().disable_help_subcommand(true), &self.folder));
        written.with_context(|| format!("cannot write man pages to {}", self.folder.display()))
    }
}
