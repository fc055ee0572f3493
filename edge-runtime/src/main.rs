//! `edge-runtime`: the board's program.

use std::time::Instant;

use clap::{Parser, Subcommand};
use edge_runtime::command::{bench, classify, doctor, log, run, selftest};

/// Runs expression bundles: classifies faces, replays the self-test, measures itself.
///
/// Exit codes: 0 done, 1 failed, 2 bad usage or bad input.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(Box<run::Cmd>),
    Classify(classify::Cmd),
    Selftest(selftest::Cmd),
    Bench(bench::Cmd),
    Doctor(doctor::Cmd),
    Log(log::Cmd),
}

fn main() -> std::process::ExitCode {
    let started = Instant::now();
    let cli = Cli::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    expression_engine::error::finish(|| match cli.command {
        Command::Run(cmd) => cmd.run(started),
        Command::Classify(cmd) => cmd.run(),
        Command::Selftest(cmd) => cmd.run(),
        Command::Bench(cmd) => cmd.run(),
        Command::Doctor(cmd) => cmd.run(),
        Command::Log(cmd) => cmd.run(),
    })
}
