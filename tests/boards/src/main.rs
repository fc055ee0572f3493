//! Suites that run the real program on emulated boards, with a real kernel, and compare with the host. `cargo xtask boards`
//! starts them; docs/emulation.md describes them.
#![forbid(unsafe_code)]

mod board_file;
mod fault;
mod files;
mod frames;
mod guest;
mod lab;
mod machine;
mod output;
mod runner;
mod scripts;
mod service;
mod suite;
mod suites;

use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;

use fault::Fault;

/// Set up, build, and run test suites on emulated boards: a Raspberry Pi 3B, and machines with a Cortex-A53, A72 and A76
///
/// Ends with a table of results. The boards' consoles are logged in `.assets/emulator/boards`. Example:
/// `cargo xtask boards parity camera`
#[derive(Parser)]
#[command(name = "cargo xtask boards", bin_name = "cargo xtask boards")]
struct Args {
    /// Suites to run [default: all]
    #[arg(value_name = "SUITE", value_parser = PossibleValuesParser::new(suites::names()))]
    suites: Vec<String>,
    /// Inject a fault, to see that its suite notices
    #[arg(long, value_enum)]
    fault: Option<Fault>,
    /// Use the programs that are already built
    #[arg(long)]
    no_build: bool,
    /// Power cuts in the suite `power` [default: 300], failures of each kind in `disk` [default: 2], minutes of the board's
    /// time in `soak` [default: 60]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    times: Option<u64>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    xtask::error::finish(runner::run(&args.suites, args.fault, args.times, !args.no_build))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
