//! `cargo xtask promises`

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use clap::builder::PossibleValuesParser;

use xtask::promise::{self, Finding, Promise, Test};
use xtask::{cargo, process};

/// Measure what is promised at full count, and write the figures into docs/promises.md
///
/// Some take an hour. With --times the count is another, and nothing is written. Example: `cargo xtask promises kills --times 20`
#[derive(Args)]
pub struct Cmd {
    /// Promises to measure [default: all]
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(promise::ALL.iter().map(|promise| promise.name)))]
    names: Vec<String>,
    /// Try N times instead of as often as docs/promises.md says, and write nothing
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    times: Option<u64>,
    /// Use the programs for emulated boards that are already built
    #[arg(long)]
    no_build: bool,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        let mut failed = Vec::new();
        let chosen = |promise: &&Promise| self.names.is_empty() || self.names.iter().any(|name| name == promise.name);
        for promise in promise::ALL.iter().filter(chosen) {
            if let Err(error) = measure(promise, self.times, self.no_build) {
                eprintln!("error: {}: {error:#}", promise.name);
                failed.push(promise.name);
            }
        }
        if !failed.is_empty() {
            bail!("not kept, or not measured: {}", failed.join(", "));
        }
        Ok(())
    }
}

/// Measures a promise; writes what was found if it was tried at full count.
fn measure(promise: &Promise, times: Option<u64>, no_build: bool) -> Result<()> {
    let wanted = times.unwrap_or(promise.times);
    eprintln!("{}: {} ({wanted} {})", promise.name, promise.says, promise.unit);
    let begun = Instant::now();
    let finding = run_test(promise.test, wanted, no_build)?;
    let (tried, lost) = finding.measured.as_ref().context("the test reported nothing; was it skipped?")?;
    println!("{}: {tried}; lost or grown: {lost}; {} s", promise.name, begun.elapsed().as_secs());
    if times.is_none() {
        let path = cargo::workspace_root().join("docs/promises.md");
        let page = fs::read_to_string(&path).context("docs/promises.md could not be read")?;
        let date = process::run(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
        fs::write(&path, promise::with_finding(&page, promise, &finding, date.trim())?)?;
    }
    Ok(())
}

/// Runs a test and takes in what it reports.
fn run_test(test: Test, times: u64, no_build: bool) -> Result<Finding> {
    let mut command = match test {
        Test::Cargo(program, filter) => {
            let mut command = cargo::command(&["test", "--quiet", "--workspace", "--test", program, "--"]);
            command.args(["--nocapture", "--test-threads=1", filter]).env("PROMISE_TIMES", times.to_string());
            command
        }
        Test::Boards(suite) => {
            let mut command = cargo::command(&["run", "--quiet", "--package", "board-tests", "--", suite]);
            command.args(["--times", &times.to_string()]).args(no_build.then_some("--no-build"));
            command
        }
    };
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (output, errors) = (child.stdout.take().context("a pipe")?, child.stderr.take().context("a pipe")?);
    let finding = Mutex::new(Finding::default());
    let pass_on = |from: Box<dyn Read + Send>| {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            eprintln!("{line}");
            if let Ok(mut finding) = finding.lock() {
                finding.read(&line);
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| pass_on(Box::new(output)));
        scope.spawn(|| pass_on(Box::new(errors)));
    });
    let status = child.wait()?;
    ensure!(status.success(), "{status}");
    Ok(finding.into_inner().unwrap_or_default())
}
