//! Writes the seeds of the targets to `seeds/`: the smallest inputs that are right.

use std::fs;
use std::io;
use std::path::Path;

use fuzz::{BETWEEN, graphs};
use safetensors::tensor::{Dtype, TensorView, serialize};

fn main() -> io::Result<()> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(seeds.join(target))?;
        fs::write(seeds.join(target).join(name), bytes)
    };
    write("onnx", "int8", &graphs::bytes(&graphs::int8()))?;
    write("onnx", "float", &graphs::bytes(&graphs::float()))?;
    write("detector", "detector", &graphs::bytes(&graphs::detector()))?;
    let manifest = toml::to_string(&graphs::manifest()).map_err(io::Error::other)?;
    let (face, scores) = ([77; graphs::SIDE * graphs::SIDE], [3, 4]);
    let view = |shape: &[usize], data| TensorView::new(Dtype::U8, shape.to_vec(), data).map_err(io::Error::other);
    let faces = view(&[1, 1, graphs::SIDE, graphs::SIDE], &face[..])?;
    let scores = view(&[1, 2], &scores[..])?;
    let vectors = serialize([("faces", faces), ("scores", scores)], None).map_err(io::Error::other)?;
    write("bundle", "bundle", &[manifest.as_bytes(), BETWEEN, &vectors].concat())
}
