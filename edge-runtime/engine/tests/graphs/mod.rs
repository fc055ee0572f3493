//! Small graphs, each the least that its reader takes. The fuzz targets begin with them too.
#![allow(
    dead_code,
    missing_docs,
    reason = "compiled into several tests and fuzz targets, none of which uses all of it; names say what a graph is"
)]

use expression_engine::Manifest;
use expression_engine::bundle::{Input, Output, Quantization};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};

/// Side of the expression nets' faces.
pub const SIDE: usize = 9;

/// What belongs to [`int8`] and [`float`].
pub fn manifest() -> Manifest {
    Manifest {
        format: Manifest::format_for(None),
        name: "tiny".into(),
        labels: vec!["neutral".into(), "happiness".into()],
        input: Input { channels: 1, aligned: SIDE, size: SIDE },
        low_light: None,
        output: Output { scale: 0.25, zero_point: 128 },
        quantization: Quantization {
            activations: "u8".into(),
            weights: "s8 per channel".into(),
            calibration_samples: 1,
        },
        confidence: None,
        files: Default::default(),
        provenance: Default::default(),
        metrics: Default::default(),
    }
}

/// A file's bytes.
pub fn bytes(model: &ModelProto) -> Vec<u8> {
    prost::Message::encode_to_vec(model)
}

/// Two quantized convolutions with a max-pool between them.
pub fn int8() -> ModelProto {
    let mut graph = GraphProto { name: "int8".into(), ..GraphProto::default() };
    quantized(&mut graph, "face", "first", [3, 1, 3, 3], true);
    push(&mut graph, "MaxPool", &["first"], "pooled", pool());
    quantized(&mut graph, "pooled", "scores_u8", [2, 3, 4, 4], false);
    push(&mut graph, "DequantizeLinear", &["scores_u8", "scores_u8_y_scale", "scores_u8_y_zero"], "logits", vec![]);
    graph.input = vec![info("face", DataType::Uint8, &[1, 1, SIDE, SIDE])];
    graph.output = vec![info("logits", DataType::Float, &[1, 2, 1, 1])];
    model(graph)
}

/// A float net.
pub fn float() -> ModelProto {
    let mut graph = GraphProto { name: "float".into(), ..GraphProto::default() };
    constant(&mut graph, "zero", DataType::Float, &[], 128f32.to_le_bytes().into());
    constant(&mut graph, "unit", DataType::Float, &[], 64f32.to_le_bytes().into());
    push(&mut graph, "Sub", &["face", "zero"], "centred", vec![]);
    push(&mut graph, "Div", &["centred", "unit"], "normalised", vec![]);
    floats(&mut graph, "first_weight", &[3, 1, 3, 3]);
    floats(&mut graph, "first_bias", &[3]);
    push(&mut graph, "Conv", &["normalised", "first_weight", "first_bias"], "first", vec![pads(&[1, 1, 1, 1])]);
    push(&mut graph, "Relu", &["first"], "rectified", vec![]);
    push(&mut graph, "MaxPool", &["rectified"], "pooled", pool());
    floats(&mut graph, "last_weight", &[2, 3, 4, 4]);
    push(&mut graph, "Conv", &["pooled", "last_weight"], "last", vec![]);
    push(&mut graph, "Flatten", &["last"], "logits", vec![integer("axis", 1)]);
    graph.input = vec![info("face", DataType::Float, &[1, 1, SIDE, SIDE])];
    graph.output = vec![info("logits", DataType::Float, &[1, 2])];
    model(graph)
}

/// A detector as BlazeFace is one, with few layers: a first convolution, separable ones with each kind of skip, two grids.
pub fn detector() -> ModelProto {
    let mut graph = GraphProto { name: "detector".into(), ..GraphProto::default() };
    let strides = |stride: i64| integers("strides", &[stride, stride]);
    let mut map = "stem".to_owned();
    floats(&mut graph, "stem_weight", &[24, 3, 5, 5]);
    floats(&mut graph, "bias", &[24]);
    push(&mut graph, "Conv", &["picture", "stem_weight", "bias"], "stem_linear", vec![strides(2)]);
    push(&mut graph, "Relu", &["stem_linear"], &map, vec![]);
    for (layer, stride) in [1, 2, 2, 2, 2].into_iter().enumerate() {
        let name = |part: &str| format!("layer{layer}_{part}");
        floats(&mut graph, &name("depthwise_weight"), &[24, 1, 3, 3]);
        let attributes = vec![integer("group", 24), strides(stride)];
        push(&mut graph, "Conv", &[&map, &name("depthwise_weight")], &name("depthwise"), attributes);
        floats(&mut graph, &name("weight"), &[24, 24, 1, 1]);
        let inputs = [name("depthwise"), name("weight"), "bias".into()];
        push(&mut graph, "Conv", &inputs.each_ref().map(String::as_str), &name("linear"), vec![strides(1)]);
        let mut skipped = map.clone();
        if stride == 2 {
            let window = vec![integers("kernel_shape", &[2, 2]), strides(2)];
            push(&mut graph, "MaxPool", &[&map], &name("pooled"), window);
            let border = [0i64; 8].iter().flat_map(|side| side.to_le_bytes()).collect();
            constant(&mut graph, &name("border"), DataType::Int64, &[8], border);
            push(&mut graph, "Pad", &[&name("pooled"), &name("border")], &name("padded"), vec![]);
            skipped = name("padded");
        }
        let mut linear = name("linear");
        // The last layer has no skip.
        if layer < 4 {
            push(&mut graph, "Add", &[&linear, &skipped], &name("sum"), vec![]);
            linear = name("sum");
        }
        map = name("out");
        push(&mut graph, "Relu", &[&linear], &map, vec![]);
    }
    for (map, each) in [("layer3_out", 2), ("layer4_out", 6)] {
        for (what, values) in [("boxes", 16), ("scores", 1)] {
            let name = |part: &str| format!("{map}_{what}_{part}");
            floats(&mut graph, &name("weight"), &[each * values, 24, 1, 1]);
            floats(&mut graph, &name("bias"), &[each * values]);
            let inputs = [map, &name("weight"), &name("bias")];
            push(&mut graph, "Conv", &inputs, &name("map"), vec![strides(1)]);
            push(&mut graph, "Transpose", &[&name("map")], &name("last"), vec![integers("perm", &[0, 2, 3, 1])]);
            let sides = [1, -1, values as i64].iter().flat_map(|side| side.to_le_bytes()).collect();
            constant(&mut graph, &name("sides"), DataType::Int64, &[3], sides);
            push(&mut graph, "Reshape", &[&name("last"), &name("sides")], &name("rows"), vec![]);
        }
    }
    for what in ["boxes", "scores"] {
        let rows = ["layer3_out", "layer4_out"].map(|map| format!("{map}_{what}_rows"));
        push(&mut graph, "Concat", &rows.each_ref().map(String::as_str), what, vec![integer("axis", 1)]);
    }
    graph.input = vec![info("picture", DataType::Float, &[1, 3, 256, 256])];
    graph.output = vec![info("boxes", DataType::Float, &[1, 896, 16]), info("scores", DataType::Float, &[1, 896])];
    model(graph)
}

