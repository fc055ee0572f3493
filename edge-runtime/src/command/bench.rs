//! `edge-runtime bench`

use std::fmt;
use std::path::PathBuf;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use expression_engine::error::Result;
use expression_engine::{Engine, Error, NotFused};
use serde::Serialize;
use serde_json::{Map, Value};

use super::engine_options;
use crate::number::whole;
use crate::trust::BoardFlags;

/// Measure the inference time of a bundle: median and percentiles, operators, kernels and peak memory
///
/// Example: edge-runtime bench --bundle models/ferplus-edge --threads 2
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of the bundle
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Threads that share one inference; the result is the same to the bit
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole::<u16>("a whole number of threads", 1..=256))]
    threads: u16,
    /// Inferences that run side by side, each with a net of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole::<u16>("a whole number of inferences", 1..=256))]
    side_by_side: u16,
    /// Kernel that runs the net: best, the name of one that this processor has, or stock-tract
    #[arg(long, value_name = "NAME", default_value = "best")]
    kernel: String,
    /// Also name the nodes of the graph that stock tract runs, and why
    #[arg(long)]
    explain: bool,
    /// Inferences to measure on each thread
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = whole::<u32>("a whole number of inferences", 1..=1_000_000))]
    iterations: u32,
    /// Write one JSON object instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: BoardFlags,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    bundle: String,
    threads: u16,
    side_by_side: u16,
    inferences: usize,
    ms: Milliseconds,
    inferences_per_second: f64,
    start_up_ms: f64,
    peak_memory_bytes: Option<u64>,
    /// Operators in order of first use, each with how often it runs.
    operators: Map<String, Value>,
    kernels: Vec<String>,
    not_fused: Option<Vec<NotFused>>,
}

/// Milliseconds of one inference.
#[derive(Debug, Serialize)]
struct Milliseconds {
    median: f64,
    p90: f64,
    p99: f64,
    min: f64,
    max: f64,
}

/// What the inferences took.
struct Measured {
    times: Vec<Duration>,
    /// All of them together.
    wall: Duration,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if the bundle is refused, or if this processor has no kernel of that name.
    pub fn run(&self) -> Result<()> {
        let started = Instant::now();
        let policy = self.trust.policy()?;
        let options = engine_options(&self.kernel, usize::from(self.threads))?;
        let (bundle, engine) = expression_engine::selftest::open_trusted(&self.bundle, options, policy.trust())?;
        let start_up = started.elapsed();
        let faces: Vec<Vec<u8>> =
            expression_engine::selftest::vectors(&bundle)?.into_iter().map(|vector| vector.face).collect();
        let mut engines = vec![engine];
        while engines.len() < usize::from(self.side_by_side) {
            engines.push(Engine::open(&bundle, options)?);
        }
        let operators = engines[0].operators();
        let Measured { mut times, wall } = measure(&engines, &faces, self.iterations)?;
        times.sort_unstable();
        let at = |share: f64| milliseconds(times[((times.len() - 1) as f64 * share).round() as usize]);
        let report = Report {
            bundle: bundle.manifest().name.clone(),
            threads: self.threads,
            side_by_side: self.side_by_side,
            inferences: times.len(),
            ms: Milliseconds { median: at(0.5), p90: at(0.9), p99: at(0.99), min: at(0.0), max: at(1.0) },
            inferences_per_second: times.len() as f64 / wall.as_secs_f64(),
            start_up_ms: milliseconds(start_up),
            peak_memory_bytes: expression_engine::memory::peak(),
            operators: counted(&operators),
            kernels: engines[0].kernels(),
            not_fused: self.explain.then(|| engines[0].not_fused().to_vec()),
        };
        let text = if self.json { serde_json::to_string(&report).map_err(Error::failure)? } else { report.to_string() };
        expression_engine::error::print(&text)
    }
}

/// Measures every engine on a thread of its own. The first tenth of the inferences warms up.
fn measure(engines: &[Engine], faces: &[Vec<u8>], iterations: u32) -> Result<Measured> {
    let barrier = Barrier::new(engines.len());
    let one = |engine: &Engine| -> Result<Measured> {
        let warm_up = iterations / 10 + 1;
        // Every thread reaches the barrier, failed or not: the others would wait for ever.
        let warmed = (0..warm_up).zip(faces.iter().cycle()).try_for_each(|(_, face)| engine.classify(face).map(drop));
        barrier.wait();
        warmed?;
        let started = Instant::now();
        let mut times = Vec::with_capacity(iterations as usize);
        for (_, face) in (0..iterations).zip(faces.iter().cycle()) {
            let before = Instant::now();
            engine.classify(face)?;
            times.push(before.elapsed());
        }
        Ok(Measured { times, wall: started.elapsed() })
    };
    let results: Vec<Result<Measured>> = std::thread::scope(|scope| {
        let threads: Vec<_> = engines.iter().map(|engine| scope.spawn(move || one(engine))).collect();
        let panicked = || Err(Error::failure("a measuring thread panicked"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| panicked())).collect()
    });
    let mut all = Measured { times: Vec::new(), wall: Duration::ZERO };
    for result in results {
        let Measured { times, wall } = result?;
        all.times.extend(times);
        all.wall = all.wall.max(wall);
    }
    Ok(all)
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn counted(operators: &[String]) -> Map<String, Value> {
    let mut counts = Map::new();
    for name in operators {
        let count = counts.get(name).and_then(Value::as_u64).unwrap_or(0);
        counts.insert(name.clone(), (count + 1).into());
    }
    counts
}

impl fmt::Display for Report {
    /// A table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Milliseconds { median, p90, p99, .. } = self.ms;
        writeln!(f, "bundle              {}", self.bundle)?;
        writeln!(f, "threads             {}, {} inferences side by side", self.threads, self.side_by_side)?;
        writeln!(f, "inference time      median {median} ms, 90 % {p90} ms, 99 % {p99} ms")?;
        writeln!(f, "throughput          {:.1} inferences/s", self.inferences_per_second)?;
        writeln!(f, "start-up            {} ms (read, verify, optimise, self-test)", self.start_up_ms)?;
        if let Some(bytes) = self.peak_memory_bytes {
            writeln!(f, "peak memory         {:.1} MiB", bytes as f64 / f64::from(1 << 20))?;
        }
        writeln!(f, "kernels             {}", self.kernels.join(", "))?;
        let operators: Vec<_> = self.operators.iter().map(|(name, count)| format!("{count} x {name}")).collect();
        write!(f, "operators           {}", operators.join(", "))?;
        match self.not_fused.as_deref() {
            None => {}
            Some([]) => write!(f, "\nstock tract runs    nothing")?,
            Some(nodes) => {
                for NotFused { node, operator, reason } in nodes {
                    write!(f, "\nstock tract runs    {node} ({operator}): {reason}")?;
                }
            }
        }
        Ok(())
    }
}
