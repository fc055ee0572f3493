//! The trained net with batch norm and branches folded into its convolutions: a plain chain of layers.

use expression_core::Label;
use tch::{Device, Kind, Tensor};

use crate::error::Context;
use crate::net::ExpressionNet;
use crate::net::branches::fold_norm;
use crate::net::expression_net::{Block, normalised};

/// A chain of convolutions; fully-connected layers are convolutions over the whole map.
#[derive(Debug, Clone)]
pub struct FloatNet {
    /// Channels of the aligned face.
    pub channels: usize,
    /// Side of the net's input in pixels.
    pub size: usize,
    /// In the order they run.
    pub layers: Vec<Layer>,
}

/// A convolution with stride 1, ReLU where there is one, then max-pool 3x3 with stride 2 in ceil mode where there is one.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Name, for graphs.
    pub name: String,
    /// To, from, height, width.
    pub shape: [usize; 4],
    /// Row-major.
    pub weight: Vec<f32>,
    /// One an output channel.
    pub bias: Vec<f32>,
    /// Zeros around the input.
    pub padding: usize,
    /// ReLU after the convolution.
    pub relu: bool,
    /// Max-pool after that.
    pub pool: bool,
}

impl FloatNet {
    /// Folds batch norm, and the branches of a net that was trained with them, in double precision.
    ///
    /// # Errors
    /// Returns an error if the net's tensors are not of the shapes they should be.
    pub fn fold(net: &ExpressionNet, channels: usize, size: usize) -> crate::Result<FloatNet> {
        let mut layers = net.blocks().map(|(name, block)| fold(block, name)).collect::<crate::Result<Vec<_>>>()?;
        let classifier = net.classifier();
        let (to, from) = classifier.ws.size2()?;
        layers.push(Layer {
            name: "classifier".into(),
            shape: [to as usize, from as usize, 1, 1],
            weight: values(&classifier.ws)?,
            bias: values(classifier.bs.as_ref().context("a linear layer has a bias")?)?,
            padding: 0,
            relu: false,
            pool: false,
        });
        Ok(FloatNet { channels, size, layers })
    }

    /// Leaves out the outputs of the classes that are not among `labels`.
    pub fn with_classes(mut self, labels: &[Label]) -> FloatNet {
        if let Some(last) = self.layers.last_mut() {
            let inputs = last.weight.len() / last.shape[0].max(1);
            let rows = labels.iter().map(|label| *label as usize);
            last.weight = rows.clone().flat_map(|row| last.weight[row * inputs..][..inputs].to_vec()).collect();
            last.bias = rows.map(|row| last.bias[row]).collect();
            last.shape[0] = labels.len();
        }
        self
    }

    /// How many classes.
    pub fn classes(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.shape[0])
    }

    /// Multiply-accumulates of one inference.
    pub fn multiply_accumulates(&self) -> u64 {
        let mut side = self.size;
        let mut sum = 0;
        for layer in &self.layers {
            let [to, from, height, width] = layer.shape;
            side = side + 2 * layer.padding + 1 - height;
            sum += (side * side * to * from * height * width) as u64;
            if layer.pool {
                side = crate::config::pooled(side);
            }
        }
        sum
    }

    /// Weights and biases.
    pub fn parameters(&self) -> usize {
        self.layers.iter().map(|layer| layer.weight.len() + layer.bias.len()).sum()
    }

    /// The output of every layer, after its ReLU and before its pool, for faces u8 `[n, channels, size, size]`.
    pub fn outputs(&self, faces: &Tensor) -> Vec<Tensor> {
        tch::no_grad(|| {
            let mut maps = normalised(&faces.to_device(Device::Cpu));
            let mut outputs = Vec::new();
            for layer in &self.layers {
                let weight = Tensor::from_slice(&layer.weight).view(layer.shape.map(|side| side as i64));
                let bias = Tensor::from_slice(&layer.bias);
                maps = maps.conv2d(&weight, Some(&bias), [1, 1], [layer.padding as i64; 2], [1, 1], 1);
                if layer.relu {
                    maps = maps.relu();
                }
                outputs.push(maps.shallow_clone());
                if layer.pool {
                    maps = maps.max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], true);
                }
            }
            outputs
        })
    }
}

fn fold(block: &Block, name: String) -> crate::Result<Layer> {
    let convolution = &block.convolution;
    let size = convolution.ws.size();
    let shape: [usize; 4] =
        size.iter().map(|side| *side as usize).collect::<Vec<_>>().try_into().ok().context("a filter of four axes")?;
    let mut weight = convolution.ws.detach().to_kind(Kind::Double);
    let mut bias = match &convolution.bs {
        Some(bias) => bias.detach().to_kind(Kind::Double),
        None => Tensor::zeros([size[0]], (Kind::Double, weight.device())),
    };
    if let Some(branches) = &block.branches {
        (weight, bias) = branches.folded(&weight, &bias)?;
    }
    if let Some(norm) = &block.norm {
        (weight, bias) = fold_norm(norm, &weight, &bias)?;
    }
    let padding = block.padding as usize;
    Ok(Layer { name, shape, weight: values(&weight)?, bias: values(&bias)?, padding, relu: true, pool: block.pool })
}

fn values(tensor: &Tensor) -> crate::Result<Vec<f32>> {
    let flat = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous().view(-1);
    flat.try_into().context("tensor to values")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BlockKind, Config};

    #[test]
    fn a_net_with_branches_and_its_plain_chain_answer_the_same() {
        let mut config = Config::preset("smoke").unwrap().net;
        // With the input itself as a branch, and without it; with a pool, and without one.
        (config.convolutions, config.pools) = (vec![6, 6, 8, 8, 8], vec![2, 3, 4, 5]);
        (config.block, config.batch_norm, config.dropout) = (BlockKind::QaRepVgg, true, 0.0);
        tch::manual_seed(1);
        let net = ExpressionNet::new(&config, 5, Label::COUNT as i64, Kind::Float, Device::Cpu);
        let side = config.size as i64;
        let faces = Tensor::randint_low(0, 256, [16, 1, side, side], (Kind::Uint8, Device::Cpu));
        // Statistics, gains and offsets that are not those of a fresh net.
        let mean = Tensor::randn([1], (Kind::Float, Device::Cpu)) * 0.1;
        tch::no_grad(|| {
            for (name, mut variable) in net.store().variables() {
                if name.contains("norm.weight") {
                    let _ = variable.uniform_(0.5, 1.5);
                } else if name.contains("norm.bias") {
                    variable.copy_(&(variable.randn_like() * 0.2 + &mean));
                }
            }
            (0..5).for_each(|_| drop(net.logits(&net.input(&faces), true)));
        });
        let expected = tch::no_grad(|| net.logits(&net.input(&faces), false));
        let folded = FloatNet::fold(&net, 1, config.size).unwrap();
        assert_eq!(folded.layers.len(), config.convolutions.len() + 3, "one layer for each block");
        let found = folded.outputs(&faces).pop().unwrap().flatten(1, -1);
        let far = (&found - &expected).abs().max().double_value(&[]) / expected.abs().max().double_value(&[]);
        assert!(far < 1e-4, "{far}");
        // The branches say something: without them the answers are others.
        let chain = ExpressionNet::new(
            &crate::config::Net { block: BlockKind::Plain, ..config.clone() },
            5,
            Label::COUNT as i64,
            Kind::Float,
            Device::Cpu,
        );
        let names = |net: &ExpressionNet| net.store().variables().len();
        assert_eq!(names(&net) - names(&chain), 5 * 5, "five variables beside each convolution");
    }
}
