//! The self-test of a bundle: if this machine's integer scores or labels differ from what the workstation predicted, the bundle is
//! refused. So is a manifest that would read the scores otherwise than the one for which the vectors were made.
//!
//! `models/README.md` states the format of the file.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use expression_core::Label;
use safetensors::tensor::{TensorView, serialize};
use safetensors::{Dtype, SafeTensors};

use crate::bundle::{self, Bundle, BundleError, Input, MANIFEST, Manifest, Output};
use crate::error::{Classify, ErrorKind};
use crate::expression::{self, Engine, EngineError, EngineOptions};
use crate::trust::Trust;

/// The tensor of aligned faces in the self-test file: u8 `[n, channels, size, size]`.
pub const FACES: &str = "faces";
/// The tensor of expected integer scores in the self-test file: u8 `[n, classes]`.
pub const SCORES: &str = "scores";
/// The tensor of expected labels in the self-test file: u8 `[n]`, the class index of [`Label`].
pub const LABELS: &str = "labels";
/// The entry of the self-test file's metadata with all that a manifest says about the reading of scores, as TOML.
pub const SETTINGS: &str = "settings";

/// Why the self-test failed or could not run.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// The bundle was refused.
    #[error("{0}")]
    Bundle(#[from] BundleError),
    /// The net could not be loaded or run.
    #[error("{0}")]
    Engine(#[from] EngineError),
    /// The vectors cannot be read.
    #[error("{SELFTEST}: damaged self-test vectors ({0}); copy the bundle again", SELFTEST = bundle::SELFTEST)]
    Damaged(String),
    /// The vectors were written by an earlier version and carry no labels.
    #[error(
        "{SELFTEST}: written by an earlier version, its vectors carry no labels; check `labels` in {MANIFEST}, then run `host-trainer upgrade DIR`",
        SELFTEST = bundle::SELFTEST
    )]
    WithoutLabels,
    /// The manifest reads the scores otherwise than the one for which the vectors were made.
    #[error(
        "{MANIFEST}: {key} = {found:?}, but the self-test vectors were made for {expected:?}; the manifest was altered, or the vectors belong to another bundle: copy the bundle again"
    )]
    Settings {
        /// The key of the manifest.
        key: &'static str,
        /// What the manifest says.
        found: String,
        /// What the vectors were made for.
        expected: String,
    },
    /// This machine names another label than the workstation predicted.
    #[error("self-test vector {vector}: label {found:?}, the bundle expects {expected:?}; do not use this bundle here")]
    Label {
        /// The number of the vector, from 0.
        vector: usize,
        /// The label that this machine names.
        found: &'static str,
        /// The label in the bundle.
        expected: &'static str,
    },
    /// This machine's scores differ from what the workstation predicted.
    #[error(
        "self-test vector {vector}: scores {found:?}, the bundle expects {expected:?}; do not use this bundle here"
    )]
    Differs {
        /// The number of the vector, from 0.
        vector: usize,
        /// The integer scores of this machine.
        found: Vec<u8>,
        /// The integer scores in the bundle.
        expected: Vec<u8>,
    },
}

impl Classify for SelfTestError {
    fn kind(&self) -> ErrorKind {
        match self {
            SelfTestError::Bundle(error) => error.kind(),
            SelfTestError::Engine(error) => error.kind(),
            SelfTestError::Damaged(_) | SelfTestError::WithoutLabels | SelfTestError::Settings { .. } => {
                ErrorKind::BadInput
            }
            SelfTestError::Label { .. } | SelfTestError::Differs { .. } => ErrorKind::Failure,
        }
    }
}

/// One vector of a self-test: an input with its expected output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vector {
    /// An aligned face, u8 `[channels, size, size]`.
    pub face: Vec<u8>,
    /// The integer scores that every machine must give.
    pub scores: Vec<u8>,
    /// The label that every machine must name.
    pub label: Label,
}

