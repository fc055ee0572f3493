//! Fuses each chain of quantized layers in tract's typed graph into one operator.

use std::sync::Arc;

use expression_kernels::{Chain, Convolution, Kernel, Layer, MaxPool, Shape, Threads, Window};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat, MaxPool as TractMaxPool, PoolSpec};
use tract_onnx::tract_core::ops::nn::DataFormat;
use tract_onnx::tract_core::ops::source::TypedSource;

use super::fused::{Fused, FusedChain};

/// A node that stock tract runs, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct NotFused {
    /// The node's name in the graph.
    pub node: String,
    /// The name of its operator.
    pub operator: String,
    /// Why it is not part of a chain.
    pub reason: String,
}

/// Fuses what can be fused. Returns every other node of the graph with the reason why it was not. The graph must be typed and not
/// yet optimized, because optimizing takes convolutions apart.
///
/// # Errors
/// Returns an error if tract cannot rewire the graph.
pub fn fuse(model: &mut TypedModel, kernel: &'static dyn Kernel, threads: &Arc<Threads>) -> TractResult<Vec<NotFused>> {
    let mut not_fused = Vec::new();
    let mut done = vec![false; model.nodes().len()];
    for id in model.eval_order()? {
        if done.get(id).copied().unwrap_or(true) || is_given(model, id) {
            continue;
        }
        let (mut nodes, mut layers) = (Vec::new(), Vec::new());
        let mut next = Some(id);
        let mut reason = None;
        while let Some(id) = next {
            match layer(model, model.node(id)) {
                Ok(layer) => {
                    nodes.push(id);
                    layers.push(layer);
                }
                Err(why) => {
                    reason = nodes.is_empty().then_some(why);
                    break;
                }
            }
            // A chain ends at an output of the graph and at a map that several nodes read.
            let is_output = model.outputs.iter().any(|outlet| outlet.node == id);
            next = if is_output { None } else { model.single_succ(id)?.map(|node| node.id) };
        }
        // A max-pool alone is not worth a chain: tract runs it.
        if !layers.iter().any(|layer| matches!(layer, Layer::Convolution(_))) {
            let node = model.node(id);
            let reason = reason.unwrap_or_else(|| "no quantized convolution beside it".into());
            not_fused.push(NotFused { node: node.name.clone(), operator: node.op().name().into_owned(), reason });
            continue;
        }
        let chain = match shape(model, model.node(id).inputs[0]).map(|shape| Chain::new(shape, &layers, kernel)) {
            Ok(Ok(chain)) => chain,
            Ok(Err(error)) => bail!("{}: {error}", model.node(id).name),
            Err(reason) => bail!("{}: {reason}", model.node(id).name),
        };
        replace(model, &nodes, Fused::new(chain, Arc::clone(threads)))?;
        nodes.iter().for_each(|node| done[*node] = true);
    }
    Ok(not_fused)
}

/// Returns whether a node is an input of the graph, or does not depend on one.
fn is_given(model: &TypedModel, id: usize) -> bool {
    let node = model.node(id);
    node.op_is::<TypedSource>()
        || (0..node.outputs.len()).all(|slot| constant(model, OutletId::new(id, slot), 0).is_some())
}

/// The longest chain of constant nodes that is followed; exporters write a cast or two.
const MAX_DEPTH: usize = 8;

/// Returns a value that does not depend on an input of the graph. tract folds such values only when it optimizes.
fn constant(model: &TypedModel, outlet: OutletId, depth: usize) -> Option<Arc<Tensor>> {
    if let Some(value) = &model.outlet_fact(outlet).ok()?.konst {
        return Some(Arc::clone(value));
    }
    let node = model.node(outlet.node);
    if depth == MAX_DEPTH || node.inputs.is_empty() {
        return None;
    }
    let inputs: Option<TVec<TValue>> =
        node.inputs.iter().map(|input| Some(constant(model, *input, depth + 1)?.into_tvalue())).collect();
    let outputs = node.op().eval_out_of_plan(inputs?).ok()??;
    outputs.get(outlet.slot).map(|value| value.clone().into_arc_tensor())
}

fn replace(model: &mut TypedModel, nodes: &[usize], fused: Fused) -> TractResult<()> {
    let (first, last) = (model.node(nodes[0]), model.node(nodes[nodes.len() - 1]));
    let layers = nodes.iter().map(|id| model.node(*id).name.clone()).collect();
    let operator = FusedChain { fused: Arc::new(fused), output: last.outputs[0].fact.datum_type, layers };
    let mut patch = TypedModelPatch::default();
    let input = patch.tap_model(model, first.inputs[0])?;
    let output = patch.wire_node(&last.name, operator, &[input])?;
    patch.shunt_outside(model, last.id.into(), output[0])?;
    patch.apply(model)
}

/// Returns the layer that a node computes, or the reason why our kernels cannot run it.
fn layer(model: &TypedModel, node: &TypedNode) -> Result<Layer, String> {
    if let Some(pool) = node.op_as::<TractMaxPool>() {
        require(pool.with_index_outputs.is_none(), "it gives indices too")?;
        let shape = shape(model, node.inputs[0])?;
        let window = window(&pool.pool_spec, shape)?;
        return Ok(Layer::MaxPool(MaxPool { window }));
    }
    let Some(conv) = node.op_as::<Conv>() else {
        return Err("not a quantized convolution or a max-pool".into());
    };
    convolution(model, node, conv).map(Layer::Convolution)
}

