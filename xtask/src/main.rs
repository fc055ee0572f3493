//! `cargo xtask`: sets up what the project needs, runs it and tests it.
#![forbid(unsafe_code)]

mod bench;
mod command;
mod kernel_tests;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Set up what the project needs, run it, test it.
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
    Fuzz(command::fuzz::Cmd),
    Image(command::image::Cmd),
    Package(command::package::Cmd),
    Promises(command::promises::Cmd),
    Release(command::release::Cmd),
}

fn main() -> ExitCode {
    xtask::error::finish(match Args::parse().command {
        Command::Setup(cmd) => cmd.run(),
        Command::RunAll(cmd) => cmd.run(),
        Command::Test(cmd) => cmd.run(),
        Command::Check(cmd) => cmd.run(),
        Command::Bench(cmd) => cmd.run(),
        Command::Build(cmd) => cmd.run(),
        Command::Boards(cmd) => cmd.run(),
        Command::Fuzz(cmd) => cmd.run(),
        Command::Image(cmd) => cmd.run(),
        Command::Package(cmd) => cmd.run(),
        Command::Promises(cmd) => cmd.run(),
        Command::Release(cmd) => cmd.run(),
    })
}
