//! The expression net: tract reads its graph, our kernels run its chains of quantised layers.

mod fused;
mod fusion;

use anyhow::{Context, ensure};
use expression_core::smooth::{ONE, Softmax};
use expression_core::{FaceInput, Label, LabelSet};
use expression_kernels::{Kernel, PlanError, Threads, kernel};
use tract_onnx::prelude::*;

use fused::{Fused, FusedChain};
pub use fusion::NotFused;

use crate::bundle::{self, Bundle, BundleError, Manifest, Output};
use crate::error::{Classify, ErrorKind};
use crate::graph::{self, Checked, Kind};

/// The node of the int8 graph that holds the integer scores; `DequantizeLinear` follows it.
pub const INTEGER_SCORES: &str = "scores_u8";

/// Why a net could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The bundle was refused.
    #[error("{0}")]
    Bundle(#[from] BundleError),
    /// The graph was refused, by [`crate::graph`] or by tract.
    #[error("{file}: this graph cannot be run ({reason}); export the bundle again")]
    Graph {
        /// The graph.
        file: &'static str,
        /// Why.
        reason: String,
    },
    /// The threads that were asked for cannot be had.
    #[error("{0}; ask for fewer")]
    Threads(PlanError),
    /// A face of the wrong length.
    #[error("an aligned face has {expected} bytes, not {found}")]
    Face {
        /// Bytes expected.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
}

impl Classify for EngineError {
    fn kind(&self) -> ErrorKind {
        match self {
            EngineError::Bundle(error) => error.kind(),
            EngineError::Graph { .. } => ErrorKind::BadInput,
            EngineError::Threads(_) | EngineError::Face { .. } => ErrorKind::Failure,
        }
    }
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
        Scores::with_softmax(integer, &Softmax::new(output.scale))
    }

    /// Reads integer scores by the softmax of their bundle.
    pub fn with_softmax(integer: Vec<u8>, softmax: &Softmax) -> Scores {
        let top = integer.iter().copied().max().unwrap_or(0);
        let class = integer.iter().position(|score| *score == top).unwrap_or(0);
        let probability = softmax.probabilities(&integer).map(|value| value as f32 / ONE as f32);
        Scores { probability: probability[..integer.len().min(probability.len())].to_vec(), integer, class }
    }
}

/// How an engine runs.
#[derive(Clone, Copy)]
pub struct EngineOptions {
    /// The kernel that runs chains of quantised layers; `None` leaves everything to stock tract.
    pub kernel: Option<&'static dyn Kernel>,
    /// Threads that share one inference. They change no bit of its result.
    pub threads: usize,
}

impl Default for EngineOptions {
    /// The best kernel for this processor, one thread.
    fn default() -> EngineOptions {
        EngineOptions { kernel: Some(kernel::best()), threads: 1 }
    }
}

/// The int8 net of a bundle, ready to run.
pub struct Engine {
    plan: Arc<TypedRunnableModel>,
    /// The whole net, where it is a single chain: it runs without tract.
    whole: Option<Arc<Fused>>,
    not_fused: Vec<NotFused>,
    input: FaceInput,
    softmax: Softmax,
    labels: LabelSet,
}

impl Engine {
    /// Loads the int8 graph of `bundle`.
    ///
    /// # Errors
    /// [`EngineError::Bundle`] where the file is missing or altered, [`EngineError::Graph`] where it cannot be run.
    pub fn open(bundle: &Bundle, options: EngineOptions) -> Result<Engine, EngineError> {
        Self::from_bytes(&bundle.read(bundle::INT8)?, bundle.manifest(), options)
    }

    /// Loads an int8 graph from the bytes of its ONNX file.
    ///
    /// # Errors
    /// [`EngineError::Graph`] where it cannot be run, [`EngineError::Threads`] where the threads cannot be had.
    pub fn from_bytes(onnx: &[u8], manifest: &Manifest, options: EngineOptions) -> Result<Engine, EngineError> {
        let threads = Arc::new(Threads::new(options.threads).map_err(EngineError::Threads)?);
        let refused = |error: &TractError| graph_error(bundle::INT8, error);
        let labels = manifest
            .label_set()
            .ok_or_else(|| graph_error(bundle::INT8, &anyhow::anyhow!("the manifest has no usable labels")))?;
        let input = manifest.face_input();
        let load = || {
            let checked = read(onnx, input, Kind::Uint8)?;
            let scores = checked.value(INTEGER_SCORES).context("it makes no integer scores")?;
            ensure!(scores.kind == Kind::Uint8, "its integer scores are not u8");
            ensure!(scores.count() == labels.len(), "{} scores for {} labels", scores.count(), labels.len());
            typed(&checked, Some(INTEGER_SCORES))
        };
        let mut model = guarded(load).map_err(|error| refused(&error))?;
        let mut not_fused = Vec::new();
        if let Some(kernel) = options.kernel {
            not_fused = guarded(|| fusion::fuse(&mut model, kernel, &threads)).map_err(|error| refused(&error))?;
        }
        let plan = guarded(|| model.into_optimized()?.into_runnable()).map_err(|error| refused(&error))?;
        let whole = whole(plan.model()).filter(|fused| {
            let (from, to) = (fused.chain().input(), fused.chain().output());
            from.len() == input.len() && to.len() == labels.len()
        });
        Ok(Engine { plan, whole, not_fused, input, softmax: Softmax::new(manifest.output.scale), labels })
    }

