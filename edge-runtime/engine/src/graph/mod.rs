//! Checks an ONNX file from outside before tract sees it.
//!
//! Such a file may ask for any amount of memory and time, and may lack what tract takes for granted. So it is read in three steps,
//! each bounded by the one before: its wire format is scanned without allocating (`wire`); it is decoded; and the type and shape
//! of every tensor are inferred by our own rules (`operator`). tract receives a graph that is rebuilt from what was checked, and
//! nothing else.

mod attributes;
mod constant;
mod convolution;
mod layout;
mod operator;
mod value;
mod window;
mod wire;

use std::collections::{HashMap, HashSet};

use prost::Message;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
    type_proto,
};

pub use tract_onnx::pb::tensor_proto::DataType as Kind;
pub use value::Value;

use operator::Effort;

/// The largest file, in bytes. The paper's net in f32 takes 40 MB.
pub const MAX_BYTES: usize = 64 << 20;
/// The most bytes of a file that are not weights. Once decoded they may take about a hundred times as much memory. Real graphs
/// have about 20 KiB.
pub const MAX_STRUCTURE: usize = 128 << 10;
/// The most operators, and also the most constants.
pub const MAX_NODES: usize = 2048;
/// The most axes of a tensor.
pub const MAX_AXES: usize = 6;
/// The longest side of a tensor.
pub const MAX_SIDE: usize = 1 << 16;
/// The most values of one tensor: five times the largest map of the paper's net.
pub const MAX_VALUES: usize = 16 << 20;
/// The most values of all operators' outputs together.
pub const MAX_VALUES_TOGETHER: u64 = 64 << 20;
/// The most values of a convolution's columns, which stock tract lays out in memory: twice the largest of the paper's net.
pub const MAX_COLUMNS: u64 = 64 << 20;
/// The most multiply-accumulates of one inference: five times the paper's net.
pub const MAX_MULTIPLY_ACCUMULATES: u64 = 16_000_000_000;
/// The largest side, stride and dilation of a window.
pub const MAX_WINDOW: usize = 256;
/// The supported operator sets: from the one that `host-trainer` writes to the newest that tract is tested with.
pub const OPERATOR_SETS: std::ops::RangeInclusive<i64> = 13..=18;

/// Why a graph is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GraphError(String);

/// The one input that a graph must have.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The type of its values.
    pub kind: Kind,
    /// Its shape.
    pub shape: &'a [usize],
}

/// A graph that holds nothing but what was checked, and the types of its tensors.
#[derive(Debug)]
pub struct Checked {
    /// The model for tract.
    pub model: ModelProto,
    values: HashMap<String, Value>,
}

impl Checked {
    /// Returns type and shape of the tensor with this name, or `None` if there is none.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }
}

/// Reads an ONNX file whose graph has this input.
///
/// # Errors
/// Returns [`GraphError`] if the file is truncated or damaged, exceeds a limit of this module, uses an unknown operator, attribute
/// or type, or lacks a constant.
pub fn read(onnx: &[u8], input: Input<'_>) -> Result<Checked, GraphError> {
    scanned(onnx)
        .and_then(|model| checked(model, input))
        .map_err(|reason| GraphError(reason.replace(['\n', '\r'], " ")))
}

/// Decodes an ONNX file without checking its graph, within bounded memory. For readers that check everything they use and pass
/// nothing to tract.
///
/// # Errors
/// Returns [`GraphError`] if the file is truncated, damaged or too large.
pub fn decoded(onnx: &[u8]) -> Result<ModelProto, GraphError> {
    scanned(onnx).map_err(|reason| GraphError(reason.replace(['\n', '\r'], " ")))
}

fn scanned(onnx: &[u8]) -> Result<ModelProto, String> {
    within("its bytes", onnx.len(), MAX_BYTES)?;
    let weights = wire::raw_data(onnx).ok_or("not an ONNX file, or cut off")?;
    within("its bytes beside weights", onnx.len().saturating_sub(weights), MAX_STRUCTURE)?;
    ModelProto::decode(onnx).map_err(|error| format!("not an ONNX file, or cut off: {error}"))
}

