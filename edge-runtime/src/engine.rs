//! The expression net on tract.

use expression_core::{FaceInput, Label, LabelSet};
use tract_onnx::prelude::*;

use crate::bundle::{self, Bundle, BundleError, Manifest, Output};

/// The node of the int8 graph that holds the integer scores; `DequantizeLinear` follows it.
pub const INTEGER_SCORES: &str = "scores_u8";

/// Why a net could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The bundle was refused.
    #[error("{0}")]
    Bundle(#[from] BundleError),
    /// tract refused the graph.
    #[error("{file}: tract cannot run this graph ({reason}); export the bundle again")]
    Graph {
        /// The graph.
        file: &'static str,
        /// What tract said.
        reason: String,
    },
    /// A face of the wrong length.
    #[error("an aligned face has {expected} bytes, not {found}")]
    Face {
        /// Bytes expected.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
}

/// What the int8 net says of one aligned face.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// One integer a class: the output of the int8 graph before it is dequantised.
    pub integer: Vec<u8>,
    /// Softmax of the dequantised scores.
    pub probability: Vec<f32>,
    /// The class with the highest integer score; the first of equals.
    pub class: usize,
}

impl Scores {
    /// Reads integer scores by the quantisation of their bundle.
    pub fn from_integer(integer: Vec<u8>, output: Output) -> Scores {
        let top = integer.iter().copied().max().unwrap_or(0);
        let weights: Vec<f32> =
            integer.iter().map(|score| (output.scale * (f32::from(*score) - f32::from(top))).exp()).collect();
        let sum: f32 = weights.iter().sum();
        let class = integer.iter().position(|score| *score == top).unwrap_or(0);
        Scores { probability: weights.iter().map(|weight| weight / sum).collect(), integer, class }
    }
}

/// The int8 net of a bundle, ready to run.
pub struct Engine {
    plan: Arc<TypedRunnableModel>,
    input: FaceInput,
    output: Output,
    labels: LabelSet,
}

impl Engine {
    /// Loads the int8 graph of `bundle`.
    ///
    /// # Errors
    /// [`EngineError::Bundle`] where the file is missing or altered, [`EngineError::Graph`] where tract refuses it.
    pub fn open(bundle: &Bundle) -> Result<Engine, EngineError> {
        Self::from_bytes(&bundle.read(bundle::INT8)?, bundle.manifest())
    }

    /// Loads an int8 graph from the bytes of its ONNX file.
    ///
    /// # Errors
    /// [`EngineError::Graph`] where tract refuses it.
    pub fn from_bytes(onnx: &[u8], manifest: &Manifest) -> Result<Engine, EngineError> {
        let plan = plan(onnx, Some(INTEGER_SCORES)).map_err(|error| graph_error(bundle::INT8, &error))?;
        let labels = manifest
            .label_set()
            .ok_or_else(|| graph_error(bundle::INT8, &anyhow::anyhow!("the manifest has no usable labels")))?;
        Ok(Engine { plan, input: manifest.face_input(), output: manifest.output, labels })
    }

    /// The geometry of the aligned face.
    pub fn input(&self) -> FaceInput {
        self.input
    }

    /// The labels in the order of the scores.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// Classifies one aligned face: u8 `[channels, size, size]`.
    ///
    /// # Errors
    /// [`EngineError::Face`] for another length, [`EngineError::Graph`] where tract fails.
    pub fn classify(&self, face: &[u8]) -> Result<Scores, EngineError> {
        let FaceInput { channels, size, .. } = self.input;
        if face.len() != self.input.len() {
            return Err(EngineError::Face { expected: self.input.len(), found: face.len() });
        }
        let integer = Tensor::from_shape(&[1, channels, size, size], face)
            .and_then(|tensor| self.plan.run(tvec!(tensor.into())))
            .and_then(|outputs| integers(&outputs[0]))
            .map_err(|error| graph_error(bundle::INT8, &error))?;
        if integer.len() != self.labels.len() {
            let error = anyhow::anyhow!("{} scores for {} labels", integer.len(), self.labels.len());
            return Err(graph_error(bundle::INT8, &error));
        }
        Ok(Scores::from_integer(integer, self.output))
    }

    /// The operators of the optimised graph in the order they run, for instance `OptMatMul`.
    pub fn operators(&self) -> Vec<String> {
        let model = self.plan.model();
        let order = model.eval_order().unwrap_or_default();
        order.into_iter().map(|id| model.nodes()[id].op().name().into_owned()).collect()
    }

    /// The kernels that tract chose for this processor, without repeats: what its matrix products say of themselves.
    pub fn kernels(&self) -> Vec<String> {
        let mut kernels = Vec::new();
        for node in self.plan.model().nodes().iter().filter(|node| node.op().name() == "OptMatMul") {
            let info = node.op().info().unwrap_or_default();
            kernels.extend(info.iter().filter_map(|line| line.split_once(" with ")).map(|(_, name)| name.to_owned()));
        }
        kernels.sort();
        kernels.dedup();
        kernels
    }
}

/// The float net, for the parity of libtorch and tract.
pub struct FloatEngine {
    plan: Arc<TypedRunnableModel>,
    input: FaceInput,
}

impl FloatEngine {
    /// Loads a float graph from the bytes of its ONNX file. Its input is the aligned face as f32 in `0..=255`.
    ///
    /// # Errors
    /// [`EngineError::Graph`] where tract refuses it.
    pub fn from_bytes(onnx: &[u8], input: FaceInput) -> Result<FloatEngine, EngineError> {
        let plan = plan(onnx, None).map_err(|error| graph_error(bundle::FLOAT, &error))?;
        Ok(FloatEngine { plan, input })
    }

    /// The logits of one aligned face: u8 `[channels, size, size]`.
    ///
    /// # Errors
    /// [`EngineError::Face`] for another length, [`EngineError::Graph`] where tract fails.
    pub fn logits(&self, face: &[u8]) -> Result<Vec<f32>, EngineError> {
        let FaceInput { channels, size, .. } = self.input;
        if face.len() != self.input.len() {
            return Err(EngineError::Face { expected: self.input.len(), found: face.len() });
        }
        let face: Vec<f32> = face.iter().map(|byte| f32::from(*byte)).collect();
        Tensor::from_shape(&[1, channels, size, size], &face)
            .and_then(|tensor| self.plan.run(tvec!(tensor.into())))
            .and_then(|outputs| Ok(outputs[0].to_plain_array_view::<f32>()?.iter().copied().collect()))
            .map_err(|error| graph_error(bundle::FLOAT, &error))
    }
}

fn plan(onnx: &[u8], output: Option<&str>) -> TractResult<Arc<TypedRunnableModel>> {
    let mut model = tract_onnx::onnx().model_for_read(&mut &onnx[..])?;
    if let Some(output) = output {
        model = model.with_outputs_by_name([output])?;
    }
    model.into_optimized()?.into_runnable()
}

fn integers(value: &TValue) -> TractResult<Vec<u8>> {
    // tract types the tensor as quantised u8; the bytes are what counts.
    let plain = value.cast_to_dt(value.datum_type().unquantized())?;
    Ok(plain.to_plain_array_view::<u8>()?.iter().copied().collect())
}

fn graph_error(file: &'static str, error: &TractError) -> EngineError {
    EngineError::Graph { file, reason: format!("{error:#}").replace('\n', " ") }
}
