//! The operators that a graph may use, and what each makes of its inputs.
//!
//! They are those of `host-trainer`'s graphs and a few beside: what tract does with other operators nobody has bounded.

use std::collections::HashMap;

use tract_onnx::pb::{NodeProto, TensorProto};

use super::attributes::Attributes;
use super::constant::floats;
use super::{Kind, MOST_MULTIPLY_ACCUMULATES, MOST_VALUES_TOGETHER, Value, is_standard, require, shown, within};

/// The most inputs of an operator.
pub const MOST_INPUTS: usize = 64;
/// Scales within these bounds neither vanish nor overflow when three of them are multiplied or divided.
const SCALES: std::ops::RangeInclusive<f32> = 1e-9..=1e9;

/// What the operators so far make and cost.
#[derive(Debug, Default)]
pub struct Effort {
    values: u64,
    pub multiply_accumulates: u64,
}

/// An operator with the tensors that it reads.
pub struct Operator<'a> {
    pub inputs: Vec<(&'a Value, Option<&'a TensorProto>)>,
    pub effort: &'a mut Effort,
}

/// What a node makes, and the node made anew of what was checked, named like the tensor that it makes.
pub fn checked(
    node: &NodeProto,
    values: &HashMap<String, Value>,
    constants: &HashMap<String, TensorProto>,
    effort: &mut Effort,
) -> Result<(Value, NodeProto), String> {
    require(is_standard(&node.domain), || format!("domain `{}`", shown(&node.domain)))?;
    let [output] = &node.output[..] else { return Err(format!("{} outputs, not one", node.output.len())) };
    within("inputs", node.input.len(), MOST_INPUTS)?;
    let input = |name: &String| {
        let value = values.get(name).ok_or_else(|| format!("nothing before it makes its input `{}`", shown(name)))?;
        Ok((value, constants.get(name)))
    };
    let inputs = node.input.iter().map(input).collect::<Result<_, String>>()?;
    let mut operator = Operator { inputs, effort };
    let window = &["kernel_shape", "pads", "strides", "dilations", "auto_pad"];
    let known = |names: &[&str]| Attributes::new(node, names);
    let (value, attributes) = match node.op_type.as_str() {
        "Identity" | "Relu" | "Sigmoid" | "Tanh" => (operator.unary()?, known(&[])?),
        "Add" | "Sub" | "Mul" | "Div" => (operator.binary()?, known(&[])?),
        "Conv" => {
            let attributes = known(&[window, &["group"][..]].concat())?;
            (operator.conv(&attributes)?, attributes)
        }
        "QLinearConv" => {
            let attributes = known(&[window, &["group"][..]].concat())?;
            (operator.quantised_conv(&attributes)?, attributes)
        }
        "MaxPool" => {
            let attributes = known(&[window, &["ceil_mode", "storage_order"][..]].concat())?;
            (operator.max_pool(&attributes)?, attributes)
        }
        "DequantizeLinear" => {
            let attributes = known(&["axis"])?;
            (operator.dequantize(&attributes)?, attributes)
        }
        "Concat" => {
            let attributes = known(&["axis"])?;
            (operator.concat(&attributes)?, attributes)
        }
        "Flatten" => {
            let attributes = known(&["axis"])?;
            (operator.flatten(&attributes)?, attributes)
        }
        "Reshape" => {
            let attributes = known(&["allowzero"])?;
            (operator.reshape(&attributes)?, attributes)
        }
        "Transpose" => {
            let attributes = known(&["perm"])?;
            (operator.transpose(&attributes)?, attributes)
        }
        "Pad" => {
            let attributes = known(&["mode"])?;
            (operator.pad(&attributes)?, attributes)
        }
        _ => return Err("this operator is not known here".into()),
    };
    let effort = operator.effort;
    effort.values = effort.values.saturating_add(value.count() as u64);
    within("values so far", effort.values, MOST_VALUES_TOGETHER)?;
    within("multiply-accumulates so far", effort.multiply_accumulates, MOST_MULTIPLY_ACCUMULATES)?;
    let checked = NodeProto {
        op_type: node.op_type.clone(),
        name: output.clone(),
        input: node.input.clone(),
        output: vec![output.clone()],
        attribute: attributes.rebuilt(),
        ..NodeProto::default()
    };
    Ok((value, checked))
}

impl<'a> Operator<'a> {
    pub fn require_inputs(&self, counts: std::ops::RangeInclusive<usize>) -> Result<(), String> {
        require(counts.contains(&self.inputs.len()), || format!("{} inputs", self.inputs.len()))
    }

    pub fn constant(&self, input: usize, what: &str) -> Result<(&'a Value, &'a TensorProto), String> {
        let (value, constant) = self.inputs[input];
        Ok((value, constant.ok_or_else(|| format!("its {what} are not constant"))?))
    }

    fn unary(&mut self) -> Result<Value, String> {
        self.require_inputs(1..=1)?;
        self.inputs[0].0.is_one_of(&[Kind::Float])?;
        Ok(self.inputs[0].0.clone())
    }

    fn binary(&mut self) -> Result<Value, String> {
        self.require_inputs(2..=2)?;
        let [(a, _), (b, _)] = self.inputs[..] else { return Err("not two inputs".into()) };
        a.is_one_of(&[Kind::Float])?;
        b.is_one_of(&[Kind::Float])?;
        let axes = a.shape.len().max(b.shape.len());
        let side = |value: &Value, axis: usize| {
            (axis + value.shape.len()).checked_sub(axes).map_or(1, |axis| value.shape[axis])
        };
        let shape = (0..axes).map(|axis| match (side(a, axis), side(b, axis)) {
            (a, b) if a == b || b == 1 => Ok(a),
            (1, b) => Ok(b),
            _ => Err(format!("shapes {:?} and {:?}", a.shape, b.shape)),
        });
        Value::new(Kind::Float, shape.collect::<Result<_, _>>()?)
    }

    /// Input number `input` is one scale, or one for each of `channels`.
    pub fn scale(&self, input: usize, channels: usize) -> Result<(), String> {
        let (value, constant) = self.constant(input, "scales")?;
        value.is_one_of(&[Kind::Float])?;
        require(is_for(value, channels), || format!("scales of shape {:?}", value.shape))?;
        let bad = floats(constant).into_iter().find(|scale| !SCALES.contains(scale));
        bad.map_or(Ok(()), |scale| Err(format!("a scale of {scale:e}, not one of {SCALES:?}")))
    }

    pub fn zero(&self, input: usize, kind: Kind, channels: usize) -> Result<(), String> {
        let (value, _) = self.constant(input, "zero points")?;
        value.is_one_of(&[kind])?;
        require(is_for(value, channels), || format!("zero points of shape {:?}", value.shape))
    }
}

/// Whether a constant is one value, or a row of one for each channel.
pub fn is_for(value: &Value, channels: usize) -> bool {
    value.shape.is_empty() || value.shape == [1] || value.shape == [channels]
}
