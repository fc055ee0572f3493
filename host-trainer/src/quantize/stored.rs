//! The net of a bundle, read back from its graphs, so that training can start from it: the float graph if the bundle holds
//! it, otherwise the int8 graph with weights and biases dequantized.

use std::collections::HashMap;

use expression_engine::{Bundle, bundle};
use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, NodeProto, TensorProto};

use super::float_net::{FloatNet, Layer};
use crate::error::{Context, Error};

impl FloatNet {
    /// Reads the net of a bundle. The int8 graph is dequantized (weight x scale) if the bundle came without the float graph, as
    /// committed bundles do; batch norm is folded in either.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if a graph does not match its hash, or is not a chain as this program writes it.
    pub fn of_bundle(bundle: &Bundle) -> crate::Result<FloatNet> {
        let name = if bundle.has(bundle::FLOAT) { bundle::FLOAT } else { bundle::INT8 };
        let input = bundle.manifest().input;
        FloatNet::from_onnx(&bundle.read(name)?, input.channels, input.size).with_context(|| name)
    }

    /// Returns the net with an identity convolution inserted after each of the given convolutions, numbered from 1. It changes no
    /// answer because its input, behind a ReLU, has no negative values. A pool moves behind it.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if there is no such convolution.
    pub fn deepened(mut self, after: &[usize]) -> crate::Result<FloatNet> {
        let convolutions = self.layers.len().saturating_sub(3);
        if !after.is_sorted_by(|a, b| a < b) || !after.iter().all(|number| (1..=convolutions).contains(number)) {
            let what = "numbers of the bundle's convolutions, ascending";
            return Err(Error::BadInput(format!("net.deepen: {what}, 1 to {convolutions}")));
        }
        for number in after.iter().rev() {
            let before = &mut self.layers[number - 1];
            let channels = before.shape[0];
            let mut weight = vec![0.0; channels * channels * 9];
            // The centre of the filter from each channel to itself.
            (0..channels).for_each(|channel| weight[(channel * channels + channel) * 9 + 4] = 1.0);
            let pool = std::mem::take(&mut before.pool);
            let added = Layer {
                name: String::new(),
                shape: [channels, channels, 3, 3],
                weight,
                bias: vec![0.0; channels],
                padding: 1,
                relu: true,
                pool,
            };
            self.layers.insert(*number, added);
        }
        let convolutions = convolutions + after.len();
        for (number, layer) in self.layers[..convolutions].iter_mut().enumerate() {
            layer.name = format!("conv{}", number + 1);
        }
        Ok(self)
    }

    /// Reads a float or an int8 graph that [`super::graph`] wrote. `channels`, `size`: of the aligned face that the net sees.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if it is anything else.
    pub fn from_onnx(bytes: &[u8], channels: usize, size: usize) -> crate::Result<FloatNet> {
        let read = || -> Option<Vec<Layer>> {
            let graph = ModelProto::decode(bytes).ok()?.graph?;
            let constants: HashMap<&str, &TensorProto> =
                graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
            let mut layers: Vec<Layer> = Vec::new();
            for node in &graph.node {
                match node.op_type.as_str() {
                    "Conv" => layers.push(float_layer(node, &constants)?),
                    "QLinearConv" => layers.push(int8_layer(node, &constants)?),
                    "Relu" => layers.last_mut()?.relu = true,
                    "MaxPool" => layers.last_mut()?.pool = true,
                    "Sub" | "Div" | "Flatten" | "DequantizeLinear" => {}
                    _ => return None,
                }
            }
            Some(layers)
        };
        let foreign = || Error::BadInput("not a graph that this program wrote; give a bundle of host-trainer".into());
        let mut layers = read().ok_or_else(foreign)?;
        let [rest @ .., adapter, hidden, classifier] = &mut layers[..] else { return Err(foreign()) };
        for (number, layer) in rest.iter_mut().enumerate() {
            layer.name = format!("conv{}", number + 1);
        }
        for (layer, name) in [(adapter, "adapter"), (hidden, "hidden"), (classifier, "classifier")] {
            layer.name = name.into();
        }
        // In the int8 graph ReLU is the lower bound of u8, so no operator tells of it.
        let last = layers.len() - 1;
        layers.iter_mut().enumerate().for_each(|(number, layer)| layer.relu = number < last);
        let net = FloatNet { channels, size, layers };
        if net.is_expression_net() { Ok(net) } else { Err(foreign()) }
    }

