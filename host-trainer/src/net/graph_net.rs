//! A net that is read from an ONNX file so that it can be trained: a chain or a branching graph of the operators of DenseNet and
//! its like.

use std::collections::HashMap;

use prost::Message;
use tch::nn::{self, ModuleT};
use tch::{Device, Kind, Tensor};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, NodeProto, TensorProto};

use super::layout::channels_last;
use crate::error::Error;

/// A trainable net of an ONNX file with one input and one output.
pub struct GraphNet {
    store: nn::VarStore,
    nodes: Vec<Node>,
    /// Nodes before this one are not trained.
    trained_from: usize,
    /// Values that the nodes exchange.
    values: usize,
    output: usize,
}

struct Node {
    op: Op,
    /// Numbers of the values that it takes and gives.
    inputs: Vec<usize>,
    output: usize,
    /// Values that no later node takes.
    released: Vec<usize>,
}

enum Op {
    Convolution {
        weight: Tensor,
        bias: Option<Tensor>,
        stride: i64,
        padding: i64,
        groups: i64,
    },
    Norm(nn::BatchNorm),
    Relu,
    MaxPool {
        kernel: i64,
        stride: i64,
        padding: i64,
    },
    AveragePool {
        kernel: i64,
        stride: i64,
    },
    Concat,
    GlobalAveragePool,
    Flatten,
    /// `x weight^T + bias`.
    Linear {
        weight: Tensor,
        bias: Tensor,
    },
    Identity,
}

/// What the last layer's outputs become: for each output of the new net the number of the file's output whose weights it
/// begins with, or none.
pub type Outputs<'a> = &'a [Option<usize>];

/// How far below the lowest a new output's bias begins.
const UNKNOWN: f64 = 2.0;

impl GraphNet {
    /// Reads the net of an ONNX file onto `device`. With `outputs`, its last layer is replaced; outputs that the file lacks begin
    /// below the others, whatever the input.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if the bytes are not an ONNX file, or the graph has an operator, attribute or tensor that is
    /// not known here.
    pub fn read(onnx: &[u8], outputs: Option<Outputs>, device: Device) -> crate::Result<GraphNet> {
        let model = ModelProto::decode(onnx).map_err(|error| Error::BadInput(format!("not an ONNX file: {error}")))?;
        let graph = model.graph.ok_or_else(|| Error::BadInput("an ONNX file without a graph".into()))?;
        let constants: HashMap<&str, &TensorProto> =
            graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        let mut inputs = graph.input.iter().filter(|input| !constants.contains_key(input.name.as_str()));
        let (Some(input), None, [output]) = (inputs.next(), inputs.next(), &graph.output[..]) else {
            return Err(Error::BadInput("the graph has not one input and one output".into()));
        };
        let store = nn::VarStore::new(device);
        let mut numbers = HashMap::from([(input.name.as_str(), 0)]);
        let mut nodes = Vec::new();
        for (place, node) in graph.node.iter().enumerate() {
            let reader = Reader { node, constants: &constants, path: store.root().sub(format!("node{place}")) };
            let [made] = &node.output[..] else { return Err(reader.unknown("several outputs")) };
            let last = made == &output.name;
            let (op, count) = reader.op(outputs.filter(|_| last))?;
            let taken = node.input.get(..count.unwrap_or(node.input.len()));
            let taken: Option<Vec<usize>> =
                taken.and_then(|names| names.iter().map(|name| numbers.get(name.as_str()).copied()).collect());
            let taken = taken.ok_or_else(|| reader.unknown("an input that no node before it makes"))?;
            let number = numbers.len();
            numbers.insert(made, number);
            nodes.push(Node { op, inputs: taken, output: number, released: Vec::new() });
        }
        let values = numbers.len();
        let missing = || Error::BadInput(format!("no node makes the graph's output {}", output.name));
        let output = *numbers.get(output.name.as_str()).ok_or_else(missing)?;
        for value in (0..values).filter(|value| *value != output) {
            if let Some(last) = nodes.iter_mut().rfind(|node| node.inputs.contains(&value)) {
                last.released.push(value);
            }
        }
        Ok(GraphNet { store, nodes, trained_from: 0, values, output })
    }

