//! `host-trainer`: the workstation's program.

use clap::{Parser, Subcommand};
use host_trainer::command::{crossval, deploy, detector, draw, evaluate, inspect, report, run_all, study};

/// Trains FaceNet2ExpNet, quantizes the expression net and exports it as a bundle for edge-runtime.
///
/// Exit codes: 0 done, 1 failed or interrupted, 2 bad usage or bad input.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Folder of downloaded assets; by default $EXPRESSION_ASSETS, else the nearest .assets here, beside the program or above.
    #[arg(long, value_name = "DIR", global = true)]
    assets: Option<std::path::PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    RunAll(run_all::Cmd),
    Evaluate(evaluate::Cmd),
    Crossval(crossval::Cmd),
    Report(report::Cmd),
    Study(study::Cmd),
    Inspect(inspect::Cmd),
    Draw(draw::Cmd),
    Detector(detector::Cmd),
    Deploy(Box<deploy::Cmd>),
}

fn main() -> std::process::ExitCode {
    host_trainer::device::keep_memory();
    let cli = Cli::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).without_time().init();
    host_trainer::interrupt::listen();
    if let Some(folder) = cli.assets {
        host_trainer::assets::set_folder(folder);
    }
    expression_engine::error::finish(|| Ok(cli.command.run()?))
}

impl Command {
    fn run(self) -> host_trainer::Result<()> {
        match self {
            Command::RunAll(cmd) => cmd.run(),
            Command::Evaluate(cmd) => cmd.run(),
            Command::Crossval(cmd) => cmd.run(),
            Command::Report(cmd) => cmd.run(),
            Command::Study(cmd) => cmd.run(),
            Command::Inspect(cmd) => cmd.run(),
            Command::Draw(cmd) => cmd.run(),
            Command::Detector(cmd) => cmd.run(),
            Command::Deploy(cmd) => cmd.run(),
        }
    }
}
