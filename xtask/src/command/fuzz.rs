//! `cargo xtask fuzz`

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use xtask::fuzz::{self, Record};
use xtask::{cargo, error, process};

/// The most memory of a target, MiB: a quarter of it is libtorch, which the trainer's decoders come with.
const MAX_MEMORY: &str = "-rss_limit_mb=1024";
/// The most bytes that are set aside at once, MiB.
const MAX_ALLOCATION: &str = "-malloc_limit_mb=400";
/// The longest time for one input, in seconds.
const MAX_TIME: &str = "-timeout=20";
/// The largest corpus of a target, bytes. Larger inputs go first.
const MAX_CORPUS: u64 = 4 << 20;

/// Run all fuzz targets, each for an equal share of the time, and add what they ran to fuzz/README.md
///
/// Needs cargo-fuzz: `cargo install cargo-fuzz`. With 0 minutes it only writes the table again.
#[derive(Args)]
pub struct Cmd {
    /// Minutes for all targets together
    #[arg(long, value_name = "N", default_value_t = 60.0)]
    minutes: f64,
    /// Run only these targets, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    targets: Vec<String>,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        let folder = cargo::workspace_root().join("fuzz");
        let mut record = fuzz::read(&folder)?;
        if self.minutes <= 0.0 {
            return fuzz::write(&folder, &record);
        }
        let program = build(&folder)?;
        let all = targets(&program)?;
        for name in &self.targets {
            if !all.iter().any(|(known, _)| known == name) {
                return Err(error::bad_input(format!("no target {name:?}; see fuzz/README.md")));
            }
        }
        let chosen: Vec<_> =
            all.into_iter().filter(|(name, _)| self.targets.is_empty() || self.targets.contains(name)).collect();
        let seconds = (self.minutes * 60.0 / chosen.len() as f64).max(1.0) as u64;
        let mut broken = Vec::new();
        for (name, max_len) in &chosen {
            let target = Target { folder: &folder, program: &program, name, max_len };
            if !target.fuzz(seconds, &mut record)? {
                broken.push(format!("{name} (fuzz/artifacts/{name})"));
            }
            target.minimize()?;
            // After each target, so that nothing is lost if the next ones are interrupted.
            fuzz::write(&folder, &record)?;
        }
        if !broken.is_empty() {
            bail!(
                "these targets found something: {}; fix it, add a test and a line in fuzz/runs.toml",
                broken.join(", ")
            );
        }
        Ok(())
    }
}

/// Builds the targets with the fuzzer's instruments, and returns their program.
fn build(folder: &Path) -> Result<PathBuf> {
    if !process::is_installed("cargo-fuzz") {
        return Err(error::bad_input("cargo-fuzz is not installed; run `cargo install --locked cargo-fuzz`"));
    }
    let arguments =
        ["fuzz", "build", "--fuzz-dir", ".", "-s", "none", "--features", "libfuzzer", "--target-dir", "target"];
    let mut build = cargo::command(&arguments);
    // Lets a stable compiler take the flags that the instruments need.
    build.arg("fuzz").env("RUSTC_BOOTSTRAP", "1").current_dir(folder);
    if !build.status().context("cargo could not be started")?.success() {
        bail!("`cargo fuzz build` failed");
    }
    let built = fs::read_dir(folder.join("target"))?.filter_map(|entry| Some(entry.ok()?.path().join("release/fuzz")));
    built.into_iter().find(|path| path.is_file()).context("cargo fuzz built no program")
}

/// Names of the targets, and the longest inputs that they take.
fn targets(program: &Path) -> Result<Vec<(String, String)>> {
    let listed = process::run(Command::new(program).env_remove("FUZZ_TARGET"))?;
    let target = |line: &str| line.split_once(' ').map(|(name, length)| (name.to_owned(), length.to_owned()));
    Ok(listed.lines().filter_map(target).collect())
}

struct Target<'a> {
    folder: &'a Path,
    program: &'a Path,
    name: &'a str,
    max_len: &'a str,
}

impl Target<'_> {
    fn place(&self, kind: &str) -> PathBuf {
        self.folder.join(kind).join(self.name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.env("FUZZ_TARGET", self.name).current_dir(self.folder);
        if Path::new("/dev/shm").is_dir() {
            // Journals are written to memory instead of a disk.
            command.env("TMPDIR", "/dev/shm");
        }
        let length = format!("-max_len={}", self.max_len);
        command.args([MAX_MEMORY, MAX_ALLOCATION, MAX_TIME, "-close_fd_mask=1", &length]).stdin(Stdio::null());
        command
    }

    /// Runs the target and adds to the record; `false` if it found something.
    fn fuzz(&self, seconds: u64, record: &mut Record) -> Result<bool> {
        let [corpus, artifacts] = ["corpus", "artifacts"].map(|kind| self.place(kind));
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(&artifacts)?;
        let log = artifacts.join("log");
        let before = children_seconds()?;
        let mut command = self.command();
        command.arg(format!("-max_total_time={seconds}")).arg("-print_final_stats=1").arg("-reduce_inputs=1");
        command.arg(format!("-artifact_prefix={}/", artifacts.display())).arg(&corpus);
        command.args(Some(self.place("seeds")).filter(|seeds| seeds.is_dir()));
        let status = command.stderr(fs::File::create(&log)?).status().context("the fuzzer could not be started")?;
        let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let mut executions = text.lines().rev().filter_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        let executions: u64 = executions.next().and_then(|number| number.trim().parse().ok()).unwrap_or(0);
        let runs = record.0.entry(self.name.to_owned()).or_default();
        let cpu = children_seconds()? - before;
        runs.cpu_seconds += cpu.round() as u64;
        runs.executions += executions;
        eprintln!("{}: {executions} executions in {cpu:.0} s of processor time", self.name);
        if !status.success() {
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("{}", lines[lines.len().saturating_sub(30)..].join("\n"));
        }
        Ok(status.success())
    }

    /// Keeps of the corpus what reaches code that nothing smaller reaches, and no more than its limit.
    fn minimize(&self) -> Result<()> {
        let (corpus, smaller) = (self.place("corpus"), self.place("corpus-minimized"));
        let _ = fs::remove_dir_all(&smaller);
        fs::create_dir_all(&smaller)?;
        let merged = self.command().arg("-merge=1").arg(&smaller).arg(&corpus).stderr(Stdio::null()).status()?;
        if !merged.success() {
            // One of them fails: they stay as they are.
            return Ok(fs::remove_dir_all(&smaller)?);
        }
        fs::remove_dir_all(&corpus)?;
        fs::rename(&smaller, &corpus)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(&corpus)? {
            let path = entry?.path();
            files.push((path.metadata()?.len(), path));
        }
        files.sort();
        let mut sum = 0;
        for (length, path) in files {
            sum += length;
            if sum > MAX_CORPUS {
                fs::remove_file(path)?;
            }
        }
        let _ = fs::remove_dir(self.folder.join("corpus-minimized"));
        Ok(())
    }
}

/// Processor time in seconds of all children that have ended: user and system, from `/proc/self/stat`, in hundredths.
fn children_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The program's name in brackets comes before, and may hold anything.
    let after = stat.rsplit_once(')').context("/proc/self/stat has another form")?.1;
    let ticks = after.split_whitespace().skip(13).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}
