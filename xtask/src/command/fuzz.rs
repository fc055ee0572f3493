//! `cargo xtask fuzz`

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, bail};
use clap::{Args, value_parser};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use xtask::fuzz;
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
    /// Targets that run at the same time, one processor core each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u16).range(1..))]
    jobs: u16,
    /// Run only these targets, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    targets: Vec<String>,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        let folder = cargo::workspace_root().join("fuzz");
        let record = fuzz::read(&folder)?;
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
        let jobs = usize::from(self.jobs).min(chosen.len());
        let seconds = (self.minutes * 60.0 * jobs as f64 / chosen.len() as f64).max(1.0) as u64;
        let next = AtomicUsize::new(0);
        let done = Mutex::new((record, Vec::new()));
        let work = || -> Result<()> {
            while let Some((name, max_len)) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                let target = Target { folder: &folder, program: &program, name, max_len };
                let ran = target.fuzz(seconds)?;
                target.minimize()?;
                let mut done = done.lock().expect("a thread that counts does not panic");
                let (record, broken) = &mut *done;
                record.add(name, ran.cpu_seconds, ran.executions);
                if !ran.clean {
                    broken.push(format!("{name} (fuzz/artifacts/{name})"));
                }
                // After each target, so that nothing is lost if the next ones are interrupted.
                fuzz::write(&folder, record)?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("a thread that waits does not panic"))
        })?;
        let (_, broken) = done.into_inner().expect("all threads have ended");
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

    /// Runs the target for a time.
    fn fuzz(&self, seconds: u64) -> Result<Ran> {
        let [corpus, artifacts] = ["corpus", "artifacts"].map(|kind| self.place(kind));
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(&artifacts)?;
        let log = artifacts.join("log");
        let mut command = self.command();
        command.arg(format!("-max_total_time={seconds}")).arg("-print_final_stats=1").arg("-reduce_inputs=1");
        command.arg(format!("-artifact_prefix={}/", artifacts.display())).arg(&corpus);
        command.args(Some(self.place("seeds")).filter(|seeds| seeds.is_dir()));
        let child = command.stderr(fs::File::create(&log)?).spawn().context("the fuzzer could not be started")?;
        let (status, cpu_seconds) = wait(child)?;
        let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let mut executions = text.lines().rev().filter_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        let executions: u64 = executions.next().and_then(|number| number.trim().parse().ok()).unwrap_or(0);
        eprintln!("{}: {executions} executions in {cpu_seconds:.0} s of processor time", self.name);
        if !status.success() {
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("{}", lines[lines.len().saturating_sub(30)..].join("\n"));
        }
        Ok(Ran { cpu_seconds: cpu_seconds.round() as u64, executions, clean: status.success() })
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

/// What a target ran.
struct Ran {
    cpu_seconds: u64,
    executions: u64,
    /// It found nothing.
    clean: bool,
}

/// Waits for a program; returns how it ended, and its processor time in seconds.
fn wait(mut child: Child) -> Result<(ExitStatus, f64)> {
    let pid = Pid::from_child(&child);
    // Its time can be read when it has ended, as long as nobody has asked how.
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    let cpu_seconds = cpu_seconds(&fs::read_to_string(format!("/proc/{}/stat", child.id()))?)?;
    Ok((child.wait()?, cpu_seconds))
}

/// User and system time in seconds, from the text of a `/proc/*/stat`, in hundredths.
fn cpu_seconds(stat: &str) -> Result<f64> {
    // The program's name in brackets comes before, and may hold anything.
    let after = stat.rsplit_once(')').context("/proc/*/stat has another form")?.1;
    let ticks = after.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_program_that_has_ended_is_known() {
        let busy = Command::new("sh").args(["-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; exit 3"]).spawn();
        let (status, seconds) = wait(busy.unwrap()).unwrap();
        assert!(status.code() == Some(3) && seconds > 0.0 && seconds < 60.0, "{status}, {seconds} s");
        let stat = "7 (a) b) Z 1 7 7 0 -1 4 0 0 0 0 150 25 9000 9000 20 0 1";
        assert_eq!(cpu_seconds(stat).unwrap(), 1.75);
    }
}
