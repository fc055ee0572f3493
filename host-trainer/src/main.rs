//! `host-trainer`: the workstation's program.

use clap::Parser;
use host_trainer::command::Cli;

fn main() -> std::process::ExitCode {
    host_trainer::device::keep_memory();
    let cli = Cli::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).without_time().init();
    host_trainer::interrupt::listen();
    expression_engine::error::finish(|| Ok(cli.run()?))
}
