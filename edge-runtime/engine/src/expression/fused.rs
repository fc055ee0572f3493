//! A chain of quantized layers as one operator in tract's graph.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use expression_kernels::{Chain, Threads, Workspace};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

/// Inputs for which the weights are read once. More would gain little, and each takes working memory of its own.
const BATCH: usize = 4;

/// A chain, the threads it runs on, and spare working memory.
pub struct Fused {
    chain: Chain,
    threads: Arc<Threads>,
    spare: Mutex<Vec<Workspace>>,
    /// For [`BATCH`] inputs each.
    spare_batch: Mutex<Vec<Workspace>>,
}

impl Fused {
    /// Creates the chain with working memory for one inference. Further inferences at the same time allocate their own.
    pub fn new(chain: Chain, threads: Arc<Threads>) -> Fused {
        let spare = Mutex::new(vec![chain.workspace(threads.count())]);
        Fused { chain, threads, spare, spare_batch: Mutex::default() }
    }

    /// Runs the chain from `input` to `output`, both u8 `[channels, height, width]`. This allocates only if more inferences run at
    /// once than ever before.
    pub fn run(&self, input: &[u8], output: &mut [u8]) {
        let spare = || self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = spare().pop();
        let mut workspace = ready.unwrap_or_else(|| self.chain.workspace(self.threads.count()));
        self.chain.run(&self.threads, &mut workspace, input, output);
        spare().push(workspace);
    }

    /// Runs the chain for the inputs that follow each other in `inputs`, and writes their outputs one after the other. The bytes
    /// are those of [`Fused::run`] for each. This allocates only when it is given several inputs for the first time, or if more
    /// inferences run at once than ever before.
    pub fn run_many(&self, inputs: &[u8], outputs: &mut [u8]) {
        let (from, to) = (self.chain.input().len(), self.chain.output().len());
        if inputs.len() == from {
            return self.run(inputs, outputs);
        }
        let spare = || self.spare_batch.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = spare().pop();
        let mut workspace = ready.unwrap_or_else(|| self.chain.batch_workspace(self.threads.count(), BATCH));
        for (inputs, outputs) in inputs.chunks(BATCH * from).zip(outputs.chunks_mut(BATCH * to)) {
            let mut batch = [&[][..]; BATCH];
            batch.iter_mut().zip(inputs.chunks(from)).for_each(|(place, input)| *place = input);
            self.chain.run_batch(&self.threads, &mut workspace, &batch[..inputs.len() / from], outputs);
        }
        spare().push(workspace);
    }

    /// Returns the chain.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }
}

/// The operator, from u8 `[1, channels, height, width]` to the same type with other sides.
#[derive(Clone)]
pub struct FusedChain {
    /// The chain that it runs.
    pub fused: Arc<Fused>,
    /// tract's type of the output: u8, with or without quantization.
    pub output: DatumType,
    /// The names of the layers, for messages.
    pub layers: Vec<String>,
}

impl fmt::Debug for FusedChain {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "FusedChain({})", self.layers.join(", "))
    }
}

impl PartialEq for FusedChain {
    fn eq(&self, other: &FusedChain) -> bool {
        Arc::ptr_eq(&self.fused, &other.fused)
    }
}

impl Eq for FusedChain {}

impl Op for FusedChain {
    fn name(&self) -> StaticName {
        "FusedChain".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![format!("{} with {}", self.layers.join(", "), self.fused.chain().kernel().name())])
    }

    op_as_typed_op!();
}

impl EvalOp for FusedChain {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let shape = self.fused.chain().output();
        // tract may type bytes as quantized; only the bytes matter.
        let input = inputs[0].cast_to_dt(inputs[0].datum_type().unquantized())?;
        let mut output = Tensor::zero::<u8>(&[1, shape.channels, shape.height, shape.width])?;
        let bytes = input.to_plain_array_view::<u8>()?;
        let bytes = bytes.as_slice().context("a map lies in one piece")?;
        self.fused.run(bytes, output.try_as_plain_ram_mut()?.as_slice_mut::<u8>()?);
        Ok(tvec!(output.cast_to_dt(self.output)?.into_owned().into()))
    }
}

impl TypedOp for FusedChain {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let shape = self.fused.chain().output();
        Ok(tvec!(self.output.fact([1, shape.channels, shape.height, shape.width])))
    }

    as_op!();
}