fn model(graph: GraphProto) -> ModelProto {
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 13 }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

fn quantized(graph: &mut GraphProto, input: &str, name: &str, shape: [usize; 4], pad: bool) {
    let key = |part: &str| format!("{name}_{part}");
    let names = ["x_scale", "x_zero", "weight", "w_scale", "w_zero", "y_scale", "y_zero", "bias"].map(key);
    let scale = |value: f32, count: usize| value.to_le_bytes().repeat(count);
    constant(graph, &names[0], DataType::Float, &[], scale(0.015625, 1));
    constant(graph, &names[1], DataType::Uint8, &[], vec![128]);
    let weights: Vec<u8> = (0..shape.iter().product::<usize>()).map(|i| (i * 37 % 251) as u8).collect();
    constant(graph, &names[2], DataType::Int8, &shape, weights);
    constant(graph, &names[3], DataType::Float, &[shape[0]], scale(0.0625, shape[0]));
    constant(graph, &names[4], DataType::Int8, &[], vec![0]);
    constant(graph, &names[5], DataType::Float, &[], scale(0.25, 1));
    constant(graph, &names[6], DataType::Uint8, &[], vec![128]);
    constant(graph, &names[7], DataType::Int32, &[shape[0]], 5i32.to_le_bytes().repeat(shape[0]));
    let mut inputs = vec![input];
    inputs.extend(names.iter().map(String::as_str));
    let attributes = if pad { vec![integers("kernel_shape", &[3, 3]), pads(&[1, 1, 1, 1])] } else { vec![] };
    push(graph, "QLinearConv", &inputs, name, attributes);
}

fn pool() -> Vec<AttributeProto> {
    vec![integers("kernel_shape", &[3, 3]), integers("strides", &[2, 2]), integer("ceil_mode", 1)]
}

fn floats(graph: &mut GraphProto, name: &str, shape: &[usize]) {
    let values = 0..shape.iter().product::<usize>();
    let raw = values.flat_map(|i| ((i * 37 % 101) as f32 / 50.0 - 1.0).to_le_bytes()).collect();
    constant(graph, name, DataType::Float, shape, raw);
}

pub fn constant(graph: &mut GraphProto, name: &str, kind: DataType, shape: &[usize], raw_data: Vec<u8>) {
    let dims = shape.iter().map(|side| *side as i64).collect();
    graph.initializer.push(TensorProto {
        name: name.into(),
        dims,
        data_type: kind as i32,
        raw_data,
        ..Default::default()
    });
}

pub fn push(graph: &mut GraphProto, op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) {
    graph.node.push(NodeProto {
        op_type: op.into(),
        name: output.into(),
        input: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.into()],
        attribute,
        ..NodeProto::default()
    });
}

pub fn integer(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i, ..AttributeProto::default() }
}

pub fn integers(name: &str, ints: &[i64]) -> AttributeProto {
    let ints = ints.to_vec();
    AttributeProto { name: name.into(), r#type: AttributeType::Ints as i32, ints, ..AttributeProto::default() }
}

fn pads(ints: &[i64]) -> AttributeProto {
    integers("pads", ints)
}

pub fn info(name: &str, kind: DataType, shape: &[usize]) -> ValueInfoProto {
    let size =
        |side: &usize| Dimension { value: Some(dimension::Value::DimValue(*side as i64)), ..Dimension::default() };
    let shape = Some(TensorShapeProto { dim: shape.iter().map(size).collect() });
    let tensor = type_proto::Tensor { elem_type: kind as i32, shape };
    let r#type = Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() });
    ValueInfoProto { name: name.into(), r#type, ..ValueInfoProto::default() }
}
