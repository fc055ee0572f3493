//! What a 3x3 convolution has beside it while it is trained (QARepVGG: Chu et al., "Make RepVGG Greater Again: A
//! Quantization-aware Approach", AAAI 2024, arXiv 2212.01593): batch norm of its own, a 1x1 convolution, and the input itself.
//! One batch norm after the sum belongs to the block. All of it is linear, so that one 3x3 convolution can take its place.

use tch::nn::{self, Init, ModuleT};
use tch::{Kind, Tensor};

use super::layout::channels_last;
use crate::error::Context;

/// The branches of a block.
pub struct Branches {
    /// Of the 3x3 convolution alone.
    norm: nn::BatchNorm,
    /// `[to, from, 1, 1]`.
    pointwise: Tensor,
    /// Whether the input is added: there are as many inputs as outputs, and no stride.
    identity: bool,
    stride: i64,
}

impl Branches {
    /// Fresh ones beside a convolution `[to, from, 3, 3]` with zeros of one pixel around its input.
    pub fn new(path: &nn::Path, [to, from]: [i64; 2], stride: i64) -> Branches {
        let spread = Init::Randn { mean: 0.0, stdev: (2.0 / from as f64).sqrt() };
        let config = nn::BatchNormConfig { ws_init: Init::Const(1.0), ..Default::default() };
        Branches {
            norm: nn::batch_norm2d(path.sub("branch_norm"), to, config),
            pointwise: path.sub("pointwise").var("weight", &[to, from, 1, 1], spread),
            identity: to == from && stride == 1,
            stride,
        }
    }

    /// The sum of the branches, of which `convolved` is the 3x3 convolution's, for its input `maps`.
    pub fn sum(&self, maps: &Tensor, convolved: &Tensor, train: bool) -> Tensor {
        let weight = channels_last(&self.pointwise.to_kind(maps.kind()));
        let pointwise = maps.conv2d(&weight, None::<Tensor>, [self.stride; 2], [0, 0], [1, 1], 1);
        let sum = self.norm.forward_t(convolved, train) + pointwise;
        if self.identity { sum + maps } else { sum }
    }

    /// Weights and bias of the one convolution that gives the same sum in evaluation mode, for those of the 3x3 convolution:
    /// f64 `[to, from, 3, 3]` and `[to]`.
    ///
    /// # Errors
    /// Returns an error if the batch norm has no gain.
    pub fn folded(&self, weight: &Tensor, bias: &Tensor) -> crate::Result<(Tensor, Tensor)> {
        let (weight, bias) = fold_norm(&self.norm, weight, bias)?;
        let mut middle = self.pointwise.detach().to_kind(Kind::Double);
        if self.identity {
            let to = middle.size()[0];
            middle += Tensor::eye(to, (Kind::Double, middle.device())).view([to, to, 1, 1]);
        }
        // Zeros around a 1x1 filter make a 3x3 one.
        Ok((weight + middle.constant_pad_nd([1, 1, 1, 1]), bias))
    }
}

/// Weights f64 `[to, from, k, k]` and bias f64 `[to]` of a convolution, with the batch norm after it folded in.
///
/// # Errors
/// Returns an error if the batch norm has no gain or no offset.
pub fn fold_norm(norm: &nn::BatchNorm, weight: &Tensor, bias: &Tensor) -> crate::Result<(Tensor, Tensor)> {
    /// tch's default.
    const EPSILON: f64 = 1e-5;
    let part = |tensor: &Option<Tensor>| tensor.as_ref().map(|tensor| tensor.detach().to_kind(Kind::Double));
    let (gain, offset) = (part(&norm.ws).context("batch norm has a gain")?, part(&norm.bs).context("and an offset")?);
    let (mean, variance) = (norm.running_mean.to_kind(Kind::Double), norm.running_var.to_kind(Kind::Double));
    let factor = gain / (variance + EPSILON).sqrt();
    Ok((weight * factor.view([-1, 1, 1, 1]), (bias - mean) * factor + offset))
}