    /// Freezes all nodes up to the average pool of this number, from 1: of DenseNet, the stem and so many dense blocks, each with
    /// its transition. Their batch norm keeps its statistics.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if there are not so many.
    pub fn freeze(&mut self, pools: usize) -> crate::Result<()> {
        let of_pools = |node: &(usize, &Node)| matches!(node.1.op, Op::AveragePool { .. });
        let last = match pools {
            0 => None,
            _ => Some(self.nodes.iter().enumerate().filter(of_pools).nth(pools - 1).map(|(place, _)| place)),
        };
        let found = last.map_or(Some(0), |place| place.map(|place| place + 1));
        let missing = || Error::BadInput(format!("frozen = {pools}: the net has not so many blocks"));
        self.trained_from = found.ok_or_else(missing)?;
        for node in &self.nodes[..self.trained_from] {
            let variables = match &node.op {
                Op::Convolution { weight, bias, .. } => vec![Some(weight), bias.as_ref()],
                Op::Norm(norm) => vec![norm.ws.as_ref(), norm.bs.as_ref()],
                Op::Linear { weight, bias } => vec![Some(weight), Some(bias)],
                _ => Vec::new(),
            };
            for variable in variables.into_iter().flatten() {
                let _ = variable.set_requires_grad(false);
            }
        }
        Ok(())
    }

    /// What the net answers to its input, computed in `kind`: f32. With `train`, batch norm that is not frozen takes the
    /// statistics of this input and learns from them.
    pub fn forward(&self, input: &Tensor, kind: Kind, train: bool) -> Tensor {
        let mut values: Vec<Option<Tensor>> = (0..self.values).map(|_| None).collect();
        values[0] = Some(input.to_kind(kind));
        let run = |nodes: &[Node], values: &mut Vec<Option<Tensor>>, train: bool| {
            for node in nodes {
                let inputs: Vec<&Tensor> = node.inputs.iter().filter_map(|value| values[*value].as_ref()).collect();
                let out = node.op.apply(&inputs, kind, train);
                values[node.output] = Some(out);
                node.released.iter().for_each(|value| values[*value] = None);
            }
        };
        let (frozen, trained) = self.nodes.split_at(self.trained_from);
        tch::no_grad(|| run(frozen, &mut values, false));
        run(trained, &mut values, train);
        values[self.output].as_ref().map_or_else(Tensor::new, |out| out.to_kind(Kind::Float))
    }

    /// Weights, and running statistics of batch norm.
    pub fn store(&self) -> &nn::VarStore {
        &self.store
    }

    /// Whether a variable belongs to the last layer, by its name.
    pub fn is_of_last_layer(&self, name: &str) -> bool {
        name.strip_prefix("node").and_then(|rest| rest.split('.').next()).and_then(|number| number.parse().ok())
            == self.nodes.len().checked_sub(1)
    }
}

impl Op {
    fn apply(&self, inputs: &[&Tensor], kind: Kind, train: bool) -> Tensor {
        let first = inputs[0];
        match self {
            Op::Convolution { weight, bias, stride, padding, groups } => {
                let weight = channels_last(&weight.to_kind(kind));
                let bias = bias.as_ref().map(|bias| bias.to_kind(kind));
                first.conv2d(&weight, bias.as_ref(), [*stride; 2], [*padding; 2], [1, 1], *groups)
            }
            Op::Norm(norm) => norm.forward_t(first, train),
            Op::Relu => first.relu(),
            Op::MaxPool { kernel, stride, padding } => {
                first.max_pool2d([*kernel; 2], [*stride; 2], [*padding; 2], [1, 1], false)
            }
            Op::AveragePool { kernel, stride } => {
                first.avg_pool2d([*kernel; 2], [*stride; 2], [0, 0], false, true, None)
            }
            Op::Concat if inputs.len() == 1 => first.shallow_clone(),
            Op::Concat => Tensor::cat(inputs, 1),
            Op::GlobalAveragePool => first.mean_dim([2i64, 3].as_slice(), true, Kind::Float),
            Op::Flatten => first.flatten(1, -1),
            Op::Linear { weight, bias } => first.to_kind(Kind::Float).linear(weight, Some(bias)),
            Op::Identity => first.shallow_clone(),
        }
    }
}

