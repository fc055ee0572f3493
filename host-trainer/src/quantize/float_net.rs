//! The trained net with batch norm folded into its convolutions: a plain chain of layers.

use expression_core::Label;
use tch::{Device, Kind, Tensor};

use crate::error::Context;
use crate::net::ExpressionNet;
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
    /// Folds batch norm, in double precision.
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
    if let Some(norm) = &block.norm {
        let part = |tensor: &Option<Tensor>| tensor.as_ref().map(|tensor| tensor.detach().to_kind(Kind::Double));
        let (gain, offset) =
            (part(&norm.ws).context("batch norm has a gain")?, part(&norm.bs).context("and an offset")?);
        let (mean, variance) = (norm.running_mean.to_kind(Kind::Double), norm.running_var.to_kind(Kind::Double));
        // tch's default epsilon.
        let factor = gain / (variance + 1e-5).sqrt();
        weight *= factor.view([-1, 1, 1, 1]);
        bias = (bias - mean) * factor + offset;
    }
    let padding = block.padding as usize;
    Ok(Layer { name, shape, weight: values(&weight)?, bias: values(&bias)?, padding, relu: true, pool: block.pool })
}

fn values(tensor: &Tensor) -> crate::Result<Vec<f32>> {
    let flat = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous().view(-1);
    flat.try_into().context("tensor to values")
}