/// Reads the self-test vectors of a bundle.
///
/// # Errors
/// Returns [`SelfTestError::Bundle`] if the file is missing or altered, and the errors of [`vectors_from`].
pub fn vectors(bundle: &Bundle) -> Result<Vec<Vector>, SelfTestError> {
    vectors_from(&bundle.read(bundle::SELFTEST)?, bundle.manifest())
}

/// Reads the vectors from the bytes of a self-test file.
///
/// # Errors
/// Returns [`SelfTestError::WithoutLabels`] if an earlier version wrote the file, [`SelfTestError::Settings`] if it was made for a
/// manifest that reads scores otherwise, and [`SelfTestError::Damaged`] if it holds no usable vectors.
pub fn vectors_from(bytes: &[u8], manifest: &Manifest) -> Result<Vec<Vector>, SelfTestError> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let text = header.metadata().as_ref().and_then(|entries| entries.get(SETTINGS));
    let made_for = text.ok_or(SelfTestError::WithoutLabels)?;
    let mut made_for: BTreeMap<String, String> = toml::from_str(made_for).map_err(|error| damaged(error.message()))?;
    for (key, found) in settings(manifest) {
        let expected = made_for.remove(key).ok_or_else(|| damaged(format!("no {key} in its {SETTINGS}")))?;
        if found != expected {
            return Err(SelfTestError::Settings { key, found, expected });
        }
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let faces = rows(&tensors, FACES, manifest.face_input().len())?;
    let scores = rows(&tensors, SCORES, manifest.labels.len())?;
    let labels = rows(&tensors, LABELS, 1)?;
    if faces.len() != scores.len() || faces.len() != labels.len() {
        let counts = format!("{} faces, {} scores, {} labels", faces.len(), scores.len(), labels.len());
        return Err(damaged(counts));
    }
    let vector = |((face, scores), label): ((Vec<u8>, Vec<u8>), Vec<u8>)| {
        let label = usize::from(label[0]);
        let label = Label::from_index(label).ok_or_else(|| damaged(format!("label {label}")))?;
        Ok(Vector { face, scores, label })
    };
    faces.into_iter().zip(scores).zip(labels).map(vector).collect()
}

/// Returns the bytes of a self-test file. `faces` are aligned faces, u8 `[channels, size, size]`, and `scores` the integer scores
/// that the net gives them, one per label of the manifest.
///
/// # Errors
/// Returns [`SelfTestError::Damaged`] if faces and scores do not fit each other or the manifest.
pub fn file(manifest: &Manifest, faces: &[Vec<u8>], scores: &[Vec<u8>]) -> Result<Vec<u8>, SelfTestError> {
    let set = manifest.label_set().ok_or_else(|| damaged("the manifest has no usable labels"))?;
    let input = manifest.face_input();
    if faces.len() != scores.len()
        || faces.iter().any(|face| face.len() != input.len())
        || scores.iter().any(|scores| scores.len() != set.len())
    {
        return Err(damaged("faces and scores do not fit the manifest"));
    }
    let labels: Vec<u8> = scores.iter().map(|scores| set[expression::class(scores)] as u8).collect();
    let (faces, scores) = (faces.concat(), scores.concat());
    let view = |shape: Vec<usize>, data| TensorView::new(Dtype::U8, shape, data).map_err(damaged);
    let tensors = [
        (FACES, view(vec![labels.len(), input.channels, input.size, input.size], &faces)?),
        (SCORES, view(vec![labels.len(), set.len()], &scores)?),
        (LABELS, view(vec![labels.len()], &labels)?),
    ];
    let settings = toml::to_string(&BTreeMap::from(settings(manifest))).map_err(damaged)?;
    // One entry: a map of several is written in any order, and the same net must give the same file.
    serialize(tensors, Some(HashMap::from([(SETTINGS.to_owned(), settings)]))).map_err(damaged)
}

