//! The expression net as ONNX: a float graph, and an int8 graph of `QLinearConv` with u8 activations and s8 weights.

use expression_core::Label;
use expression_engine::bundle::LowLightGain;
use expression_engine::expression::INTEGER_SCORES;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, ModelProto, StringStringEntryProto};

use super::{FloatNet, IntegerNet};
use crate::net::expression_net::{INPUT_UNIT, INPUT_ZERO};
use crate::onnx::builder::{Builder, integer, integer_list, value_info};

/// The float graph: `face` f32 `[1, channels, size, size]` in `0..=255` to `logits` f32 `[1, classes]`.
pub fn float(net: &FloatNet) -> ModelProto {
    let mut onnx = Builder::default();
    let zero = onnx.float("input_zero", &[], &[INPUT_ZERO as f32]);
    let unit = onnx.float("input_unit", &[], &[INPUT_UNIT as f32]);
    onnx.push("Sub", ["face", &zero], "centred", vec![]);
    onnx.push("Div", ["centred", &unit], "normalised", vec![]);
    let mut last = "normalised".to_owned();
    for layer in &net.layers {
        let name = &layer.name;
        let weight = onnx.float(&format!("{name}_weight"), &layer.shape, &layer.weight);
        let bias = onnx.float(&format!("{name}_bias"), &[layer.shape[0]], &layer.bias);
        onnx.push("Conv", [&last, &weight, &bias], name, convolution(layer.shape[2], layer.padding));
        last.clone_from(name);
        if layer.relu {
            last = format!("{name}_relu");
            onnx.push("Relu", [name], &last, vec![]);
        }
        if layer.pool {
            let pooled = format!("{name}_pool");
            onnx.push("MaxPool", [&last], &pooled, pool());
            last = pooled;
        }
    }
    onnx.push("Flatten", [&last], "logits", vec![integer("axis", 1)]);
    let (channels, size) = (net.channels, net.size);
    onnx.finish(
        "expression-f32",
        vec![value_info("face", DataType::Float, &[1, channels, size, size])],
        vec![value_info("logits", DataType::Float, &[1, net.classes()])],
    )
}

/// The int8 graph: `face` u8 `[1, channels, size, size]` to `logits` f32 `[1, classes, 1, 1]`. Its integer scores are the
/// tensor [`INTEGER_SCORES`]; ReLU is the lower bound of u8, because zero points after it are 0.
pub fn int8(net: &IntegerNet) -> ModelProto {
    let mut onnx = Builder::default();
    let mut last = "face".to_owned();
    let count = net.layers.len();
    for (index, layer) in net.layers.iter().enumerate() {
        let name = if index + 1 == count { INTEGER_SCORES } else { layer.name.as_str() };
        let key = |part: &str| format!("{name}_{part}");
        let raw = layer.weight.iter().map(|weight| *weight as u8).collect();
        let inputs = [
            last.clone(),
            onnx.float(&key("input_scale"), &[], &[layer.input_scale]),
            onnx.constant(&key("input_zero"), DataType::Uint8, &[], vec![layer.input_zero]),
            onnx.constant(&key("weight"), DataType::Int8, &layer.shape, raw),
            match &layer.weight_scale[..] {
                [scale] => onnx.float(&key("weight_scale"), &[], &[*scale]),
                scales => onnx.float(&key("weight_scale"), &[scales.len()], scales),
            },
            onnx.constant(&key("weight_zero"), DataType::Int8, &[], vec![0]),
            onnx.float(&key("output_scale"), &[], &[layer.output_scale]),
            onnx.constant(&key("output_zero"), DataType::Uint8, &[], vec![layer.output_zero]),
            onnx.constant(
                &key("bias"),
                DataType::Int32,
                &[layer.shape[0]],
                layer.bias.iter().flat_map(|bias| bias.to_le_bytes()).collect(),
            ),
        ];
        onnx.push(
            "QLinearConv",
            inputs.each_ref().map(String::as_str),
            name,
            convolution(layer.shape[2], layer.padding),
        );
        name.clone_into(&mut last);
        if layer.pool {
            last = format!("{name}_pool");
            onnx.push("MaxPool", [name], &last, pool());
        }
    }
    let output = net.output();
    let scale = onnx.float("logits_scale", &[], &[output.scale]);
    let zero = onnx.constant("logits_zero", DataType::Uint8, &[], vec![output.zero_point]);
    onnx.push("DequantizeLinear", [&last, &scale, &zero], "logits", vec![]);
    let (channels, size) = (net.channels, net.size);
    onnx.finish(
        "expression",
        vec![value_info("face", DataType::Uint8, &[1, channels, size, size])],
        vec![value_info("logits", DataType::Float, &[1, net.classes(), 1, 1])],
    )
}

/// Sets the model's metadata, which Netron shows, to what a reader of the file alone has to know: the labels in the order of the
/// outputs, the input and its scaling. `aligned`: side in pixels of the aligned face, of which the input is the centred crop.
pub fn describe(
    mut model: ModelProto,
    labels: &[Label],
    (channels, aligned, size): (usize, usize, usize),
    low_light: Option<LowLightGain>,
) -> ModelProto {
    let names: Vec<&str> = labels.iter().map(|label| label.name()).collect();
    let colour = if channels == 1 { "grey" } else { "RGB" };
    let entries = [
        ("labels", names.join(",")),
        ("input", format!("face aligned at {aligned}x{aligned} pixels, its centre {size}x{size}, {colour}, 0 to 255")),
        ("input_scaling", format!("within the graph: (value - {INPUT_ZERO}) / {INPUT_UNIT}")),
        ("method", "FaceNet2ExpNet, arXiv 1609.06591".to_owned()),
    ];
    let gain = low_light.map(|LowLightGain { below, to }| {
        ("low_light", format!("dark faces brightened beforehand: below {below}, to {to}"))
    });
    let entry = |(key, value): (&str, String)| StringStringEntryProto { key: key.into(), value };
    model.metadata_props.clear();
    model.metadata_props.extend(entries.into_iter().chain(gain).map(entry));
    model
}

fn convolution(kernel: usize, padding: usize) -> Vec<AttributeProto> {
    let (kernel, padding) = (kernel as i64, padding as i64);
    vec![integer_list("kernel_shape", &[kernel; 2]), integer_list("pads", &[padding; 4])]
}

/// Max-pool 3x3, stride 2, ceil mode: 224-112-56-28-14-7.
fn pool() -> Vec<AttributeProto> {
    vec![integer_list("kernel_shape", &[3; 2]), integer_list("strides", &[2; 2]), integer("ceil_mode", 1)]
}