/// Reads one node of the file.
struct Reader<'a> {
    node: &'a NodeProto,
    constants: &'a HashMap<&'a str, &'a TensorProto>,
    path: nn::Path<'a>,
}

impl Reader<'_> {
    fn unknown(&self, what: &str) -> Error {
        let NodeProto { op_type, name, .. } = self.node;
        Error::BadInput(format!("node {name} ({op_type}) has {what}, which is not known"))
    }

    /// The operator, and how many of the node's inputs are values; all of them where it says none.
    fn op(&self, outputs: Option<Outputs>) -> crate::Result<(Op, Option<usize>)> {
        let last_only = |op: &str| outputs.is_none() || op == "Gemm";
        if !last_only(&self.node.op_type) {
            return Err(self.unknown("no weights of its own, and is the last layer"));
        }
        let op = match self.node.op_type.as_str() {
            "Conv" => {
                let weight = self.variable("weight", self.constant(1)?);
                let bias = self.node.input.get(2).map(|_| self.constant(2)).transpose()?;
                let [kernel, stride, padding] = self.square(weight.size().get(2).copied())?;
                let groups = self.integer("group", 1);
                let square = weight.dim() == 4 && weight.size()[2..] == [kernel; 2];
                if !square || self.integers("dilations").iter().any(|dilation| *dilation != 1) {
                    return Err(self.unknown("a filter that is not square, or dilated"));
                }
                let bias = bias.map(|bias| self.variable("bias", bias));
                Op::Convolution { weight, bias, stride, padding, groups }
            }
            "BatchNormalization" => self.norm()?,
            "Relu" => Op::Relu,
            "MaxPool" => {
                let [kernel, stride, padding] = self.square(None)?;
                Op::MaxPool { kernel, stride, padding }
            }
            "AveragePool" => match self.square(None)? {
                [kernel, stride, 0] => Op::AveragePool { kernel, stride },
                _ => return Err(self.unknown("padding")),
            },
            "Concat" if self.integer("axis", 0) == 1 => return Ok((Op::Concat, None)),
            "GlobalAveragePool" => Op::GlobalAveragePool,
            "Flatten" if self.integer("axis", 1) == 1 => Op::Flatten,
            "Gemm" => self.linear(outputs)?,
            "Pad" if !self.integers("pads").is_empty() && self.integers("pads").iter().all(|pad| *pad == 0) => {
                Op::Identity
            }
            "Identity" => Op::Identity,
            _ => return Err(self.unknown("this operator or attribute")),
        };
        Ok((op, Some(1)))
    }

    fn norm(&self) -> crate::Result<Op> {
        let parts = (1..5).map(|input| self.constant(input)).collect::<crate::Result<Vec<_>>>()?;
        let channels = parts[0].size();
        let epsilon = self.node.attribute.iter().find(|attribute| attribute.name == "epsilon").map(|it| it.f);
        if channels.len() != 1 || parts.iter().any(|part| part.size() != channels) {
            return Err(self.unknown("parts of different shapes"));
        }
        let eps = f64::from(epsilon.unwrap_or(1e-5));
        let mut norm = nn::batch_norm2d(&self.path, channels[0], nn::BatchNormConfig { eps, ..Default::default() });
        let [gain, offset, mean, variance] = &parts[..] else { return Err(self.unknown("not four parts")) };
        tch::no_grad(|| {
            norm.running_mean.copy_(mean);
            norm.running_var.copy_(variance);
            for (parameter, value) in [(&mut norm.ws, gain), (&mut norm.bs, offset)] {
                parameter.iter_mut().for_each(|parameter| parameter.copy_(value));
            }
        });
        Ok(Op::Norm(norm))
    }

    fn linear(&self, outputs: Option<Outputs>) -> crate::Result<Op> {
        let plain = ["alpha", "beta"].iter().all(|name| {
            self.node.attribute.iter().find(|attribute| attribute.name == *name).is_none_or(|it| it.f == 1.0)
        });
        if !plain || self.integer("transB", 0) != 1 || self.integer("transA", 0) != 0 {
            return Err(self.unknown("factors, or weights that are not transposed"));
        }
        let (mut weight, mut bias) = (self.constant(1)?, self.constant(2)?);
        if weight.dim() != 2 || bias.size() != weight.size()[..1] {
            return Err(self.unknown("weights and bias that do not fit"));
        }
        if let Some(outputs) = outputs {
            let lowest = bias.min().double_value(&[]) - UNKNOWN;
            let width = weight.size()[1];
            let none = (Tensor::zeros([1, width], (Kind::Float, Device::Cpu)), Tensor::from_slice(&[lowest as f32]));
            let row = |output: &Option<usize>| match output {
                None => Ok((none.0.shallow_clone(), none.1.shallow_clone())),
                Some(row) if (*row as i64) < weight.size()[0] => {
                    Ok((weight.narrow(0, *row as i64, 1), bias.narrow(0, *row as i64, 1)))
                }
                Some(_) => Err(self.unknown("fewer outputs")),
            };
            let (weights, biases): (Vec<_>, Vec<_>) =
                outputs.iter().map(row).collect::<crate::Result<Vec<_>>>()?.into_iter().unzip();
            (weight, bias) = (Tensor::cat(&weights, 0), Tensor::cat(&biases, 0));
        }
        Ok(Op::Linear { weight: self.variable("weight", weight), bias: self.variable("bias", bias) })
    }

    fn variable(&self, name: &str, values: Tensor) -> Tensor {
        self.path.var_copy(name, &values)
    }

    fn constant(&self, input: usize) -> crate::Result<Tensor> {
        let tensor = self.node.input.get(input).and_then(|name| self.constants.get(name.as_str()));
        let tensor = tensor.ok_or_else(|| self.unknown("no weights in the file"))?;
        let count: i64 = tensor.dims.iter().product();
        let whole = tensor.data_type == DataType::Float as i32 && tensor.raw_data.len() as i64 == count * 4;
        if !whole || tensor.dims.iter().any(|side| *side <= 0) {
            return Err(self.unknown("weights that are not whole f32 tensors"));
        }
        Ok(Tensor::from_data_size(&tensor.raw_data, &tensor.dims, Kind::Float))
    }

    fn integer(&self, name: &str, otherwise: i64) -> i64 {
        self.node.attribute.iter().find(|attribute| attribute.name == name).map_or(otherwise, |it| it.i)
    }

    fn integers(&self, name: &str) -> &[i64] {
        self.node.attribute.iter().find(|attribute| attribute.name == name).map_or(&[], |it| &it.ints)
    }

    /// Kernel, stride and padding, which are the same in all directions.
    fn square(&self, kernel: Option<i64>) -> crate::Result<[i64; 3]> {
        let one = |name: &str, otherwise: Option<i64>| match self.integers(name) {
            [] => otherwise,
            [first, others @ ..] if others.iter().all(|other| other == first) => Some(*first),
            _ => None,
        };
        let values = [one("kernel_shape", kernel), one("strides", Some(1)), one("pads", Some(0))];
        let known = values[0].zip(values[1]).zip(values[2]).filter(|((kernel, stride), padding)| {
            (1..=64).contains(kernel) && (1..=64).contains(stride) && (0..=64).contains(padding)
        });
        known
            .map(|((kernel, stride), padding)| [kernel, stride, padding])
            .ok_or_else(|| self.unknown("a window that is not square"))
    }
}

#[cfg(test)]
mod tests;
