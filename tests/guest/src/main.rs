//! Runs our engine, or stock tract, on a net as `cargo xtask bench` asks on stdin: `tests/peers/peer.py` in Rust.
//!
//! Knows neither torch nor the host's data, so that it is cross-built without them and runs under an emulator.
#![forbid(unsafe_code)]

use std::fmt::Write;
use std::io::BufRead;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use clap::{Parser, ValueEnum};
use expression_engine::{Engine, EngineOptions, Error, FloatEngine, Manifest, bundle, error};
use rustix::time::{ClockId, clock_gettime};

/// Runs one engine on one net.
///
/// Prints the logits of the faces in `faces.u8` on one line. Each line of stdin then asks for a turn: `seconds S` or `calls N`. The
/// answer is the processor time of the turn, then the times of its calls, all in nanoseconds. A turn begins and ends with the
/// system call getppid, by which an emulator tells where to count instructions.
#[derive(Parser)]
struct Cli {
    /// What runs the net.
    engine: Kind,
    /// Folder of the net: manifest.toml, expression.onnx, expression-f32.onnx and faces.u8, aligned faces.
    folder: PathBuf,
    /// Threads that share one call.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Faces per call.
    #[arg(long, default_value_t = 1)]
    faces: usize,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Kind {
    Ours,
    TractInt8,
    TractFloat,
}

/// A call, which returns the logits.
type Call = Box<dyn FnMut() -> anyhow::Result<Vec<f32>>>;

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    error::finish(|| serve(&cli).map_err(Error::failure))
}

fn serve(cli: &Cli) -> anyhow::Result<()> {
    let mut call = open(cli)?;
    let mut line = String::new();
    for logit in call()? {
        write!(line, "{logit} ")?;
    }
    error::print(line.trim_end())?;
    for request in std::io::stdin().lock().lines() {
        error::print(&turn(&mut call, &request?)?)?;
    }
    Ok(())
}

/// Opens the engine; the call has been made once.
fn open(cli: &Cli) -> anyhow::Result<Call> {
    let read = |name: &str| expression_engine::files::read(&cli.folder.join(name));
    let manifest: Manifest = toml::from_str(&String::from_utf8(read(bundle::MANIFEST)?)?)?;
    let face = manifest.face_input().len();
    let faces = read("faces.u8")?.get(..cli.faces * face).context("too few faces in faces.u8")?.to_vec();
    if cli.engine == Kind::TractFloat {
        ensure!(cli.threads == 1, "stock tract runs on one thread");
        let engine = FloatEngine::from_bytes(&read(bundle::FLOAT)?, manifest.face_input())?;
        return Ok(Box::new(move || {
            let logits = faces.chunks(face).map(|face| engine.logits(face)).collect::<Result<Vec<_>, _>>()?;
            Ok(logits.concat())
        }));
    }
    let ours = EngineOptions { threads: cli.threads, ..EngineOptions::default() };
    let options = if cli.engine == Kind::Ours { ours } else { EngineOptions { kernel: None, ..ours } };
    let engine = Engine::from_bytes(&read(bundle::INT8)?, &manifest, options)?;
    let mut scores = vec![0; cli.faces * engine.labels().len()];
    let output = manifest.output;
    let mut call = move || {
        if scores.len() == engine.labels().len() {
            engine.integer_scores(&faces, &mut scores)?;
        } else {
            engine.classify_many(&faces, &mut scores)?;
        }
        let logit = |score: &u8| (f32::from(*score) - f32::from(output.zero_point)) * output.scale;
        anyhow::Ok(scores.iter().map(logit).collect())
    };
    // Several faces in a call need memory the first time.
    call()?;
    Ok(Box::new(call))
}

/// Takes the turn that is asked for, and returns its times.
fn turn(call: &mut Call, request: &str) -> anyhow::Result<String> {
    let wrong = || anyhow!("invalid request {request:?}: expected `seconds S` or `calls N`");
    let (kind, amount) = request.split_once(' ').ok_or_else(wrong)?;
    let (calls, seconds) = match kind {
        "calls" => (amount.parse().map_err(|_| wrong())?, Duration::MAX),
        "seconds" => {
            (usize::MAX, amount.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok()).ok_or_else(wrong)?)
        }
        _ => return Err(wrong()),
    };
    let mut times = Vec::new();
    let _ = std::os::unix::process::parent_id();
    let (used, begun) = (processor_time(), Instant::now());
    while times.len() < calls && begun.elapsed() < seconds {
        let before = Instant::now();
        call()?;
        times.push(before.elapsed());
    }
    let used = processor_time() - used;
    let _ = std::os::unix::process::parent_id();
    let mut answer = used.as_nanos().to_string();
    for time in times {
        write!(answer, " {}", time.as_nanos())?;
    }
    Ok(answer)
}

/// Returns the processor time of all threads so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
