//! The self-test of a bundle: if this machine's integer scores differ from what the workstation predicted, the bundle is refused.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use crate::bundle::{self, Bundle, BundleError, Manifest};
use crate::error::{Classify, ErrorKind};
use crate::expression::{Engine, EngineError, EngineOptions};

/// The tensor of aligned faces in the self-test file: u8 `[n, channels, size, size]`.
pub const FACES: &str = "faces";
/// The tensor of expected integer scores in the self-test file: u8 `[n, classes]`.
pub const SCORES: &str = "scores";

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
            SelfTestError::Damaged(_) => ErrorKind::BadInput,
            SelfTestError::Differs { .. } => ErrorKind::Failure,
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
}

/// Reads the self-test vectors of a bundle.
///
/// # Errors
/// Returns [`SelfTestError::Bundle`] if the file is missing or altered, and [`SelfTestError::Damaged`] if it holds no usable
/// vectors.
pub fn vectors(bundle: &Bundle) -> Result<Vec<Vector>, SelfTestError> {
    vectors_from(&bundle.read(bundle::SELFTEST)?, bundle.manifest())
}

/// Reads the vectors from the bytes of a self-test file.
///
/// # Errors
/// Returns [`SelfTestError::Damaged`] if the bytes hold no usable vectors for this manifest.
pub fn vectors_from(bytes: &[u8], manifest: &Manifest) -> Result<Vec<Vector>, SelfTestError> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| SelfTestError::Damaged(error.to_string()))?;
    let rows = |name: &str, length: usize| {
        let tensor = tensors.tensor(name).map_err(|error| SelfTestError::Damaged(error.to_string()))?;
        if tensor.dtype() != Dtype::U8 || tensor.data().is_empty() || tensor.data().len() % length != 0 {
            return Err(SelfTestError::Damaged(format!("tensor {name} of shape {:?}", tensor.shape())));
        }
        Ok(tensor.data().chunks_exact(length).map(<[u8]>::to_vec).collect::<Vec<_>>())
    };
    let faces = rows(FACES, manifest.face_input().len())?;
    let scores = rows(SCORES, manifest.labels.len())?;
    if faces.len() != scores.len() {
        return Err(SelfTestError::Damaged(format!("{} faces, {} scores", faces.len(), scores.len())));
    }
    Ok(faces.into_iter().zip(scores).map(|(face, scores)| Vector { face, scores }).collect())
}

/// Opens a bundle as every command does: verifies each file, loads the net, and replays the self-test.
///
/// # Errors
/// Returns [`SelfTestError`] if the bundle, its graph or its self-test is refused.
pub fn open(folder: &Path, options: EngineOptions) -> Result<(Bundle, Engine), SelfTestError> {
    let bundle = Bundle::open(folder)?;
    bundle.verify()?;
    let engine = Engine::open(&bundle, options)?;
    replay(&bundle, &engine)?;
    Ok((bundle, engine))
}

/// Replays every vector on `engine` and returns their number.
///
/// # Errors
/// Returns [`SelfTestError::Differs`] at the first vector whose scores differ, or another [`SelfTestError`] if the vectors cannot be
/// replayed.
pub fn replay(bundle: &Bundle, engine: &Engine) -> Result<usize, SelfTestError> {
    let vectors = vectors(bundle)?;
    for (vector, Vector { face, scores: expected }) in vectors.iter().enumerate() {
        let found = engine.classify(face)?.integer;
        if found != *expected {
            return Err(SelfTestError::Differs { vector, found, expected: expected.clone() });
        }
    }
    Ok(vectors.len())
}
