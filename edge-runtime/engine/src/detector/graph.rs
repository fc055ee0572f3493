//! Reads BlazeFace from its ONNX file, which `host-trainer`'s `onnx::detector` writes.

use std::collections::HashMap;

use anyhow::{Context, bail, ensure};
use expression_kernels::separable::{Pointwise, Separable, Skip, Stem};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};
use tract_onnx::prelude::TractResult;

use crate::graph;

/// BlazeFace: a first layer, a sequence of separable convolutions, and heads on two of their maps.
#[derive(Debug)]
pub struct Graph {
    /// The first layer, for a grey picture: the sum of the filters of the three colours.
    pub stem: Stem,
    /// The separable convolutions in the order they run.
    pub layers: Vec<Separable>,
    /// The heads, one for each grid of anchors.
    pub heads: [Head; 2],
}

/// A head: a logit and sixteen values for each anchor of a map.
#[derive(Debug)]
pub struct Head {
    /// The number of layers before the map.
    pub after: usize,
    /// The convolution that gives one logit per anchor.
    pub scores: Pointwise,
    /// The convolution that gives sixteen values per anchor.
    pub boxes: Pointwise,
}

/// What a tensor of the graph stands for.
#[derive(Clone)]
enum Value {
    Picture,
    Stem(Stem),
    /// The map after this many layers.
    Map(usize),
    /// The 2x2 max-pool of a map.
    Pooled(usize),
    Depthwise {
        map: usize,
        filters: Vec<f32>,
        stride: usize,
    },
    Separable {
        map: usize,
        stride: usize,
        skip: Skip,
        filters: Vec<f32>,
        pointwise: Pointwise,
    },
    Head {
        map: usize,
        pointwise: Pointwise,
    },
    Heads(Vec<(usize, Pointwise)>),
}

/// Reads a graph. It computes nothing, and its memory is bounded by the size of the file.
///
/// # Errors
/// Returns an error if the graph is not the detector's.
pub fn read(onnx: &[u8]) -> TractResult<Graph> {
    let graph = graph::decoded(onnx)?.graph.context("no graph")?;
    let mut reader = Reader::new(&graph);
    for node in &graph.node {
        let name = node.output.first().context("a node without output")?;
        let value = reader.value(node).with_context(|| format!("{} {name}", node.op_type))?;
        reader.values.insert(name, value);
    }
    reader.finish()
}

/// The most channels of a convolution: ten times BlazeFace's.
const MAX_CHANNELS: usize = 1024;
/// The most values of constants that all nodes together may read: thirty times BlazeFace's.
const MAX_VALUES: usize = 4 << 20;

struct Reader<'a> {
    /// The number of constants' values read so far.
    read: std::cell::Cell<usize>,
    constants: HashMap<&'a str, &'a TensorProto>,
    values: HashMap<&'a str, Value>,
    stem: Option<Stem>,
    layers: Vec<Separable>,
}

