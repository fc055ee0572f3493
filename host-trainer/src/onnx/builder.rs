//! An ONNX graph as it grows, over the protobuf types that tract reads with.

use std::collections::HashSet;

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};

/// An ONNX graph as it grows. A node is called like the one tensor that it makes.
#[derive(Default)]
pub struct Builder {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    /// Names of `constants`.
    known: HashSet<String>,
}

impl Builder {
    /// Appends the operator `op` that makes the tensor `output`.
    pub fn push<const N: usize>(&mut self, op: &str, inputs: [&str; N], output: &str, attributes: Vec<AttributeProto>) {
        self.nodes.push(NodeProto {
            op_type: op.into(),
            name: output.into(),
            input: inputs.map(String::from).into(),
            output: vec![output.into()],
            attribute: attributes,
            ..NodeProto::default()
        });
    }

    /// Adds an f32 constant unless one of that name is there; gives its name. No dimensions: a scalar.
    pub fn float(&mut self, name: &str, shape: &[usize], data: &[f32]) -> String {
        self.constant(name, DataType::Float, shape, data.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// Adds an i64 vector; gives its name.
    pub fn integers(&mut self, name: &str, data: &[i64]) -> String {
        let raw = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, DataType::Int64, &[data.len()], raw)
    }

    /// Adds a constant of raw little-endian values unless one of that name is there; gives its name.
    pub fn constant(&mut self, name: &str, kind: DataType, shape: &[usize], raw_data: Vec<u8>) -> String {
        if self.known.insert(name.into()) {
            let dims = shape.iter().map(|side| *side as i64).collect();
            let tensor =
                TensorProto { name: name.into(), dims, data_type: kind as i32, raw_data, ..Default::default() };
            self.constants.push(tensor);
        }
        name.into()
    }

    /// The model (opset 13) with these inputs and outputs.
    pub fn finish(self, name: &str, input: Vec<ValueInfoProto>, output: Vec<ValueInfoProto>) -> ModelProto {
        let graph = GraphProto {
            name: name.into(),
            node: self.nodes,
            initializer: self.constants,
            input,
            output,
            ..GraphProto::default()
        };
        ModelProto {
            ir_version: 8,
            producer_name: "host-trainer".into(),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 13 }],
            graph: Some(graph),
            ..ModelProto::default()
        }
    }
}

/// An attribute of an operator.
pub fn attribute(name: &str, kind: AttributeType, set: impl FnOnce(&mut AttributeProto)) -> AttributeProto {
    let mut attribute = AttributeProto { name: name.into(), r#type: kind as i32, ..AttributeProto::default() };
    set(&mut attribute);
    attribute
}

/// An attribute that holds one integer.
pub fn integer(name: &str, value: i64) -> AttributeProto {
    attribute(name, AttributeType::Int, |attribute| attribute.i = value)
}

/// An attribute that holds a list of integers.
pub fn integer_list(name: &str, values: &[i64]) -> AttributeProto {
    attribute(name, AttributeType::Ints, |attribute| attribute.ints = values.to_vec())
}

/// Name, type and shape of an input or output.
pub fn value_info(name: &str, kind: DataType, shape: &[usize]) -> ValueInfoProto {
    let size =
        |side: &usize| Dimension { value: Some(dimension::Value::DimValue(*side as i64)), ..Dimension::default() };
    let shape = Some(TensorShapeProto { dim: shape.iter().map(size).collect() });
    let tensor = type_proto::Tensor { elem_type: kind as i32, shape };
    let r#type = Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() });
    ValueInfoProto { name: name.into(), r#type, ..ValueInfoProto::default() }
}

/// The bytes of a model's file.
pub fn bytes(model: &ModelProto) -> Vec<u8> {
    prost::Message::encode_to_vec(model)
}
