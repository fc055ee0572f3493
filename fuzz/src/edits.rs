//! Edits of graphs that are right.

use arbitrary::{Arbitrary, Unstructured};
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};

use crate::graphs;

/// Makes edits of the bytes, and loads a graph with these edits: they reach behind what refuses random bytes.
pub fn graphs(bytes: &[u8]) {
    let Ok((graph, edits)) = <(Graph, Vec<Edit>)>::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let onnx = graph.edited(&edits);
    match graph {
        Graph::Detector => crate::detector(&onnx),
        Graph::Int8 | Graph::Float => crate::nets(&onnx),
    }
}

/// The graph that is edited.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Graph {
    /// A quantized expression net.
    Int8,
    /// A float expression net.
    Float,
    /// A detector.
    Detector,
}

/// An edit. Numbers that name a part wrap around the number of parts.
#[derive(Debug, Clone, Arbitrary)]
pub enum Edit {
    /// Another operator for a node.
    Operator(u8, u8),
    /// A list of integers for a node.
    Integers(u8, u8, Vec<i16>),
    /// An integer for a node.
    Integer(u8, u8, i8),
    /// A node's attribute goes.
    NoAttribute(u8, u8),
    /// A node reads another tensor.
    Input(u8, u8, u8),
    /// A node has one input less.
    NoInput(u8, u8),
    /// A node again, behind its first, with another output.
    Again(u8),
    /// A node goes.
    NoNode(u8),
    /// A constant's shape and type, with as many bytes.
    Constant(u8, Vec<u8>, u8, u8),
    /// A constant's bytes.
    Bytes(u8, Vec<u8>),
    /// Another output.
    Output(u8),
    /// The operator set.
    Set(u8),
}

const OPERATORS: [&str; 18] = [
    "Identity",
    "Relu",
    "Sigmoid",
    "Tanh",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Conv",
    "QLinearConv",
    "MaxPool",
    "DequantizeLinear",
    "Concat",
    "Flatten",
    "Reshape",
    "Transpose",
    "Pad",
    "Loop",
];
const LISTS: [&str; 5] = ["kernel_shape", "pads", "strides", "dilations", "perm"];
const NUMBERS: [&str; 5] = ["group", "axis", "ceil_mode", "allowzero", "storage_order"];
const KINDS: [(i32, usize); 5] = [(1, 4), (2, 1), (3, 1), (6, 4), (7, 8)];

impl Graph {
    /// The bytes of the graph after these edits.
    pub fn edited(self, edits: &[Edit]) -> Vec<u8> {
        let mut model = match self {
            Graph::Int8 => graphs::int8(),
            Graph::Float => graphs::float(),
            Graph::Detector => graphs::detector(),
        };
        edits.iter().take(12).for_each(|edit| edit.apply(&mut model));
        graphs::bytes(&model)
    }
}

impl Edit {
    fn apply(&self, model: &mut ModelProto) {
        let Some(graph) = &mut model.graph else { return };
        match self {
            Edit::Operator(node, operator) => {
                let name = of(&OPERATORS, *operator);
                with(&mut graph.node, *node, |node| node.op_type = name.to_string());
            }
            Edit::Integers(node, name, list) => {
                let list: Vec<i64> = list.iter().take(8).map(|side| i64::from(*side)).collect();
                set(graph, *node, graphs::integers(of::<&str>(&LISTS, *name), &list));
            }
            Edit::Integer(node, name, value) => {
                set(graph, *node, graphs::integer(of::<&str>(&NUMBERS, *name), i64::from(*value)));
            }
            Edit::NoAttribute(node, number) => with(&mut graph.node, *node, |node| less(&mut node.attribute, *number)),
            Edit::Input(node, number, tensor) => {
                let names: Vec<String> = names(graph);
                let name = of(&names, *tensor).clone();
                with(&mut graph.node, *node, |node: &mut NodeProto| {
                    match node.input.len() {
                        0 => node.input.push(name),
                        count if usize::from(*number) % (count + 1) == count => node.input.push(name),
                        count => node.input[usize::from(*number) % (count + 1)] = name,
                    };
                });
            }
            Edit::NoInput(node, number) => with(&mut graph.node, *node, |node| less(&mut node.input, *number)),
            Edit::Again(number) => {
                if let Some(index) = usize::from(*number).checked_rem(graph.node.len()) {
                    let mut node = graph.node[index].clone();
                    let name = format!("again{}", graph.node.len());
                    if let [first, ..] = &mut node.input[..] {
                        first.clone_from(&graph.node[index].output[0]);
                    }
                    node.output = vec![name.clone()];
                    // What read the first now reads the second.
                    let old = graph.node[index].output[0].clone();
                    for later in &mut graph.node[index + 1..] {
                        later.input.iter_mut().filter(|input| **input == old).for_each(|input| input.clone_from(&name));
                    }
                    graph.node.insert(index + 1, node);
                }
            }
            Edit::NoNode(number) => less(&mut graph.node, *number),
            Edit::Constant(number, shape, kind, fill) => {
                let (data_type, size) = *of(&KINDS, *kind);
                let dims: Vec<i64> = shape.iter().take(6).map(|side| i64::from(*side % 20)).collect();
                let bytes = dims.iter().product::<i64>().min(1 << 16) as usize * size;
                with(&mut graph.initializer, *number, |tensor: &mut TensorProto| {
                    (tensor.dims, tensor.data_type) = (dims, data_type);
                    tensor.raw_data.resize(bytes, *fill);
                });
            }
            Edit::Bytes(number, bytes) => with(&mut graph.initializer, *number, |tensor: &mut TensorProto| {
                tensor.raw_data.iter_mut().zip(bytes).for_each(|(old, new)| *old = *new);
            }),
            Edit::Output(tensor) => {
                let names: Vec<String> = names(graph);
                let name = of(&names, *tensor).clone();
                with(&mut graph.output, 0, |output| output.name = name);
            }
            Edit::Set(version) => model.opset_import[0].version = i64::from(*version % 24),
        }
    }
}

/// The names of all tensors.
fn names(graph: &GraphProto) -> Vec<String> {
    let made = graph.node.iter().flat_map(|node| node.output.clone());
    let given = graph.input.iter().map(|input| input.name.clone());
    given.chain(made).chain(graph.initializer.iter().map(|tensor| tensor.name.clone())).collect()
}

fn set(graph: &mut GraphProto, node: u8, attribute: AttributeProto) {
    with(&mut graph.node, node, |node| {
        node.attribute.retain(|other| other.name != attribute.name);
        node.attribute.push(attribute);
    });
}

fn of<T>(all: &[T], number: u8) -> &T {
    &all[usize::from(number) % all.len()]
}

fn with<T>(all: &mut [T], number: u8, edit: impl FnOnce(&mut T)) {
    if let Some(index) = usize::from(number).checked_rem(all.len()) {
        edit(&mut all[index]);
    }
}

fn less<T>(all: &mut Vec<T>, number: u8) {
    if let Some(index) = usize::from(number).checked_rem(all.len()) {
        all.remove(index);
    }
}