/// Returns the self-test file that replaces one without labels, written by an earlier version: the same faces and scores, with the
/// labels and settings of the manifest.
///
/// # Errors
/// Returns [`SelfTestError::Damaged`] if the bytes hold no usable vectors for this manifest.
pub fn with_labels(bytes: &[u8], manifest: &Manifest) -> Result<Vec<u8>, SelfTestError> {
    let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let faces = rows(&tensors, FACES, manifest.face_input().len())?;
    file(manifest, &faces, &rows(&tensors, SCORES, manifest.labels.len())?)
}

/// All that changes an answer besides the net, by key of the manifest.
fn settings(manifest: &Manifest) -> [(&'static str, String); 4] {
    let Input { channels, aligned, size } = manifest.input;
    let Output { scale, zero_point } = manifest.output;
    // Labels under the names of their records: the manifest may say "angry" for "anger".
    let labels = manifest.label_set().map(|set| set.iter().map(|label| label.name()).collect::<Vec<_>>().join(", "));
    [
        ("labels", labels.unwrap_or_default()),
        ("input", format!("channels {channels}, aligned {aligned}, size {size}")),
        ("output", format!("scale {scale}, zero_point {zero_point}")),
        ("confidence", manifest.confidence.map_or("none".into(), |confidence| format!("least {}", confidence.least))),
    ]
}

/// The rows of a u8 tensor, `length` bytes each.
fn rows(tensors: &SafeTensors, name: &str, length: usize) -> Result<Vec<Vec<u8>>, SelfTestError> {
    let tensor = tensors.tensor(name).map_err(damaged)?;
    if tensor.dtype() != Dtype::U8 || tensor.data().is_empty() || tensor.data().len() % length != 0 {
        return Err(damaged(format!("tensor {name} of shape {:?}", tensor.shape())));
    }
    Ok(tensor.data().chunks_exact(length).map(<[u8]>::to_vec).collect())
}

fn damaged(reason: impl ToString) -> SelfTestError {
    SelfTestError::Damaged(reason.to_string().replace('\n', " "))
}

/// Opens a bundle, whoever signed it: verifies each file, loads the net, and replays the self-test.
///
/// # Errors
/// Returns [`SelfTestError`] if the bundle, its graph or its self-test is refused.
pub fn open(folder: &Path, options: EngineOptions) -> Result<(Bundle, Engine), SelfTestError> {
    open_trusted(folder, options, &Trust::default())
}

/// Opens a bundle as every command of a board does: as [`open`], after its signature was verified.
///
/// # Errors
/// Returns [`SelfTestError`] if the bundle is not to be trusted, or if it, its graph or its self-test is refused.
pub fn open_trusted(folder: &Path, options: EngineOptions, trust: &Trust) -> Result<(Bundle, Engine), SelfTestError> {
    let bundle = Bundle::open_trusted(folder, trust)?;
    bundle.verify()?;
    let engine = Engine::open(&bundle, options)?;
    replay(&bundle, &engine)?;
    Ok((bundle, engine))
}

/// Replays every vector on `engine` and returns their number.
///
/// # Errors
/// Returns [`SelfTestError::Differs`] or [`SelfTestError::Label`] at the first vector to which this machine gives other scores or
/// another label, or another [`SelfTestError`] if the vectors cannot be replayed.
pub fn replay(bundle: &Bundle, engine: &Engine) -> Result<usize, SelfTestError> {
    let vectors = vectors(bundle)?;
    for (vector, Vector { face, scores: expected, label }) in vectors.iter().enumerate() {
        let scores = engine.classify(face)?;
        if scores.integer != *expected {
            return Err(SelfTestError::Differs { vector, found: scores.integer, expected: expected.clone() });
        }
        let found = engine.labels()[scores.class];
        if found != *label {
            return Err(SelfTestError::Label { vector, found: found.name(), expected: label.name() });
        }
    }
    Ok(vectors.len())
}