    /// Whether the layers are those of an expression net: 3x3 convolutions, a 1x1 adapter, a hidden layer over the whole map
    /// and a classifier, each of which takes what the one before it gives.
    fn is_expression_net(&self) -> bool {
        let (mut from, mut side) = (self.channels, self.size);
        let count = self.layers.len();
        self.layers.iter().enumerate().all(|(number, layer)| {
            let kernel = match count - number {
                1 | 3 => 1,
                2 => side,
                _ => 3,
            };
            let [to, takes, height, width] = layer.shape;
            let padding = usize::from(count - number > 3);
            let fits = [takes, height, width] == [from, kernel, kernel] && layer.padding == padding && to > 0;
            let filled = layer.weight.len() == to * takes * height * width && layer.bias.len() == to;
            (from, side) = (to, if count - number == 2 { 1 } else { side });
            if layer.pool {
                side = crate::config::pooled(side);
            }
            fits && filled && side > 0 && layer.weight.iter().chain(&layer.bias).all(|value| value.is_finite())
        })
    }
}

fn float_layer(node: &NodeProto, constants: &HashMap<&str, &TensorProto>) -> Option<Layer> {
    let [_, weight, bias] = &node.input[..] else { return None };
    let weight = constants.get(weight.as_str())?;
    Some(Layer {
        name: String::new(),
        shape: shape(weight)?,
        weight: floats(weight)?,
        bias: floats(constants.get(bias.as_str())?)?,
        padding: padding(node),
        relu: false,
        pool: false,
    })
}

