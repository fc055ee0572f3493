//! The int8 expression net: tract reads its graph, and our kernels run its chains of quantized layers.

mod fused;
mod fusion;

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, ensure};
use expression_core::smooth::{ONE, Softmax};
use expression_core::{FaceInput, Label, LabelSet, LowLight};
use expression_kernels::{Kernel, PlanError, Threads, kernel};
use tract_onnx::prelude::*;

use fused::{Fused, FusedChain};
pub use fusion::NotFused;

use crate::bundle::{self, Bundle, BundleError, Manifest, Output};
use crate::error::{Classify, ErrorKind};
use crate::graph::{self, Checked, Kind};

/// The name of the int8 graph's tensor of integer scores, the input of its final `DequantizeLinear`.
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
        /// The file name of the graph.
        file: &'static str,
        /// Why it was refused.
        reason: String,
    },
    /// The threads could not be started.
    #[error("{0}; ask for fewer")]
    Threads(PlanError),
    /// An aligned face has the wrong length.
    #[error("an aligned face has {expected} bytes, not {found}")]
    Face {
        /// The expected number of bytes.
        expected: usize,
        /// The number of bytes given.
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

/// The int8 net's answer for one aligned face.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// One integer per class: the output of the int8 graph before it is dequantized.
    pub integer: Vec<u8>,
    /// The softmax of the dequantized scores; one probability per class.
    pub probability: Vec<f32>,
    /// The index of the class with the highest integer score; the first of equals.
    pub class: usize,
}

impl Scores {
    /// Interprets integer scores by the quantization of their bundle.
    pub fn from_integer(integer: Vec<u8>, output: Output) -> Scores {
        Scores::with_softmax(integer, &Softmax::new(output.scale))
    }

    /// Reads integer scores by the softmax of their bundle.
    pub fn with_softmax(integer: Vec<u8>, softmax: &Softmax) -> Scores {
        let class = class(&integer);
        let probability = softmax.probabilities(&integer).map(|value| value as f32 / ONE as f32);
        Scores { probability: probability[..integer.len().min(probability.len())].to_vec(), integer, class }
    }
}

/// The index of the highest integer score; the first of equals.
pub(crate) fn class(scores: &[u8]) -> usize {
    let top = scores.iter().copied().max().unwrap_or(0);
    scores.iter().position(|score| *score == top).unwrap_or(0)
}

/// How an engine runs its net.
#[derive(Clone, Copy)]
pub struct EngineOptions {
    /// The kernel that runs chains of quantized layers, or `None` to run everything in stock tract.
    pub kernel: Option<&'static dyn Kernel>,
    /// The number of threads that share one inference. It does not change the result.
    pub threads: usize,
}

impl Default for EngineOptions {
    /// Selects the best kernel for this processor, and one thread.
    fn default() -> EngineOptions {
        EngineOptions { kernel: Some(kernel::best()), threads: 1 }
    }
}

/// The int8 net of a bundle, ready to run.
pub struct Engine {
    plan: Arc<TypedRunnableModel>,
    /// The whole net if it is a single chain, which then runs without tract.
    whole: Option<Arc<Fused>>,
    not_fused: Vec<NotFused>,
    input: FaceInput,
    low_light: Option<LowLight>,
    /// Memory for brightened faces.
    brightened: Mutex<Vec<Vec<u8>>>,
    softmax: Softmax,
    labels: LabelSet,
}

impl Engine {
    /// Loads the int8 graph of `bundle`.
    ///
    /// # Errors
    /// Returns [`EngineError::Bundle`] if the file is missing or altered, and the errors of [`Engine::from_bytes`].
    pub fn open(bundle: &Bundle, options: EngineOptions) -> Result<Engine, EngineError> {
        Self::from_bytes(&bundle.read(bundle::INT8)?, bundle.manifest(), options)
    }