impl<'a> Reader<'a> {
    fn new(graph: &'a GraphProto) -> Reader<'a> {
        let constants = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        let values = HashMap::from([("picture", Value::Picture)]);
        Reader { read: Default::default(), constants, values, stem: None, layers: Vec::new() }
    }

    fn value(&mut self, node: &NodeProto) -> TractResult<Value> {
        let input = self.input(node, 0)?.clone();
        Ok(match (node.op_type.as_str(), input) {
            ("Conv", input) => self.convolution(node, input)?,
            ("Relu", input) => self.layer(input)?,
            ("MaxPool", Value::Map(map)) => {
                ensure!(
                    integers(node, "kernel_shape")? == [2, 2] && integers(node, "strides")? == [2, 2],
                    "its window"
                );
                Value::Pooled(map)
            }
            ("Add", input) => sum(input, self.input(node, 1)?.clone())?,
            // Channels of zeros behind those of a map.
            ("Pad", input @ (Value::Map(_) | Value::Pooled(_))) => input,
            ("Identity" | "Transpose" | "Reshape", input) => input,
            ("Concat", Value::Head { map, pointwise }) => {
                let Value::Head { map: other, pointwise: of_other } = self.input(node, 1)?.clone() else {
                    bail!("of other tensors than two heads");
                };
                Value::Heads([(map, pointwise), (other, of_other)].into())
            }
            _ => bail!("not an operator of the detector"),
        })
    }

    fn convolution(&self, node: &NodeProto, input: Value) -> TractResult<Value> {
        let (shape, weight) = self.floats(node, 1)?;
        let [to, from, height, width] = shape[..] else { bail!("filters of other dimensions than four") };
        ensure!(to.max(from) <= MAX_CHANNELS, "too many channels: {to} from {from}");
        let strides = integers(node, "strides")?;
        let stride = match strides[..] {
            [1, 1] => 1,
            [2, 2] => 2,
            _ => bail!("strides {strides:?}"),
        };
        if let Value::Map(map) = input
            && [from, height, width] == [1, 3, 3]
        {
            ensure!(to.is_multiple_of(8) && self.channels(map) == Some(to), "its channels");
            return Ok(Value::Depthwise { map, filters: weight, stride });
        }
        let (_, bias) = self.floats(node, 2)?;
        ensure!(bias.len() == to && to > 0, "its bias");
        match input {
            Value::Picture => {
                ensure!(from == 3 && height == width && (2..=7).contains(&height) && stride == 2, "its filters");
                let area = height * width;
                let grey: Vec<f32> = weight
                    .chunks_exact(3 * area)
                    .flat_map(|filter| (0..area).map(move |at| filter[at] + filter[area + at] + filter[2 * area + at]))
                    .collect();
                Ok(Value::Stem(Stem::new(&grey, &bias, height)))
            }
            Value::Depthwise { map, filters, stride: before } => {
                ensure!([height, width, stride] == [1, 1, 1] && filters.len() == 9 * from, "its filters");
                let pointwise = Pointwise::new(&weight, &bias);
                Ok(Value::Separable { map, stride: before, skip: Skip::None, filters, pointwise })
            }
            Value::Map(map) => {
                ensure!([height, width, stride] == [1, 1, 1] && self.channels(map) == Some(from), "its filters");
                Ok(Value::Head { map, pointwise: Pointwise::new(&weight, &bias) })
            }
            _ => bail!("of a tensor that is not a map"),
        }
    }

    /// Completes a layer, which a ReLU ends.
    fn layer(&mut self, input: Value) -> TractResult<Value> {
        match input {
            Value::Stem(stem) if self.stem.is_none() => {
                ensure!(stem.stored() == stem.to(), "{} channels", stem.to());
                self.stem = Some(stem);
                Ok(Value::Map(0))
            }
            Value::Separable { map, stride, skip, filters, pointwise } => {
                ensure!(map == self.layers.len(), "of another map than the last");
                // Maps hold whole blocks, so the next layer reads them without copying.
                ensure!(pointwise.stored() == pointwise.to(), "{} channels", pointwise.to());
                ensure!(skip == Skip::None || pointwise.from() <= pointwise.to(), "a skip that drops channels");
                self.layers.push(Separable::new(&filters, pointwise, stride, skip));
                Ok(Value::Map(self.layers.len()))
            }
            _ => bail!("of a tensor that is not a layer"),
        }
    }

    fn finish(self) -> TractResult<Graph> {
        let heads = |name: &str| match self.values.get(name) {
            Some(Value::Heads(heads)) => Ok(heads.clone()),
            _ => bail!("no output {name}"),
        };
        let head = |((after, scores), (of_boxes, boxes)): ((usize, Pointwise), (usize, Pointwise))| {
            ensure!(after == of_boxes, "scores and boxes of different maps");
            Ok(Head { after, scores, boxes })
        };
        let found = heads("scores")?.into_iter().zip(heads("boxes")?).map(head).collect::<TractResult<Vec<_>>>()?;
        let heads = <[Head; 2]>::try_from(found).map_err(|_| anyhow::anyhow!("other than two grids"))?;
        Ok(Graph { stem: self.stem.context("no first layer")?, layers: self.layers, heads })
    }

    /// Returns the number of channels of a map.
    fn channels(&self, map: usize) -> Option<usize> {
        match map.checked_sub(1) {
            None => self.stem.as_ref().map(Stem::to),
            Some(layer) => self.layers.get(layer).map(Separable::to),
        }
    }

    fn input(&self, node: &NodeProto, index: usize) -> TractResult<&Value> {
        let name = node.input.get(index).context("an input is missing")?;
        self.values.get(name.as_str()).with_context(|| format!("no tensor {name}"))
    }

    /// Returns the shape and values of a constant.
    fn floats(&self, node: &NodeProto, index: usize) -> TractResult<(Vec<usize>, Vec<f32>)> {
        let name = node.input.get(index).context("an input is missing")?;
        let tensor = self.constants.get(name.as_str()).with_context(|| format!("no constant {name}"))?;
        let dims = tensor.dims.iter().map(|side| usize::try_from(*side)).collect::<Result<Vec<_>, _>>()?;
        let count = dims.iter().try_fold(1usize, |count, side| count.checked_mul(*side)).context("its dimensions")?;
        self.read.set(self.read.get().saturating_add(count));
        ensure!(self.read.get() <= MAX_VALUES, "too many values of constants");
        ensure!(tensor.data_type == DataType::Float as i32 && tensor.raw_data.len() / 4 == count, "{name}: its values");
        let values: Vec<f32> =
            tensor.raw_data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        ensure!(count > 0 && values.iter().all(|value| value.is_finite()), "{name}: its values");
        Ok((dims, values))
    }
}

/// Adds the skip connection to a separable convolution: the sum with the map that it was made from.
fn sum(a: Value, b: Value) -> TractResult<Value> {
    let ((Value::Separable { map, stride, filters, pointwise, .. }, other)
    | (other, Value::Separable { map, stride, filters, pointwise, .. })) = (a, b)
    else {
        bail!("of tensors that are not a layer");
    };
    match (other, stride) {
        (Value::Map(input), 1) | (Value::Pooled(input), 2) if input == map => {
            Ok(Value::Separable { map, stride, skip: Skip::Input, filters, pointwise })
        }
        _ => bail!("of a layer and another tensor than its input"),
    }
}

fn integers(node: &NodeProto, name: &str) -> TractResult<Vec<i64>> {
    let attribute = node.attribute.iter().find(|attribute| attribute.name == name);
    Ok(attribute.with_context(|| format!("no attribute {name}"))?.ints.clone())
}
