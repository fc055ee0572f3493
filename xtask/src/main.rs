//! `cargo xtask`: set up what the project needs, run it, test it.
//!
//! Knows neither torch nor tract, so that it compiles in seconds and runs before libtorch is there.

mod arm;
mod assets;
mod boards;
mod cargo;
mod command;
mod cuda;
mod emulated;
mod fetch;
mod folder;
mod guest;
mod image;
mod kernels;
mod libtorch;
mod package;
mod preflight;
mod program;
mod refusal;
mod staging;
mod unpack;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Sets up what the project needs, runs it, tests it.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Setup(command::setup::Cmd),
    RunAll(command::run_all::Cmd),
    Test(command::test::Cmd),
    Check(command::check::Cmd),
    Bench(command::bench::Cmd),
    Build(command::build::Cmd),
    Boards(command::boards::Cmd),
    Image(command::image::Cmd),
    Package(command::package::Cmd),
}

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Setup(cmd) => cmd.run(),
        Command::RunAll(cmd) => cmd.run(),
        Command::Test(cmd) => cmd.run(),
        Command::Check(cmd) => cmd.run(),
        Command::Bench(cmd) => cmd.run(),
        Command::Build(cmd) => cmd.run(),
        Command::Boards(cmd) => cmd.run(),
        Command::Image(cmd) => cmd.run(),
        Command::Package(cmd) => cmd.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(refusal::exit_code(&error))
        }
    }
}