    /// Loads an int8 graph from the bytes of its ONNX file.
    ///
    /// # Errors
    /// Returns [`EngineError::Graph`] if the graph cannot be run, and [`EngineError::Threads`] if the threads cannot be started.
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
        let low_light = manifest.low_light();
        let brightened = Mutex::new(low_light.map(|_| Vec::with_capacity(input.len())).into_iter().collect());
        let softmax = Softmax::new(manifest.output.scale);
        Ok(Engine { plan, whole, not_fused, input, low_light, brightened, softmax, labels })
    }

    /// Returns the geometry of the aligned face.
    pub fn input(&self) -> FaceInput {
        self.input
    }

    /// Returns the gain for dark faces, which the engine applies before the net.
    pub fn low_light(&self) -> Option<LowLight> {
        self.low_light
    }

    /// Returns an aligned face as the net sees it: brightened by the bundle's low-light gain if it is dark.
    pub fn seen<'a>(&self, face: &'a [u8]) -> Cow<'a, [u8]> {
        let mut seen = Cow::Borrowed(face);
        if let Some(low_light) = self.low_light.filter(|low_light| low_light.gain(face).is_some()) {
            low_light.apply(seen.to_mut());
        }
        seen
    }

    /// Calls `run` with `faces` as the net sees them, one or several in a row. This allocates only if more or longer rows are
    /// brightened at once than ever before.
    fn with_seen<T>(&self, faces: &[u8], run: impl FnOnce(&[u8]) -> T) -> T {
        let length = self.input.len();
        let dark = |low_light: &LowLight| faces.chunks(length).any(|face| low_light.gain(face).is_some());
        let Some(low_light) = self.low_light.filter(dark) else { return run(faces) };
        let spare = || self.brightened.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = spare().pop();
        let mut seen = ready.unwrap_or_default();
        seen.clear();
        seen.extend_from_slice(faces);
        for face in seen.chunks_mut(length) {
            low_light.apply(face);
        }
        let result = run(&seen);
        spare().push(seen);
        result
    }

    /// Returns the labels in the order of the scores.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The softmax of the integer scores.
    pub fn softmax(&self) -> &Softmax {
        &self.softmax
    }

    /// Classifies one aligned face: u8 `[channels, size, size]`. A dark face is brightened by the bundle's low-light gain.
    ///
    /// # Errors
    /// Returns the errors of [`Engine::integer_scores`].
    pub fn classify(&self, face: &[u8]) -> Result<Scores, EngineError> {
        let mut integer = vec![0; self.labels.len()];
        self.integer_scores(face, &mut integer)?;
        Ok(Scores::with_softmax(integer, &self.softmax))
    }

    /// Writes the integer scores of one aligned face, u8 `[channels, size, size]`, to `scores`, one per label. This allocates
    /// nothing if the whole net is a single chain.
    ///
    /// # Errors
    /// Returns [`EngineError::Face`] if `face` has the wrong length, and [`EngineError::Graph`] if `scores` has, if tract fails, or
    /// if the net gives another number of scores than there are labels.
    pub fn integer_scores(&self, face: &[u8], scores: &mut [u8]) -> Result<(), EngineError> {
        if face.len() != self.input.len() {
            return Err(EngineError::Face { expected: self.input.len(), found: face.len() });
        }
        self.with_seen(face, |seen| self.scores_of_seen(seen, scores))
    }

    /// Writes the integer scores of a face as the net sees it.
    fn scores_of_seen(&self, face: &[u8], scores: &mut [u8]) -> Result<(), EngineError> {
        let FaceInput { channels, size, .. } = self.input;
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

    /// Writes the integer scores of the aligned faces that follow each other in `faces`, u8 `[n, channels, size, size]`, to
    /// `scores`, u8 `[n, labels]`. The scores are those of [`Engine::integer_scores`] for each face, but the weights are read once
    /// for several faces. If the whole net is a single chain, this allocates only the first time that it is given several.
    ///
    /// # Errors
    /// Returns [`EngineError::Face`] if `faces` does not hold one face for each `labels` bytes of `scores`, and otherwise the errors
    /// of [`Engine::integer_scores`].
    pub fn classify_many(&self, faces: &[u8], scores: &mut [u8]) -> Result<(), EngineError> {
        let (face, labels) = (self.input.len(), self.labels.len());
        let expected = scores.len() / labels * face;
        if faces.len() != expected || !scores.len().is_multiple_of(labels) {
            return Err(EngineError::Face { expected, found: faces.len() });
        }
        if let Some(whole) = &self.whole {
            self.with_seen(faces, |seen| whole.run_many(seen, scores));
            return Ok(());
        }
        faces
            .chunks(face)
            .zip(scores.chunks_mut(labels))
            .try_for_each(|(face, scores)| self.integer_scores(face, scores))
    }

    /// Returns the operators of the optimized graph in the order they run, such as `FusedChain`.
    pub fn operators(&self) -> Vec<String> {
        let model = self.plan.model();
        let order = model.eval_order().unwrap_or_default();
        order.into_iter().map(|id| model.nodes()[id].op().name().into_owned()).collect()
    }

    /// Returns the nodes that stock tract runs, with the reason for each.
    pub fn not_fused(&self) -> &[NotFused] {
        &self.not_fused
    }

    /// Returns the names of the kernels in use, sorted and without duplicates: those of fused chains and of tract's matrix
    /// products.
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

/// Returns the graph's chain if the graph is a single chain and nothing else.
fn whole(model: &TypedModel) -> Option<Arc<Fused>> {
    let [input, output] = [model.input_outlets().ok()?, model.output_outlets().ok()?];
    let ([input], [output]) = (input, output) else { return None };
    let node = model.node(output.node);
    let operator = node.op_as::<FusedChain>()?;
    (node.inputs[..] == [*input]).then(|| Arc::clone(&operator.fused))
}

/// Runs `body`, which reads a graph from outside; a panic inside tract becomes an error.
pub(crate) fn guarded<T>(body: impl FnOnce() -> TractResult<T>) -> TractResult<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(body))
        .unwrap_or_else(|_| Err(anyhow::anyhow!("tract panicked on it")))
}