fn checked(model: ModelProto, input: Input<'_>) -> Result<Checked, String> {
    let sets: Vec<i64> =
        model.opset_import.iter().filter(|set| is_standard(&set.domain)).map(|set| set.version).collect();
    let [version] = sets[..] else { return Err("not one standard operator set".into()) };
    require(OPERATOR_SETS.contains(&version), || format!("operator set {version}, not one of {OPERATOR_SETS:?}"))?;
    let graph = model.graph.ok_or("it holds no graph")?;
    within("its operators", graph.node.len(), MAX_NODES)?;
    within("its constants", graph.initializer.len(), MAX_NODES)?;
    require(graph.sparse_initializer.is_empty(), || "it has sparse constants".into())?;

    let mut values = HashMap::new();
    let mut constants = HashMap::new();
    let [given] = &graph.input[..] else { return Err(format!("{} inputs, not one", graph.input.len())) };
    check_input(given, input)?;
    define(&mut values, &given.name, Value { kind: input.kind, shape: input.shape.to_vec() })?;
    for tensor in graph.initializer {
        let of = |reason| format!("constant `{}`: {reason}", shown(&tensor.name));
        let value = constant::value(&tensor).map_err(of)?;
        define(&mut values, &tensor.name, value)?;
        constants.insert(tensor.name.clone(), tensor);
    }
    let mut effort = Effort::default();
    let mut nodes = Vec::with_capacity(graph.node.len());
    for node in graph.node {
        let of = |reason| format!("node `{}` ({}): {reason}", shown(&node.name), shown(&node.op_type));
        let (value, checked) = operator::checked(&node, &values, &constants, &mut effort).map_err(of)?;
        define(&mut values, &checked.name, value)?;
        nodes.push(checked);
    }
    let outputs: Vec<String> = graph.output.into_iter().map(|output| output.name).collect();
    require((1..=8).contains(&outputs.len()), || format!("{} outputs", outputs.len()))?;
    require(outputs.iter().collect::<HashSet<_>>().len() == outputs.len(), || "an output twice".into())?;
    // tract expects an operator to make each output.
    if let Some(name) = outputs.iter().find(|name| !nodes.iter().any(|node| node.name == **name)) {
        return Err(format!("no operator makes the output `{}`", shown(name)));
    }
    let model = rebuilt(version, (&given.name, input), nodes, constants, outputs);
    Ok(Checked { model, values })
}

/// Builds a model of these parts alone, without constants that no node reads.
fn rebuilt(
    version: i64,
    (name, input): (&str, Input<'_>),
    node: Vec<NodeProto>,
    constants: HashMap<String, TensorProto>,
    outputs: Vec<String>,
) -> ModelProto {
    let read: HashSet<&String> = node.iter().flat_map(|node| &node.input).collect();
    let mut initializer: Vec<TensorProto> = constants
        .into_iter()
        .filter(|(name, _)| read.contains(name))
        .map(|(name, tensor)| TensorProto {
            name,
            dims: tensor.dims,
            data_type: tensor.data_type,
            raw_data: tensor.raw_data,
            ..TensorProto::default()
        })
        .collect();
    initializer.sort_by(|a, b| a.name.cmp(&b.name));
    let size =
        |side: &usize| Dimension { value: Some(dimension::Value::DimValue(*side as i64)), ..Dimension::default() };
    let shape = Some(TensorShapeProto { dim: input.shape.iter().map(size).collect() });
    let tensor = type_proto::Tensor { elem_type: input.kind as i32, shape };
    let r#type = Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() });
    let graph = GraphProto {
        name: "checked".into(),
        node,
        initializer,
        input: vec![ValueInfoProto { name: name.to_owned(), r#type, ..ValueInfoProto::default() }],
        output: outputs.into_iter().map(|name| ValueInfoProto { name, ..ValueInfoProto::default() }).collect(),
        ..GraphProto::default()
    };
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

fn check_input(given: &ValueInfoProto, input: Input<'_>) -> Result<(), String> {
    let Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), .. }) = &given.r#type else {
        return Err("its input is not a tensor".into());
    };
    let side = |dimension: &Dimension| match dimension.value {
        Some(dimension::Value::DimValue(side)) => usize::try_from(side).ok(),
        _ => None,
    };
    let found: Option<Vec<usize>> = tensor.shape.as_ref().and_then(|shape| shape.dim.iter().map(side).collect());
    let same = tensor.elem_type == input.kind as i32 && found.as_deref() == Some(input.shape);
    require(same, || {
        let kind = Kind::try_from(tensor.elem_type).map_or("unknown", |kind| kind.as_str_name());
        let shape = found.map_or("no fixed shape".into(), |shape| format!("{:?}", &shape[..shape.len().min(8)]));
        format!("its input is {kind} {shape}, not {} {:?}", input.kind.as_str_name(), input.shape)
    })
}

/// Adds a tensor under its name, which must be new.
fn define(values: &mut HashMap<String, Value>, name: &str, value: Value) -> Result<(), String> {
    require(!name.is_empty(), || "a tensor without a name".into())?;
    require(values.insert(name.to_owned(), value).is_none(), || format!("two tensors named `{}`", shown(name)))
}

/// Returns whether a domain is that of the standard operators.
fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

/// Returns the beginning of a name from outside, safe to print on one line.
fn shown(name: &str) -> String {
    name.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn require(holds: bool, reason: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(reason()) }
}

fn within<T: PartialOrd + std::fmt::Display>(what: &str, found: T, most: T) -> Result<(), String> {
    require(found <= most, || format!("{what}: {found}, more than {most}"))
}
