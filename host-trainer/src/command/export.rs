//! `host-trainer export`

use std::fs;
use std::path::PathBuf;

use expression_engine::bundle::{self, LowLightGain};
use expression_engine::line::tell;
use expression_engine::{EngineOptions, files, selftest};

use super::output;
use crate::onnx::qdq;
use crate::quantize::graph;

/// File that is written by default.
const OUT: &str = "expression-qdq.onnx";

/// Export a bundle's int8 net in another format, for engines other than edge-runtime.
///
/// qdq: QuantizeLinear and DequantizeLinear around plain operators, for ONNX Runtime's execution providers. On onnxruntime's CPU
/// provider its integer scores differ from the bundle's by at most 1 step. Aligned faces go in as they do on the board: u8
/// [1, channels, size, size]; the labels, the input's scaling and the low-light gain are in the file's metadata. The gain is not in
/// the graph: brighten dark faces before it, as docs/exactness.md describes.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of the bundle.
    #[arg(value_name = "DIR")]
    bundle: PathBuf,
    /// Format to write.
    #[arg(long, value_enum)]
    format: Format,
    /// File to write. By default expression-qdq.onnx in this folder.
    #[arg(long, value_name = "FILE", default_value = OUT)]
    out: PathBuf,
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// QuantizeLinear and DequantizeLinear around plain operators.
    Qdq,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if the bundle is refused or the file cannot be written.
    pub fn run(&self) -> crate::Result<()> {
        let (bundle, engine) = selftest::open(&self.bundle, EngineOptions::default())?;
        let Format::Qdq = self.format;
        let files_there = fs::read_dir(&self.bundle)?.collect::<Result<Vec<_>, _>>()?;
        let parts: Vec<PathBuf> =
            files_there.iter().map(fs::DirEntry::path).filter(|path| !path.ends_with(OUT)).collect();
        // An earlier export may lie in the bundle's folder, and is no part of it.
        output::refuse_overwriting(&self.out, parts.iter().map(PathBuf::as_path))?;
        let manifest = bundle.manifest();
        let bundle::Input { channels, aligned, size } = manifest.input;
        let describe = |model| graph::describe(model, engine.labels(), (channels, aligned, size), manifest.low_light);
        files::write_bytes(&self.out, &qdq::from_int8(&bundle.read(bundle::INT8)?, describe)?)?;
        if let Some(LowLightGain { below, to }) = manifest.low_light {
            tell(format_args!(
                "the bundle brightens faces whose mean is below {below} to the mean {to} before the net, which the file does not: \
                 do so too (docs/exactness.md)"
            ));
        }
        crate::error::print(&self.out.display().to_string())
    }
}
