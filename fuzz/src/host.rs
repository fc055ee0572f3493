//! What the workstation's program reads: data sets, checkpoints, graphs of other programs, presets.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::LazyLock;
use std::{fs, io};

use host_trainer::config::Config;
use host_trainer::dataset::{ClassNames, Split, fer2013, ferplus, tfd};
use host_trainer::onnx::tfjs::Graph;
use host_trainer::train::checkpoint::Checkpoint;

use crate::BETWEEN;

/// Where files are written for a moment.
static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fn put(name: &str, bytes: &[u8]) -> PathBuf {
    let path = FOLDER.path().join(name);
    fs::write(&path, bytes).expect("a file can be written");
    path
}

/// An error is one line.
fn told<T, E: std::fmt::Display>(result: Result<T, E>) -> Option<T> {
    result.inspect_err(|error| assert!(!error.to_string().is_empty())).ok()
}

/// Reads a MATLAB file as the Toronto Face Database.
pub fn mat(bytes: &[u8]) {
    if let Some(set) = told(tfd::collect(&put("TFD_48x48.mat", bytes))) {
        assert!(set.folds.len() <= 5);
    }
}

/// Reads the table of FER2013.
pub fn fer2013(bytes: &[u8]) {
    if let Some(Some(part)) = told(fer2013::part(&put("fer2013.csv", bytes), Split::Train)) {
        for sample in part.samples {
            assert_eq!(sample.picture.data.len(), sample.picture.width * sample.picture.height);
        }
    }
}

/// Reads the votes of FER+, over a folder with one picture.
pub fn ferplus(bytes: &[u8]) {
    static PICTURES: LazyLock<io::Result<()>> = LazyLock::new(|| {
        let folder = FOLDER.path().join("data/FER2013Valid");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("fer0.png"), crate::seeds::picture(image::ImageFormat::Png)?)
    });
    PICTURES.as_ref().expect("a picture can be written");
    put("fer2013new.csv", bytes);
    if let Some(part) = told(ferplus::part(FOLDER.path(), Split::Valid)) {
        for sample in part.samples {
            let sum: f32 = sample.distribution.iter().sum();
            assert!((sum - 1.0).abs() < 1e-5, "{:?}", sample.distribution);
        }
    }
}

/// Reads a checkpoint.
pub fn checkpoint(bytes: &[u8]) {
    if let Some(Some(checkpoint)) = told(Checkpoint::open(&put("checkpoint.safetensors", bytes))) {
        let _ = told(checkpoint.of_owner("owner"));
    }
}

/// Reads a graph of TensorFlow.js; its tensors stand behind a line of dashes.
pub fn tfjs(bytes: &[u8]) {
    let at = bytes.windows(BETWEEN.len()).position(|window| window == BETWEEN).unwrap_or(bytes.len());
    let tensors = bytes.get(at + BETWEEN.len()..).unwrap_or_default();
    let Some(graph) = told(Graph::parse(Path::new("fuzz"), &bytes[..at], |_| Ok(tensors.to_vec()))) else { return };
    for node in &graph.nodes {
        let _ = (node.text("padding"), node.texts("fused_ops"), node.integers("strides"), node.number("epsilon"));
        node.inputs.iter().for_each(|input| drop(graph.weight(input)));
    }
}

/// Reads a preset.
pub fn preset(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    told(Config::parse(text));
}

/// Reads names of classes.
pub fn classes(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // What names no pairs is the name of a file.
    if text.contains('=') {
        told(ClassNames::from_str(text));
    }
}
