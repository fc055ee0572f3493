//! The subcommands: one file each, reading like its help text.

pub mod bench;
pub mod classify;
pub mod config;
pub mod console;
#[cfg(feature = "preview")]
pub mod demo;
pub mod doctor;
#[cfg(feature = "http")]
pub mod health;
pub mod log;
pub mod manual;
pub mod run;
pub mod selftest;
pub mod settings;
pub mod verify;

use std::time::Instant;

use clap::{Parser, Subcommand};
use expression_engine::EngineOptions;
use expression_engine::Error;
use expression_engine::error::Result;
use expression_kernels::kernel;

use crate::board::Board;

/// Run expression bundles on the board: watch a camera, classify pictures, test and measure
///
/// Results go to stdout, logs to stderr. Exit codes: 0 done, 1 failed, 2 bad usage or bad input.
#[derive(Parser)]
#[command(name = "edge-runtime", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    verbosity: console::Verbosity,
}

#[derive(Subcommand)]
enum Command {
    Run(Box<run::Cmd>),
    Classify(classify::Cmd),
    Selftest(selftest::Cmd),
    Verify(verify::Cmd),
    Bench(bench::Cmd),
    Doctor(doctor::Cmd),
    #[cfg(feature = "http")]
    Health(health::Cmd),
    Config(config::Cmd),
    #[cfg(feature = "preview")]
    Demo(demo::Cmd),
    Log(log::Cmd),
    Completions(manual::Completions),
    Man(manual::Man),
}

impl Cli {
    /// Runs the subcommand. `started` is when the program started; `settings` are those of [`settings::parse`].
    ///
    /// # Errors
    /// Returns the subcommand's error, or one if RUST_LOG cannot be read.
    pub fn run(&self, started: Instant, settings: Option<&settings::Settings>) -> Result<()> {
        self.verbosity.start_logging()?;
        if settings.is_some() {
            settings::warn_of_unknown_variables();
        }
        match &self.command {
            Command::Run(cmd) => match settings {
                Some(settings) => cmd.run(started, settings),
                None => Err(Error::failure("no settings were read")),
            },
            Command::Config(cmd) => cmd.run(settings),
            #[cfg(feature = "preview")]
            Command::Demo(cmd) => cmd.run(started),
            Command::Classify(cmd) => cmd.run(),
            Command::Selftest(cmd) => cmd.run(),
            Command::Verify(cmd) => cmd.run(),
            Command::Bench(cmd) => cmd.run(),
            Command::Doctor(cmd) => cmd.run(),
            #[cfg(feature = "http")]
            Command::Health(cmd) => cmd.run(),
            Command::Log(cmd) => cmd.run(),
            Command::Completions(cmd) => cmd.run(),
            Command::Man(cmd) => cmd.run(),
        }
    }

    /// The flags of `run`, if that is the subcommand.
    #[cfg(feature = "preview")]
    fn into_run(self) -> Option<Box<run::Cmd>> {
        match self.command {
            Command::Run(cmd) => Some(cmd),
            _ => None,
        }
    }

    /// Checks the flags of `run` without running it.
    fn check(&self, board: &Board) -> Result<()> {
        match &self.command {
            Command::Run(cmd) => cmd.check(board),
            _ => Ok(()),
        }
    }
}

/// Returns the engine's options for a kernel of this name: `best`, one that this processor has, or `stock-tract`.
///
/// # Errors
/// Returns an error if this processor has no such kernel.
pub fn engine_options(kernel: &str, threads: usize) -> Result<EngineOptions> {
    let kernel = match kernel {
        "best" => Some(kernel::best()),
        "stock-tract" => None,
        name => Some(kernel::all().into_iter().find(|kernel| kernel.name() == name).ok_or_else(|| {
            let names: Vec<_> = kernel::all().iter().map(|kernel| kernel.name()).collect();
            let names = names.join(", ");
            Error::bad_input(format!("--kernel {name}: not on this processor; give best, stock-tract, {names}"))
        })?),
    };
    Ok(EngineOptions { kernel, threads })
}
