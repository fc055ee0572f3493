//! The operators that a graph may use, and the type and shape of each one's output.
//!
//! They are those of `host-trainer`'s graphs and a few more. Others are refused, because nobody has bounded what tract does with them.

use std::collections::HashMap;

use tract_onnx::pb::{NodeProto, TensorProto};

use super::attributes::Attributes;
use super::constant::floats;
use super::{Kind, MAX_MULTIPLY_ACCUMULATES, MAX_VALUES_TOGETHER, Value, is_standard, require, shown, within};

/// The most inputs of one operator.
pub const MAX_INPUTS: usize = 64;
/// The range of scales within which products and quotients of three neither vanish nor overflow.
const SCALES: std::ops::RangeInclusive<f32> = 1e-9..=1e9;

/// The output and cost of the operators so far.
#[derive(Debug, Default)]
pub struct Effort {
    values: u64,
    pub multiply_accumulates: u64,
}

/// An operator with its inputs.
pub struct Operator<'a> {
    pub inputs: Vec<(&'a Value, Option<&'a TensorProto>)>,
    pub effort: &'a mut Effort,
}

/// Checks a node. Returns its output, and the node rebuilt from what was checked and named after its output.
pub fn checked(
    node: &NodeProto,
    values: &HashMap<String, Value>,
    constants: &HashMap<String, TensorProto>,
    effort: &mut Effort,
) -> Result<(Value, NodeProto), String> {
    require(is_standard(&node.domain), || format!("domain `{}`", shown(&node.domain)))?;
    let [output] = &node.output[..] else { return Err(format!("{} outputs, not one", node.output.len())) };
    within("inputs", node.input.len(), MAX_INPUTS)?;
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
            (operator.quantized_conv(&attributes)?, attributes)
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
        _ => return Err("this operator is not supported".into()),
    };
    let effort = operator.effort;
    effort.values = effort.values.saturating_add(value.count() as u64);
    within("values so far", effort.values, MAX_VALUES_TOGETHER)?;
    within("multiply-accumulates so far", effort.multiply_accumulates, MAX_MULTIPLY_ACCUMULATES)?;
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

    /// Checks that input number `input` is one scale, or one per channel.
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

/// Returns whether a constant is a single value, or has one value per channel.
pub fn is_for(value: &Value, channels: usize) -> bool {
    value.shape.is_empty() || value.shape == [1] || value.shape == [channels]
}
