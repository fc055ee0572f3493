//! `host-trainer`: the workstation's program.

use clap::Parser;
use expression_engine::line::{LogLines, stderr_in_colour};
use host_trainer::command::Cli;

fn main() -> std::process::ExitCode {
    host_trainer::device::keep_memory();
    let cli = Cli::parse();
    // Colours are for people: not in a file or a pipe.
    let logs = tracing_subscriber::fmt().with_writer(|| LogLines(std::io::stderr())).with_ansi(stderr_in_colour());
    logs.with_max_level(tracing::Level::WARN).without_time().init();
    host_trainer::interrupt::listen();
    expression_engine::error::finish(|| Ok(cli.run()?))
}
