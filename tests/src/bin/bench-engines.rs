//! `cargo xtask bench`: our engine, onnxruntime and stock tract on the same int8 graphs, in one run on one machine.
//!
//! The engines take turns, so that what else the machine does meets all of them; medians are compared. Prints a table and
//! writes it to `docs/benchmarks.md`, whose other sections stay. With `--nets DIR` it only writes the nets that emulated boards
//! measure.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use clap::Parser;
use expression_core::{FaceInput, Label};
use expression_engine::EngineOptions;
use expression_engine::{Bundle, Engine, Manifest, bundle, files};
use host_trainer::config::Config;
use host_trainer::net::{ExpressionNet, expression_net};
use host_trainer::onnx::builder;
use host_trainer::quantize::{FloatNet, graph, quantize};
use host_trainer::{assets, export};
use ort::session::Session;
use tch::{Device, Kind, Tensor};

/// How often each engine takes its turn.
const TURNS: usize = 20;
/// How long a turn takes at least.
const TURN: Duration = Duration::from_millis(30);
/// Before each turn: onnxruntime's threads go on spinning for a while, and would take the processor from the next engine.
const REST: Duration = Duration::from_millis(30);

/// An int8 graph to be measured.
struct Net {
    name: String,
    onnx: Vec<u8>,
    /// The same net in float; empty where the bundle has none.
    float: Vec<u8>,
    manifest: Manifest,
    face: Vec<u8>,
    multiply_accumulates: f64,
}

/// The bundle that we ship.
fn shipped() -> anyhow::Result<Net> {
    let bundle = Bundle::open(&system_tests::root().join("models/ferplus-edge"))?;
    let manifest = bundle.manifest().clone();
    let face = expression_engine::selftest::vectors(&bundle)?.remove(0).face;
    let multiply_accumulates = manifest.metrics["multiply_accumulates"];
    let onnx = bundle.read(bundle::INT8)?;
    Ok(Net { name: format!("{}, 48x48", manifest.name), onnx, float: Vec::new(), manifest, face, multiply_accumulates })
}

/// A preset's net at another size, with fresh weights: how fast it is does not depend on them.
fn fresh(name: &str, preset: &str, size: usize) -> anyhow::Result<Net> {
    let mut config = Config::preset(preset)?;
    config.net.size = size;
    config.net.aligned = config.net.aligned.max(size);
    let input = config.face_input();
    let faces = export::self_test_faces(input, 5)?;
    let FaceInput { channels, .. } = input;
    let shape = [faces.len(), channels, size, size].map(|side| side as i64);
    let tensor = Tensor::from_data_size(&faces.concat(), &shape, Kind::Uint8);
    tch::manual_seed(11);
    let net = ExpressionNet::new(&config.net, 512, Label::COUNT as i64, Kind::Float, Device::Cpu);
    // Batch norm sees some faces.
    let _ = tch::no_grad(|| net.logits(&expression_net::normalised(&tensor), true));
    let folded = FloatNet::fold(&net, channels, size)?;
    let int8 = quantize(&folded, &tensor, &config.quantize)?;
    Ok(Net {
        name: name.to_owned(),
        onnx: builder::bytes(&graph::int8(&int8)),
        float: builder::bytes(&graph::float(&folded)),
        manifest: export::manifest(&config, name, &Label::ALL, &int8, faces.len()),
        face: faces[0].clone(),
        multiply_accumulates: folded.multiply_accumulates() as f64,
    })
}

