//! `edge-runtime bench`

use std::path::PathBuf;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use expression_engine::Engine;
use expression_engine::Error;
use expression_engine::error::Result;
use serde_json::json;

use super::engine_options;

/// Measures one inference of a bundle: median and percentiles, operators and kernels, peak memory.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of the bundle.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Threads that share one inference. They change no bit of its result.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// How many inferences run side by side, each with a net of its own.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    side_by_side: u16,
    /// Kernel that runs the net: best, one of those that this processor has, or stock-tract.
    #[arg(long, value_name = "NAME", default_value = "best")]
    kernel: String,
    /// Also say which nodes of the graph stock tract runs, and why.
    #[arg(long)]
    explain: bool,
    /// Inferences measured on each thread.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    iterations: u32,
    /// Write one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Where the bundle is refused.
    pub fn run(&self) -> Result<()> {
        let started = Instant::now();
        let options = engine_options(&self.kernel, usize::from(self.threads))?;
        let (bundle, engine) = expression_engine::selftest::open(&self.bundle, options)?;
        let start_up = started.elapsed();
        let faces: Vec<Vec<u8>> =
            expression_engine::selftest::vectors(&bundle)?.into_iter().map(|vector| vector.face).collect();
        let mut engines = vec![engine];
        while engines.len() < usize::from(self.side_by_side) {
            engines.push(Engine::open(&bundle, options)?);
        }
        let operators = engines[0].operators();
        let (mut times, wall) = measure(&engines, &faces, self.iterations)?;
        times.sort_unstable();
        let at = |share: f64| milliseconds(times[((times.len() - 1) as f64 * share).round() as usize]);
        let report = json!({
            "bundle": bundle.manifest().name,
            "threads": self.threads,
            "side_by_side": self.side_by_side,
            "inferences": times.len(),
            "ms": { "median": at(0.5), "p90": at(0.9), "p99": at(0.99), "min": at(0.0), "max": at(1.0) },
            "inferences_per_second": times.len() as f64 / wall.as_secs_f64(),
            "start_up_ms": milliseconds(start_up),
            "peak_memory_bytes": expression_engine::memory::peak(),
            "operators": counted(&operators),
            "kernels": engines[0].kernels(),
            "not_fused": self.explain.then(|| engines[0].not_fused()),
        });
        expression_engine::error::print(&if self.json { report.to_string() } else { table(&report) })
    }
}

/// Times of all single inferences, and the time that all of them took together. The first tenth warms up.
fn measure(engines: &[Engine], faces: &[Vec<u8>], iterations: u32) -> Result<(Vec<Duration>, Duration)> {
    let barrier = Barrier::new(engines.len());
    let one = |engine: &Engine| -> Result<(Vec<Duration>, Duration)> {
        let warm_up = iterations / 10 + 1;
        // Every thread reaches the barrier, failed or not: else the others would wait for ever.
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
        Ok((times, started.elapsed()))
    };
    let measured: Vec<Result<_>> = std::thread::scope(|scope| {
        let threads: Vec<_> = engines.iter().map(|engine| scope.spawn(move || one(engine))).collect();
        let panicked = || Err(Error::failure("a measuring thread panicked"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| panicked())).collect()
    });
    let (mut times, mut wall) = (Vec::new(), Duration::ZERO);
    for result in measured {
        let (each, all) = result?;
        times.extend(each);
        wall = wall.max(all);
    }
    Ok((times, wall))
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Operators in order of first use, each with how often it runs.
fn counted(operators: &[String]) -> serde_json::Map<String, serde_json::Value> {
    let mut counts = serde_json::Map::new();
    for name in operators {
        let count = counts.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
        counts.insert(name.clone(), (count + 1).into());
    }
    counts
}

fn table(report: &serde_json::Value) -> String {
    let ms = &report["ms"];
    let mut rows = vec![
        format!("bundle              {}", report["bundle"].as_str().unwrap_or("?")),
        format!("threads             {}, {} side by side", report["threads"], report["side_by_side"]),
        format!("one inference       median {} ms, 90 % {} ms, 99 % {} ms", ms["median"], ms["p90"], ms["p99"]),
        format!("inferences a second {:.1}", report["inferences_per_second"].as_f64().unwrap_or(0.0)),
        format!("start-up            {} ms (read, verify, optimise, self-test)", report["start_up_ms"]),
    ];
    if let Some(bytes) = report["peak_memory_bytes"].as_u64() {
        rows.push(format!("peak memory         {:.1} MiB", bytes as f64 / f64::from(1 << 20)));
    }
    rows.push(format!("kernels             {}", report["kernels"]));
    rows.push(format!("operators           {}", report["operators"]));
    if let Some(nodes) = report["not_fused"].as_array() {
        let name = |node: &serde_json::Value, part: &str| node[part].as_str().unwrap_or("?").to_owned();
        rows.extend(nodes.iter().map(|node| {
            format!("stock tract runs    {} ({}): {}", name(node, "node"), name(node, "operator"), name(node, "reason"))
        }));
        if nodes.is_empty() {
            rows.push("stock tract runs    nothing".into());
        }
    }
    rows.join("\n")
}
