//! The int8 graph in QDQ form: `QuantizeLinear` and `DequantizeLinear` around plain operators, which ONNX Runtime's other
//! execution providers take; they fuse them into integer operators of their own.

use expression_engine::bundle;
use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};

use super::builder::integer;
use crate::error::Error;

/// Largest difference of an integer score from our own integers, in steps: a provider that computes the convolution in float
/// may round a sum that lies half-way to the other side.
pub const TOLERANCE: u8 = 1;

/// Returns the bytes of the QDQ form of an int8 graph's file. Inputs, outputs and tensor names stay; `describe` has the last word
/// on the metadata, since the manifest beside an older graph may say more.
///
/// # Errors
/// Returns [`Error::BadInput`] if it is not an int8 graph of this program.
pub fn from_int8(bytes: &[u8], describe: impl FnOnce(ModelProto) -> ModelProto) -> crate::Result<Vec<u8>> {
    let foreign = || Error::BadInput(format!("{}: not an int8 graph of this program", bundle::INT8));
    let mut model = ModelProto::decode(bytes).map_err(|_| foreign())?;
    let graph = model.graph.take().ok_or_else(foreign)?;
    model.graph = Some(convert(graph).ok_or_else(foreign)?);
    Ok(super::builder::bytes(&describe(model)))
}

fn convert(mut graph: GraphProto) -> Option<GraphProto> {
    let (mut nodes, mut constants) = (Vec::new(), Vec::new());
    for node in std::mem::take(&mut graph.node) {
        if node.op_type != "QLinearConv" {
            nodes.push(node);
            continue;
        }
        let constant = |name: &String| graph.initializer.iter().find(|tensor| tensor.name == *name);
        let [x, x_scale, x_zero, weight, weight_scale, _, y_scale, y_zero, bias] = &node.input[..] else { return None };
        let name = node.output.first()?.clone();
        let scales = constant(weight_scale)?;
        let input_scale = floats(constant(x_scale)?).next()?;
        let bias_scales: Vec<u8> = floats(scales).flat_map(|scale| (scale * input_scale).to_le_bytes()).collect();
        let zero = |suffix: &str, kind: DataType, bytes: usize| TensorProto {
            name: format!("{name}_{suffix}"),
            dims: scales.dims.clone(),
            data_type: kind as i32,
            raw_data: vec![0; bytes * floats(scales).count()],
            ..TensorProto::default()
        };
        let (weight_zeros, bias_zeros) =
            (zero("weight_zeros", DataType::Int8, 1), zero("bias_zeros", DataType::Int32, 4));
        let bias_scale = TensorProto {
            name: format!("{name}_bias_scale"),
            dims: scales.dims.clone(),
            data_type: DataType::Float as i32,
            raw_data: bias_scales,
            ..TensorProto::default()
        };
        // One scale per output channel, or one for all.
        let axis = if scales.dims.is_empty() { vec![] } else { vec![integer("axis", 0)] };
        let mut push = |op: &str, inputs: [&str; 3], output: String, attribute| {
            nodes.push(NodeProto {
                op_type: op.into(),
                name: output.clone(),
                input: inputs.map(String::from).into(),
                output: vec![output],
                attribute,
                ..NodeProto::default()
            });
        };
        let real = |what: &str| format!("{name}_{what}_real");
        push("DequantizeLinear", [x, x_scale, x_zero], real("input"), vec![]);
        push("DequantizeLinear", [weight, weight_scale, &weight_zeros.name], real("weight"), axis.clone());
        push("DequantizeLinear", [bias, &bias_scale.name, &bias_zeros.name], real("bias"), axis);
        push("Conv", [&real("input"), &real("weight"), &real("bias")], real("output"), node.attribute.clone());
        // After it the lower bound of u8 is the ReLU, as in the int8 graph.
        push("QuantizeLinear", [&real("output"), y_scale, y_zero], name.clone(), vec![]);
        constants.extend([weight_zeros, bias_zeros, bias_scale]);
    }
    graph.node = nodes;
    graph.initializer.extend(constants);
    // The scalar zero of the weights has no reader any more.
    let read: std::collections::HashSet<&String> = graph.node.iter().flat_map(|node| &node.input).collect();
    let kept = graph.initializer.iter().filter(|tensor| read.contains(&tensor.name)).cloned().collect();
    graph.initializer = kept;
    Some(graph)
}

fn floats(tensor: &TensorProto) -> impl Iterator<Item = f32> {
    tensor.raw_data.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_integer_convolution_is_taken_apart() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/ferplus-edge").join(bundle::INT8);
        let before = std::fs::read(shipped).unwrap();
        let graph = ModelProto::decode(&from_int8(&before, |model| model).unwrap()[..]).unwrap().graph.unwrap();
        let count = |op: &str| graph.node.iter().filter(|node| node.op_type == op).count();
        assert_eq!([count("QLinearConv"), count("Conv"), count("QuantizeLinear"), count("MaxPool")], [0, 10, 10, 4]);
        assert_eq!(count("DequantizeLinear"), 31);
        assert!(from_int8(b"no graph", |model| model).is_err());
    }
}