fn int8_layer(node: &NodeProto, constants: &HashMap<&str, &TensorProto>) -> Option<Layer> {
    let [_, input_scale, _, weight, weight_scale, _, _, _, bias] = &node.input[..] else { return None };
    let constant = |name: &String| constants.get(name.as_str()).copied();
    let (weight, bias) = (constant(weight)?, constant(bias)?);
    let [input_scale] = floats(constant(input_scale)?)?[..] else { return None };
    let shape = shape(weight)?;
    let scales = floats(constant(weight_scale)?)?;
    let scale = |channel: usize| if scales.len() == 1 { scales.first() } else { scales.get(channel) }.copied();
    let filter = shape[1] * shape[2] * shape[3];
    if weight.data_type != DataType::Int8 as i32 || bias.data_type != DataType::Int32 as i32 || filter == 0 {
        return None;
    }
    let weights = weight.raw_data.iter().enumerate();
    let steps = bias.raw_data.chunks_exact(4).map(|bytes| i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    Some(Layer {
        name: String::new(),
        shape,
        weight: weights
            .map(|(place, byte)| Some(scale(place / filter)? * f32::from(*byte as i8)))
            .collect::<Option<_>>()?,
        // A bias counts in units of the input's scale times the weight's.
        bias: steps
            .enumerate()
            .map(|(to, step)| Some(step as f32 * input_scale * scale(to)?))
            .collect::<Option<_>>()?,
        padding: padding(node),
        relu: false,
        pool: false,
    })
}

fn shape(tensor: &TensorProto) -> Option<[usize; 4]> {
    let sides: Vec<usize> = tensor.dims.iter().map(|side| usize::try_from(*side).ok()).collect::<Option<_>>()?;
    // A product that no file holds is refused by the length of its weights; it must not overflow before that.
    sides.iter().try_fold(1usize, |product, side| product.checked_mul(*side))?;
    sides.try_into().ok()
}

fn floats(tensor: &TensorProto) -> Option<Vec<f32>> {
    let values =
        tensor.raw_data.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    (tensor.data_type == DataType::Float as i32).then(|| values.collect())
}

fn padding(node: &NodeProto) -> usize {
    let pads = node.attribute.iter().find(|attribute| attribute.name == "pads");
    pads.and_then(|pads| pads.ints.first()).and_then(|pad| usize::try_from(*pad).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use expression_engine::error::{Classify, ErrorKind};
    use tch::{Device, Kind, Tensor};

    use super::*;
    use crate::config::{Config, Net};
    use crate::net::ExpressionNet;
    use crate::onnx::builder;
    use crate::quantize::{graph, quantize};

    fn net() -> (FloatNet, Tensor, Config) {
        let mut config = Config::preset("smoke").unwrap();
        config.net = Net { convolutions: vec![8, 12, 8, 8], ..config.net };
        tch::manual_seed(5);
        let net = ExpressionNet::new(&config.net, 16, 8, Kind::Float, Device::Cpu);
        let side = config.net.size as i64;
        let faces = Tensor::randint(256, [24, 1, side, side], (Kind::Uint8, Device::Cpu));
        (FloatNet::fold(&net, config.net.channels, config.net.size).unwrap(), faces, config)
    }

    fn logits(net: &FloatNet, faces: &Tensor) -> Tensor {
        net.outputs(faces).pop().unwrap().flatten(1, -1)
    }

    #[test]
    fn a_float_graph_is_read_back_as_it_was() {
        let (net, faces, _) = net();
        let read = FloatNet::from_onnx(&builder::bytes(&graph::float(&net)), net.channels, net.size).unwrap();
        assert!(logits(&read, &faces) == logits(&net, &faces));
        assert_eq!(read.layers.last().unwrap().name, "classifier");
    }

    #[test]
    fn a_deeper_net_begins_with_the_same_answers() {
        let (net, faces, _) = net();
        let deeper = net.clone().deepened(&[1, 3]).unwrap();
        assert!(logits(&deeper, &faces) == logits(&net, &faces));
        let names: Vec<&str> = deeper.layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names, ["conv1", "conv2", "conv3", "conv4", "conv5", "conv6", "adapter", "hidden", "classifier"]);
        let pools = |net: &FloatNet| net.layers.iter().map(|layer| layer.pool).collect::<Vec<_>>();
        assert!(pools(&net)[0] && !pools(&deeper)[0] && pools(&deeper)[1], "the pool moves behind the added one");
        for after in [&[0][..], &[5], &[2, 2], &[3, 1]] {
            let error = net.clone().deepened(after).unwrap_err();
            assert!(error.kind() == ErrorKind::BadInput && error.to_string().contains("1 to 4"), "{error}");
        }
    }

    #[test]
    fn an_int8_graph_is_dequantized() {
        let (net, faces, config) = net();
        let int8 = quantize(&net, &faces, &config.quantize).unwrap();
        let read = FloatNet::from_onnx(&builder::bytes(&graph::int8(&int8)), net.channels, net.size).unwrap();
        let (found, expected) = (logits(&read, &faces), logits(&net, &faces));
        let (difference, spread) = ((&found - &expected).abs().max(), expected.std(true));
        // 7 bits of each weight are kept: the logits stay within a few hundredths of their spread.
        assert!(difference.double_value(&[]) < 0.1 * spread.double_value(&[]), "{difference} of {spread}");
    }

    #[test]
    fn the_shipped_bundle_can_be_started_from_and_other_graphs_are_refused() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/ferplus-edge");
        let net = FloatNet::of_bundle(&Bundle::open(&folder).unwrap()).unwrap();
        assert_eq!((net.layers.len(), net.classes()), (10, 8));
        let bytes = std::fs::read(folder.join(bundle::INT8)).unwrap();
        for (bytes, side) in [(&bytes[..bytes.len() / 2], 48), (&bytes[..], 64), (&[][..], 48)] {
            let error = FloatNet::from_onnx(bytes, 1, side).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadInput, "{error}");
        }
    }
}