    /// The geometry of the aligned face.
    pub fn input(&self) -> FaceInput {
        self.input
    }

    /// The labels in the order of the scores.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The softmax of the integer scores.
    pub fn softmax(&self) -> &Softmax {
        &self.softmax
    }

    /// Classifies one aligned face: u8 `[channels, size, size]`.
    ///
    /// # Errors
    /// As [`Engine::integer_scores`].
    pub fn classify(&self, face: &[u8]) -> Result<Scores, EngineError> {
        let mut integer = vec![0; self.labels.len()];
        self.integer_scores(face, &mut integer)?;
        Ok(Scores::with_softmax(integer, &self.softmax))
    }

    /// The integer scores of one aligned face, u8 `[channels, size, size]`, one a label. A net that is a single chain
    /// allocates nothing here.
    ///
    /// # Errors
    /// [`EngineError::Face`] for another length, [`EngineError::Graph`] where tract fails or gives other scores than labels.
    pub fn integer_scores(&self, face: &[u8], scores: &mut [u8]) -> Result<(), EngineError> {
        let FaceInput { channels, size, .. } = self.input;
        if face.len() != self.input.len() {
            return Err(EngineError::Face { expected: self.input.len(), found: face.len() });
        }
        let other = |found: usize| {
            graph_error(bundle::INT8, &anyhow::anyhow!("{found} scores for {} labels", self.labels.len()))
        };
        if scores.len() != self.labels.len() {
            return Err(other(scores.len()));
        }
        if let Some(whole) = &self.whole {
            whole.run(face, scores);
            return Ok(());
        }
        let integer = Tensor::from_shape(&[1, channels, size, size], face)
            .and_then(|tensor| self.plan.run(tvec!(tensor.into())))
            .and_then(|outputs| integers(&outputs[0]))
            .map_err(|error| graph_error(bundle::INT8, &error))?;
        if integer.len() != scores.len() {
            return Err(other(integer.len()));
        }
        scores.copy_from_slice(&integer);
        Ok(())
    }

    /// The operators of the optimised graph in the order they run, for instance `FusedChain`.
    pub fn operators(&self) -> Vec<String> {
        let model = self.plan.model();
        let order = model.eval_order().unwrap_or_default();
        order.into_iter().map(|id| model.nodes()[id].op().name().into_owned()).collect()
    }

    /// The nodes that stock tract runs, and why.
    pub fn not_fused(&self) -> &[NotFused] {
        &self.not_fused
    }

    /// The kernels chosen for this processor, without repeats: those of fused chains, and what tract's matrix products say of
    /// themselves.
    pub fn kernels(&self) -> Vec<String> {
        let mut kernels = Vec::new();
        for node in self.plan.model().nodes() {
            if let Some(operator) = node.op_as::<FusedChain>() {
                kernels.push(operator.fused.chain().kernel().name().to_owned());
            } else if node.op().name() == "OptMatMul" {
                let info = node.op().info().unwrap_or_default();
                kernels
                    .extend(info.iter().filter_map(|line| line.split_once(" with ")).map(|(_, name)| name.to_owned()));
            }
        }
        kernels.sort();
        kernels.dedup();
        kernels
    }
}

/// The chain that a graph is, where it is nothing else.
fn whole(model: &TypedModel) -> Option<Arc<Fused>> {
    let [input, output] = [model.input_outlets().ok()?, model.output_outlets().ok()?];
    let ([input], [output]) = (input, output) else { return None };
    let node = model.node(output.node);
    let operator = node.op_as::<FusedChain>()?;
    (node.inputs[..] == [*input]).then(|| Arc::clone(&operator.fused))
}

/// Runs what reads a graph from outside: a panic inside tract becomes an error.
pub(crate) fn guarded<T>(body: impl FnOnce() -> TractResult<T>) -> TractResult<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(body))
        .unwrap_or_else(|_| Err(anyhow::anyhow!("tract panicked on it")))
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
        let plan = guarded(|| typed(&read(onnx, input, Kind::Float)?, None)?.into_optimized()?.into_runnable());
        let plan = plan.map_err(|error| graph_error(bundle::FLOAT, &error))?;
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

/// An expression net's graph, whose input is the aligned face.
fn read(onnx: &[u8], input: FaceInput, kind: Kind) -> TractResult<Checked> {
    let shape = &[1, input.channels, input.size, input.size];
    Ok(graph::read(onnx, graph::Input { kind, shape })?)
}

/// The graph as tract types it, before it is optimised.
fn typed(checked: &Checked, output: Option<&str>) -> TractResult<TypedModel> {
    let mut model = tract_onnx::onnx().model_for_proto_model(&checked.model)?;
    if let Some(output) = output {
        model = model.with_outputs_by_name([output])?;
    }
    model.into_typed()
}

fn integers(value: &TValue) -> TractResult<Vec<u8>> {
    // tract types the tensor as quantised u8; the bytes are what counts.
    let plain = value.cast_to_dt(value.datum_type().unquantized())?;
    Ok(plain.to_plain_array_view::<u8>()?.iter().copied().collect())
}

fn graph_error(file: &'static str, error: &TractError) -> EngineError {
    EngineError::Graph { file, reason: format!("{error:#}").replace('\n', " ") }
}
