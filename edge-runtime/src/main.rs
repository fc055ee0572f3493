//! `edge-runtime`: the board's program.

use std::time::Instant;

use clap::Parser;
use edge_runtime::command::Cli;

fn main() -> std::process::ExitCode {
    let started = Instant::now();
    let cli = Cli::parse();
    expression_engine::error::finish(|| cli.run(started))
}
