//! `bench-nets`: writes the nets that `cargo xtask bench` measures, each to a folder of its own.

use std::path::{Path, PathBuf};

use clap::Parser;
use expression_core::{FaceInput, Label};
use expression_engine::{Bundle, Engine, EngineOptions, Manifest, bundle, files, selftest};
use host_trainer::config::Config;
use host_trainer::export;
use host_trainer::net::{ExpressionNet, expression_net};
use host_trainer::onnx::builder;
use host_trainer::quantize::{FloatNet, graph, quantize};
use tch::{Device, Kind, Tensor};

/// Nets with random weights: folder, preset and side of the face. How fast a net is does not depend on its weights.
const FRESH: [(&str, &str, usize); 3] = [("edge64", "edge", 64), ("edge96", "edge", 96), ("paper224", "paper", 224)];
/// The folder of the shipped bundle's net.
const SHIPPED: &str = "fer48";
/// Faces in `faces.u8`.
const FACES: usize = 4;

/// Writes the shipped net and nets with random weights, as peers read them.
///
/// Each folder gets manifest.toml, expression.onnx, for random weights expression-f32.onnx, faces.u8, shape (of a face) and
/// multiply-accumulates (per face).
#[derive(Parser)]
struct Cli {
    /// The folder of all nets.
    folder: PathBuf,
}

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    expression_engine::error::finish(|| write_nets(&cli.folder).map_err(expression_engine::Error::failure))
}

fn write_nets(folder: &Path) -> anyhow::Result<()> {
    let shipped = Bundle::open(&system_tests::root().join("models/ferplus-edge"))?;
    let manifest = shipped.manifest();
    let vectors = selftest::vectors(&shipped)?;
    let faces: Vec<Vec<u8>> = vectors.into_iter().take(FACES).map(|vector| vector.face).collect();
    let count = manifest.metrics["multiply_accumulates"];
    write(&folder.join(SHIPPED), manifest, &shipped.read(bundle::INT8)?, &faces, count)?;
    for (name, preset, size) in FRESH {
        let mut config = Config::preset(preset)?;
        config.net.size = size;
        config.net.aligned = config.net.aligned.max(size);
        let FaceInput { channels, .. } = config.face_input();
        let faces = export::self_test_faces(config.face_input(), 5)?;
        let shape = [faces.len(), channels, size, size].map(|side| side as i64);
        let tensor = Tensor::from_data_size(&faces.concat(), &shape, Kind::Uint8);
        tch::manual_seed(11);
        let net = ExpressionNet::new(&config.net, 512, Label::COUNT as i64, Kind::Float, Device::Cpu);
        // Batch norm sees some faces.
        let _ = tch::no_grad(|| net.logits(&expression_net::normalised(&tensor), true));
        let folded = FloatNet::fold(&net, channels, size)?;
        let int8 = quantize(&folded, &tensor, &config.quantize)?;
        let manifest = export::manifest(&config, name, &Label::ALL, &int8, faces.len());
        let onnx = builder::bytes(&graph::int8(&int8));
        let place = folder.join(name);
        write(&place, &manifest, &onnx, &faces[..FACES], folded.multiply_accumulates() as f64)?;
        files::write_bytes(&place.join(bundle::FLOAT), &builder::bytes(&graph::float(&folded)))?;
    }
    Ok(())
}

fn write(folder: &Path, manifest: &Manifest, onnx: &[u8], faces: &[Vec<u8>], count: f64) -> anyhow::Result<()> {
    let engine = Engine::from_bytes(onnx, manifest, EngineOptions::default())?;
    // Other engines do not brighten dark faces.
    let faces: Vec<u8> = faces.iter().flat_map(|face| engine.seen(face).into_owned()).collect();
    let FaceInput { channels, size, .. } = manifest.face_input();
    let write = |name: &str, bytes: &[u8]| files::write_bytes(&folder.join(name), bytes);
    write(bundle::MANIFEST, toml::to_string(manifest)?.as_bytes())?;
    write(bundle::INT8, onnx)?;
    write("faces.u8", &faces)?;
    write("shape", format!("{channels} {size} {size}").as_bytes())?;
    Ok(write("multiply-accumulates", format!("{count:.0}").as_bytes())?)
}