/// Reads tract's form of `QLinearConv`: input, weights, bias, then zero point and scale of input, weights and output.
fn convolution(model: &TypedModel, node: &TypedNode, conv: &Conv) -> Result<Convolution, String> {
    let output = conv.q_params.ok_or("a convolution in float")?;
    require(output.unquantized() == u8::datum_type(), "its output is not u8")?;
    require(conv.group == 1, "it has groups")?;
    require(conv.kernel_fmt == KernelFormat::OIHW, "its weights do not lie as output, input, rows, columns")?;
    let shape = shape(model, node.inputs[0])?;
    let given = |input: usize| -> Result<Arc<Tensor>, String> {
        constant(model, node.inputs[input], 0).ok_or_else(|| "its weights or scales are not constant".to_owned())
    };
    let (from, to) = (conv.pool_spec.input_channels, conv.pool_spec.output_channels);
    let numbers = |input: usize| -> Result<Vec<f32>, String> { values::<f32>(&*given(input)?) };
    let integers = |input: usize| -> Result<Vec<i32>, String> { values::<i32>(&*given(input)?) };
    let one = |values: Vec<i32>| -> Result<u8, String> {
        let byte = values.first().filter(|_| values.len() == 1).and_then(|value| u8::try_from(*value).ok());
        byte.ok_or_else(|| "a zero point that is not a byte".to_owned())
    };
    let weight = given(1)?;
    require(weight.datum_type().unquantized() == i8::datum_type(), "its weights are not s8")?;
    let weight = values::<i8>(&weight)?;
    require(integers(5)?.iter().all(|zero| *zero == 0), "its weights have a zero point")?;
    let (input_scale, weight_scale, output_scale) = (single(&numbers(4)?)?, numbers(6)?, single(&numbers(8)?)?);
    let spread = |values: Vec<f32>| if values.len() == 1 { vec![values[0]; to] } else { values };
    // The same order of operations as in onnxruntime.
    let multiplier = spread(weight_scale).into_iter().map(|scale| input_scale * scale / output_scale).collect();
    let bias = integers(2)?;
    let bias = if bias.len() == 1 { vec![bias[0]; to] } else { bias };
    Ok(Convolution {
        from,
        to,
        window: window(&conv.pool_spec, shape)?,
        weight,
        bias,
        multiplier,
        input_zero: one(integers(3)?)?,
        output_zero: one(integers(7)?)?,
    })
}

/// Returns the shape of a single u8 map.
fn shape(model: &TypedModel, outlet: OutletId) -> Result<Shape, String> {
    let fact = model.outlet_fact(outlet).map_err(|error| error.to_string())?;
    require(fact.datum_type.unquantized() == u8::datum_type(), "its input is not u8")?;
    match fact.shape.as_concrete() {
        Some(&[1, channels, height, width]) => Ok(Shape { channels, height, width }),
        _ => Err("its input is not one map of a known size".into()),
    }
}

fn window(spec: &PoolSpec, shape: Shape) -> Result<Window, String> {
    require(spec.data_format == DataFormat::NCHW, "its maps do not lie as channels, rows, columns")?;
    require(spec.kernel_shape.len() == 2, "its window does not have two axes")?;
    require(spec.dilations().iter().all(|dilation| *dilation == 1), "its window is dilated")?;
    let sides = [shape.height, shape.width];
    let padding = spec.computed_padding(&sides);
    let pair = |value: &dyn Fn(usize) -> usize| [value(0), value(1)];
    let output = pair(&|axis| padding[axis].convoluted);
    // In ceil mode the last window extends beyond the padding that the graph states.
    let after = |axis: usize| {
        let reach = output[axis].saturating_sub(1) * spec.stride(axis) + spec.kernel_shape[axis];
        padding[axis].pad_after.max(reach.saturating_sub(sides[axis] + padding[axis].pad_before))
    };
    let window = Window {
        kernel: pair(&|axis| spec.kernel_shape[axis]),
        stride: pair(&|axis| spec.stride(axis)),
        before: pair(&|axis| padding[axis].pad_before),
        after: pair(&after),
    };
    require(window.output(sides) == Some(output), "its window does not cover the map evenly")?;
    Ok(window)
}

fn values<T: Datum + Copy>(tensor: &Tensor) -> Result<Vec<T>, String> {
    let plain = tensor.cast_to_dt(tensor.datum_type().unquantized()).map_err(|error| error.to_string())?;
    let plain = plain.cast_to::<T>().map_err(|error| error.to_string())?;
    let view = plain.to_plain_array_view::<T>().map_err(|error| error.to_string())?;
    Ok(view.iter().copied().collect())
}

fn single(values: &[f32]) -> Result<f32, String> {
    match values {
        [value] => Ok(*value),
        _ => Err("a scale for each channel of a map".into()),
    }
}

fn require(holds: bool, reason: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(reason.to_owned()) }
}
