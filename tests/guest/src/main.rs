//! Runs one engine on one net some times and says how long an inference took: what an emulated board measures.
//!
//! A machine emulated with `-icount shift=0` executes one instruction a nanosecond of its own clock, so that the nanoseconds are
//! instructions. Knows neither torch nor the host's data, so that it is cross-built without them.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, anyhow, bail};
use clap::{Parser, ValueEnum};
use expression_core::FaceInput;
use expression_engine::{Engine, EngineOptions, Error, FloatEngine, Manifest, bundle, error};
use ort::session::Session;
use ort::value::Tensor;

/// Runs one engine on one net and prints `ENGINE NET NANOSECONDS KERNELS SCORES`, the nanoseconds of one inference.
#[derive(Parser)]
struct Cli {
    /// Folder of the net: manifest.toml, expression.onnx, expression-f32.onnx and face.u8, an aligned face.
    net: PathBuf,
    /// What runs it.
    engine: Kind,
    /// How many inferences are measured, after one that warms up.
    #[arg(long, default_value_t = 5)]
    count: u32,
    /// onnxruntime's library.
    #[arg(long, default_value = "/lib/libonnxruntime.so")]
    library: PathBuf,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Kind {
    Ours,
    TractFloat,
    TractInt8,
    OnnxruntimeFloat,
    OnnxruntimeInt8,
}

/// One inference: the scores, as text.
type Run<'a> = Box<dyn FnMut() -> anyhow::Result<String> + 'a>;

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    error::finish(|| measure(&cli).map_err(Error::failure))
}

fn measure(cli: &Cli) -> anyhow::Result<()> {
    let read = |name: &str| expression_engine::files::read(&cli.net.join(name));
    let manifest: Manifest = toml::from_str(&String::from_utf8(read(bundle::MANIFEST)?)?)?;
    let face = read("face.u8")?;
    let float = matches!(cli.engine, Kind::TractFloat | Kind::OnnxruntimeFloat);
    let onnx = read(if float { bundle::FLOAT } else { bundle::INT8 })?;
    let mut kernels = Vec::new();
    let mut run: Run = match cli.engine {
        Kind::Ours | Kind::TractInt8 => {
            let options = match cli.engine {
                Kind::Ours => EngineOptions::default(),
                _ => EngineOptions { kernel: None, threads: 1 },
            };
            let engine = Engine::from_bytes(&onnx, &manifest, options)?;
            kernels = engine.kernels();
            let mut scores = vec![0; engine.labels().len()];
            Box::new(move || {
                engine.integer_scores(&face, &mut scores)?;
                Ok(format!("{scores:?}"))
            })
        }
        Kind::TractFloat => {
            let engine = FloatEngine::from_bytes(&onnx, manifest.face_input())?;
            Box::new(move || Ok(format!("{:.2?}", engine.logits(&face)?)))
        }
        Kind::OnnxruntimeFloat | Kind::OnnxruntimeInt8 => onnxruntime(&cli.library, &onnx, &manifest, face, float)?,
    };
    let scores = run()?;
    let begun = Instant::now();
    for _ in 0..cli.count {
        run()?;
    }
    let each = begun.elapsed().as_nanos() / u128::from(cli.count.max(1));
    let name = cli.engine.to_possible_value().context("a named engine")?;
    let net = cli.net.file_name().unwrap_or_default().display();
    let kernels = if kernels.is_empty() { "-".to_owned() } else { kernels.join("+") };
    Ok(error::print(&format!("{} {net} {each} {kernels} {}", name.get_name(), scores.replace(' ', "")))?)
}

/// A session on one thread.
fn onnxruntime(
    library: &Path,
    onnx: &[u8],
    manifest: &Manifest,
    face: Vec<u8>,
    float: bool,
) -> anyhow::Result<Run<'static>> {
    fn refused(error: impl std::fmt::Display) -> anyhow::Error {
        anyhow!("onnxruntime: {error}")
    }
    let environment = ort::init_from(library).map_err(refused)?.build().map_err(refused)?;
    let builder = Session::builder(&environment).map_err(refused)?;
    let mut builder = builder.with_intra_threads(1).map_err(refused)?;
    let mut session = builder.commit_from_memory(onnx).map_err(refused)?;
    let FaceInput { channels, size, .. } = manifest.face_input();
    let shape = [1, channels, size, size];
    if face.len() != channels * size * size {
        bail!("the face has {} bytes, not those of {shape:?}", face.len());
    }
    let tensor = match float {
        true => Tensor::from_array((shape, face.into_iter().map(f32::from).collect::<Vec<_>>()))
            .map_err(refused)?
            .into_dyn(),
        false => Tensor::from_array((shape, face)).map_err(refused)?.into_dyn(),
    };
    Ok(Box::new(move || {
        let outputs = session.run(ort::inputs![&tensor]).map_err(refused)?;
        let (_, logits) = outputs[0].try_extract_tensor::<f32>().map_err(refused)?;
        Ok(format!("{logits:.2?}"))
    }))
}