/// The float net, for the parity test of libtorch and tract.
pub struct FloatEngine {
    plan: Arc<TypedRunnableModel>,
    input: FaceInput,
}

impl FloatEngine {
    /// Loads a float graph from the bytes of its ONNX file. Its input is the face as the net sees it ([`Engine::seen`]), as f32 in
    /// `0..=255`.
    ///
    /// # Errors
    /// Returns [`EngineError::Graph`] if the graph is refused.
    pub fn from_bytes(onnx: &[u8], input: FaceInput) -> Result<FloatEngine, EngineError> {
        let plan = guarded(|| typed(&read(onnx, input, Kind::Float)?, None)?.into_optimized()?.into_runnable());
        let plan = plan.map_err(|error| graph_error(bundle::FLOAT, &error))?;
        Ok(FloatEngine { plan, input })
    }

    /// Returns the logits of one face as the net sees it ([`Engine::seen`]), u8 `[channels, size, size]`, one per label.
    ///
    /// # Errors
    /// Returns [`EngineError::Face`] if `face` has the wrong length, and [`EngineError::Graph`] if tract fails.
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

/// Reads an expression net's graph, whose input is the aligned face.
fn read(onnx: &[u8], input: FaceInput, kind: Kind) -> TractResult<Checked> {
    let shape = &[1, input.channels, input.size, input.size];
    Ok(graph::read(onnx, graph::Input { kind, shape })?)
}

/// Returns the graph as tract types it, before it is optimized.
fn typed(checked: &Checked, output: Option<&str>) -> TractResult<TypedModel> {
    let mut model = tract_onnx::onnx().model_for_proto_model(&checked.model)?;
    if let Some(output) = output {
        model = model.with_outputs_by_name([output])?;
    }
    model.into_typed()
}

fn integers(value: &TValue) -> TractResult<Vec<u8>> {
    // tract types the tensor as quantized u8; only the bytes matter.
    let plain = value.cast_to_dt(value.datum_type().unquantized())?;
    Ok(plain.to_plain_array_view::<u8>()?.iter().copied().collect())
}

fn graph_error(file: &'static str, error: &TractError) -> EngineError {
    EngineError::Graph { file, reason: format!("{error:#}").replace('\n', " ") }
}
