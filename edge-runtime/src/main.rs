//! `edge-runtime`: the board's program.

use std::time::Instant;

use edge_runtime::command::settings;

fn main() -> std::process::ExitCode {
    let started = Instant::now();
    expression_engine::error::finish(|| {
        let (cli, settings) = settings::parse(std::env::args_os(), true)?;
        cli.run(started, settings.as_ref())
    })
}