/// Median milliseconds of one inference by each of the engines, which take turns.
fn medians(engines: &mut [Box<dyn FnMut() -> anyhow::Result<()> + '_>]) -> anyhow::Result<Vec<f64>> {
    let mut times = vec![Vec::new(); engines.len()];
    for turn in 0..=TURNS {
        for (engine, times) in engines.iter_mut().zip(&mut times) {
            std::thread::sleep(REST);
            let begun = Instant::now();
            while begun.elapsed() < TURN {
                let before = Instant::now();
                engine()?;
                // The first turn warms up.
                if turn > 0 {
                    times.push(before.elapsed());
                }
            }
        }
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e3
    };
    Ok(times.iter_mut().map(median).collect())
}

fn row(net: &Net, environment: &ort::environment::Environment, threads: usize) -> anyhow::Result<String> {
    let ours = Engine::from_bytes(&net.onnx, &net.manifest, EngineOptions { threads, ..EngineOptions::default() })?;
    let stock = Engine::from_bytes(&net.onnx, &net.manifest, EngineOptions { kernel: None, threads: 1 })?;
    let refused = |error: ort::Error| anyhow::anyhow!("onnxruntime: {error}");
    let builder = Session::builder(environment).map_err(refused)?;
    let builder = builder.with_intra_threads(threads).map_err(|error| anyhow::anyhow!("onnxruntime: {error}"))?;
    let mut session = { builder }.commit_from_memory(&net.onnx).map_err(refused)?;
    let mut scores = vec![0; ours.labels().len()];
    let FaceInput { channels, size, .. } = ours.input();
    let tensor = ort::value::Tensor::from_array(([1, channels, size, size], net.face.clone())).map_err(refused)?;
    let mut engines: Vec<Box<dyn FnMut() -> anyhow::Result<()>>> = vec![
        Box::new(|| Ok(ours.integer_scores(&net.face, &mut scores)?)),
        Box::new(|| session.run(ort::inputs![&tensor]).map(drop).map_err(refused)),
    ];
    if threads == 1 {
        engines.push(Box::new(|| Ok(stock.classify(&net.face).map(drop)?)));
    }
    let medians = medians(&mut engines)?;
    let tract = medians.get(2).map_or(["-".to_owned(), "-".to_owned()], |tract| {
        [format!("{tract:.3}"), format!("{:.2}", medians[0] / tract)]
    });
    Ok(format!(
        "| {} | {:.0} | {threads} | {} | {:.3} | {:.3} | {} | **{:.2}** | {} |",
        net.name,
        net.multiply_accumulates / 1e6,
        ours.kernels().join(", "),
        medians[0],
        medians[1],
        tract[0],
        medians[0] / medians[1],
        tract[1]
    ))
}

/// What the system calls its processor.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let [name, family, model] = ["model name", "cpu family", "model\t"].map(|key| value(key).unwrap_or("?".into()));
    format!("{name}, family {family}, model {model}")
}

/// Writes the nets that emulated boards measure, one a folder `edge-SIDE`.
fn write_nets(folder: &Path) -> anyhow::Result<()> {
    for size in [64, 96] {
        let net = fresh(&format!("edge, {size}x{size}"), "edge", size)?;
        let write =
            |name: &str, bytes: &[u8]| files::write_bytes(&folder.join(format!("edge-{size}")).join(name), bytes);
        write(bundle::MANIFEST, toml::to_string(&net.manifest)?.as_bytes())?;
        write(bundle::INT8, &net.onnx)?;
        write(bundle::FLOAT, &net.float)?;
        write("face.u8", &net.face)?;
        write("multiply-accumulates", format!("{:.0}", net.multiply_accumulates).as_bytes())?;
    }
    Ok(())
}

/// Measures our engine beside onnxruntime and stock tract.
#[derive(Parser)]
struct Cli {
    /// Only write the nets that emulated boards measure to this folder.
    #[arg(long, value_name = "DIR")]
    nets: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    if let Some(folder) = Cli::parse().nets {
        return write_nets(&folder);
    }
    let library = assets::folder().join("onnxruntime/libonnxruntime.so");
    let advice =
        |error: &dyn std::fmt::Display| anyhow::anyhow!("{}: {error}; run `cargo xtask setup`", library.display());
    let environment = ort::init_from(&library).map_err(|error| advice(&error))?;
    let environment = environment.build().map_err(|error| advice(&error))?;
    let nets = [
        shipped()?,
        fresh("edge, 64x64", "edge", 64)?,
        fresh("edge, 96x96", "edge", 96)?,
        fresh("paper, 224x224", "paper", 224)?,
    ];
    let mut text = format!(
        "# Benchmarks\n\nOne inference of the same int8 file, batch 1, medians in milliseconds of engines that take turns in one run:\n\
         `cargo xtask bench`. Onnxruntime is the library of its PyPI wheel; stock tract runs on one thread. Processor: {}.\n\n\
         | net | MMAC | threads | kernel | ours | onnxruntime | stock tract | ours / onnxruntime | ours / stock tract |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        processor()
    );
    let most = available_parallelism().map_or(1, usize::from);
    for net in &nets {
        for threads in if most > 1 { vec![1, most] } else { vec![1] } {
            let row = row(net, &environment, threads)?;
            eprintln!("{row}");
            writeln!(text, "{row}")?;
        }
    }
    host_trainer::error::print(text.trim_end())?;
    let page = system_tests::root().join("docs/benchmarks.md");
    // Other programs write the sections behind.
    let old = std::fs::read_to_string(&page).unwrap_or_default();
    text.push_str(old.find("\n## ").map_or("", |sections| &old[sections..]));
    Ok(files::write_bytes(&page, text.as_bytes())?)
}
