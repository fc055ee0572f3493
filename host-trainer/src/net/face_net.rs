//! The face net G: a face-recognition net whose maps supervise stage one (paper, section III).

use std::path::{Path, PathBuf};

use tch::nn::{self, ModuleT};
use tch::{Device, Kind, Tensor};

use super::layout::channels_last;
use crate::config::{self, FaceNetModel};
use crate::error::{Context, Error};
use crate::onnx::tfjs;

/// A face net: a chain of named steps, frozen unless it is being tuned.
pub struct FaceNet {
    store: nn::VarStore,
    steps: Vec<FaceNetStep>,
    /// Subtracted from the channels blue, green, red, each in `0..=255`.
    mean_bgr: [f32; 3],
}

struct FaceNetStep {
    name: String,
    op: Op,
}

enum Op {
    Convolution(Convolution),
    /// Max-pool 2x2, stride 2.
    MaxPool,
}

/// A convolution with TensorFlow's `SAME` padding, and ReLU or, cut off at six, ReLU6.
struct Convolution {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
    groups: i64,
    relu6: bool,
    /// Before the ReLU, once the net is to be tuned.
    norm: Option<nn::BatchNorm>,
}

impl Convolution {
    /// Before batch norm and ReLU.
    fn apply(&self, maps: Tensor, kind: Kind) -> Tensor {
        let (padded, padding) = pad_same(maps, self.weight.size()[2], self.stride);
        let (weight, bias) = (channels_last(&self.weight.to_kind(kind)), self.bias.to_kind(kind));
        let convolve =
            |stride: i64| padded.conv2d(&weight, Some(&bias), [stride; 2], [padding; 2], [1, 1], self.groups);
        // The gradient of a depthwise convolution in bf16 with a stride runs through a general path of oneDNN's, as long as
        // all other gradients of MobileNetV1 together; without a stride it does not.
        let all_places = self.stride > 1 && self.groups > 1 && kind == Kind::BFloat16 && padded.device() == Device::Cpu;
        if all_places {
            convolve(1).avg_pool2d([1, 1], [self.stride; 2], [0, 0], false, true, None)
        } else {
            convolve(self.stride)
        }
    }

    fn relu(&self, maps: &Tensor) -> Tensor {
        // Not `clamp`: the gradient of that runs through three slow passes in bf16.
        if self.relu6 { maps.relu6() } else { maps.relu() }
    }
}

impl FaceNet {
    /// Loads the face net that `config` names onto `device`.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if the model or layer is unknown or the weights are missing or do not fit.
    pub fn open(config: &config::FaceNet, device: Device) -> crate::Result<FaceNet> {
        let net = match config.model {
            FaceNetModel::MobileNetV1 => mobilenet_v1(&crate::assets::folder().join("human/faceres.json"), device)?,
            FaceNetModel::Vgg16 if config.weights.is_empty() => {
                let advice =
                    "name a safetensors file by --face-net-weights, or set [face_net] model = \"mobilenet-v1\"";
                return Err(Error::BadInput(format!(
                    "the face net vgg-16 needs weights that no package carries; {advice}"
                )));
            }
            FaceNetModel::Vgg16 => vgg_16(Path::new(&config.weights), device)?,
        };
        net.position(&config.layer)?;
        Ok(net)
    }

    fn position(&self, layer: &str) -> crate::Result<usize> {
        self.steps.iter().position(|step| step.name == layer).ok_or_else(|| {
            let names: Vec<_> = self.steps.iter().map(|step| step.name.as_str()).collect();
            Error::BadInput(format!("the face net has no layer {layer:?}; it has {}", names.join(", ")))
        })
    }

    /// Channels of the maps of `layer`.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if there is no such layer.
    pub fn channels(&self, layer: &str) -> crate::Result<i64> {
        let before = &self.steps[..=self.position(layer)?];
        let last = before.iter().rev().find_map(|step| match &step.op {
            Op::Convolution(convolution) => Some(convolution.weight.size()[0]),
            Op::MaxPool => None,
        });
        last.context("a face net begins with a convolution")
    }

    /// The deepest layer.
    pub fn last(&self) -> &str {
        self.steps.last().map_or("", |step| &step.name)
    }

    /// The maps of `layer` for faces `[n, 3, side, side]`, RGB in `0..=255`, computed in `kind`: f32 `[n, channels, h, w]`.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if there is no such layer.
    pub fn maps(&self, faces: &Tensor, layer: &str, kind: Kind) -> crate::Result<Tensor> {
        self.forward(faces, layer, kind, false)
    }

    /// As [`FaceNet::maps`]; with `train`, batch norm takes the statistics of these faces and learns from them.
    ///
    /// # Errors
    /// Returns the errors of [`FaceNet::maps`].
    pub fn forward(&self, faces: &Tensor, layer: &str, kind: Kind, train: bool) -> crate::Result<Tensor> {
        let mut maps = self.input(faces).to_kind(kind);
        for step in &self.steps[..=self.position(layer)?] {
            maps = match &step.op {
                Op::MaxPool => pool(&maps),
                Op::Convolution(convolution) => {
                    let out = convolution.apply(maps, kind);
                    let out = convolution.norm.as_ref().map_or(out.shallow_clone(), |norm| norm.forward_t(&out, train));
                    convolution.relu(&out)
                }
            };
        }
        Ok(maps.to_kind(Kind::Float))
    }

    /// Puts batch norm before every ReLU, set so that the net answers as before where its maps are distributed as those of
    /// `faces`. Files carry face nets with their batch norm folded or without any; so they hardly learn at the rates that
    /// tuning needs.
    pub fn normalise(&mut self, faces: &Tensor) {
        let root = self.store.root();
        let mut maps = self.input(faces);
        tch::no_grad(|| {
            for step in &mut self.steps {
                let Op::Convolution(convolution) = &mut step.op else {
                    maps = pool(&maps);
                    continue;
                };
                let out = convolution.apply(maps.shallow_clone(), Kind::Float);
                let config = nn::BatchNormConfig::default();
                let mut norm = nn::batch_norm2d(root.sub(&step.name).sub("norm"), out.size()[1], config);
                let (variance, mean) = out.var_mean_dim([0i64, 2, 3].as_slice(), false, false);
                norm.running_mean.copy_(&mean);
                norm.running_var.copy_(&variance);
                for (parameter, value) in [(&mut norm.ws, (variance + config.eps).sqrt()), (&mut norm.bs, mean)] {
                    parameter.iter_mut().for_each(|parameter| parameter.copy_(&value));
                }
                maps = convolution.relu(&norm.forward_t(&out, false));
                convolution.norm = Some(norm);
            }
        });
    }

    /// Faces as the first layer takes them.
    fn input(&self, faces: &Tensor) -> Tensor {
        faces.flip([1]) - Tensor::from_slice(&self.mean_bgr).view([1, 3, 1, 1]).to_device(faces.device())
    }

    /// The trainable weights, for tuning.
    pub fn store(&self) -> &nn::VarStore {
        &self.store
    }
}

fn pool(maps: &Tensor) -> Tensor {
    maps.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)
}

/// TensorFlow's `SAME` (upper): where the padding is uneven, the extra row and column lie below and right.
/// Gives the square maps and the even padding left to the convolution.
fn pad_same(maps: Tensor, kernel: i64, stride: i64) -> (Tensor, i64) {
    let side = maps.size()[2];
    let all = (((side + stride - 1) / stride - 1) * stride + kernel - side).max(0);
    if all % 2 == 0 { (maps, all / 2) } else { (maps.constant_pad_nd([all / 2, all / 2 + 1, all / 2, all / 2 + 1]), 0) }
}

/// MobileNetV1 `faceres` of the npm package `@vladmandic/human` (MIT; upstream HSE FaceRes, Apache-2.0), trained on
/// VGGFace2 identities. Its batch norm lies in the file as a factor (depthwise) or is folded (pointwise), with an offset.
fn mobilenet_v1(path: &Path, device: Device) -> crate::Result<FaceNet> {
    let graph = tfjs::Graph::open(path).map_err(|error| Error::BadInput(error.to_string()))?;
    let tensor = |name: &str| -> crate::Result<Tensor> {
        let weight = graph.weight(name).map_err(|error| Error::BadInput(error.to_string()))?;
        let shape: Vec<i64> = weight.shape.iter().map(|side| *side as i64).collect();
        Ok(Tensor::from_slice(&weight.data).reshape(shape))
    };
    let not_pinned = |name: &str| -> Error {
        Error::BadInput(format!("{}: {name} has another shape; run `cargo xtask setup`", path.display()))
    };
    let store = nn::VarStore::new(device);
    let root = store.root();
    let convolution =
        |name: &str, weight: Tensor, norm: &str, stride: i64, groups: i64| -> crate::Result<FaceNetStep> {
            let bias = tensor(&format!("{norm}/batchnorm_1/sub"))?;
            if bias.size() != [weight.size()[0]] {
                return Err(not_pinned(name));
            }
            let path = root.sub(name);
            let convolution = Convolution {
                weight: path.var_copy("weight", &weight.contiguous()),
                bias: path.var_copy("bias", &bias),
                stride,
                groups,
                relu6: true,
                norm: None,
            };
            Ok(FaceNetStep { name: format!("{name}_relu"), op: Op::Convolution(convolution) })
        };
    // Filters lie as height, width, input, output (depthwise: height, width, channel, 1).
    let filter = |name: &str, order: [i64; 4]| -> crate::Result<Tensor> {
        let weight = tensor(name)?;
        if weight.dim() == 4 { Ok(weight.permute(order)) } else { Err(not_pinned(name)) }
    };
    let first = filter("conv1/convolution/merged_input", [3, 2, 0, 1])?;
    let mut steps = vec![convolution("conv1", first, "conv1_bn", 2, 1)?];
    for block in 1..=13 {
        let (depthwise, pointwise) = (format!("conv_dw_{block}"), format!("conv_pw_{block}"));
        let factor = tensor(&format!("{depthwise}_bn/batchnorm_1/mul"))?;
        let weight = filter(&format!("{depthwise}/depthwise_kernel"), [2, 3, 0, 1])?;
        let channels = weight.size()[0];
        if factor.size() != [channels] {
            return Err(not_pinned(&depthwise));
        }
        let weight = weight * factor.view([channels, 1, 1, 1]);
        let stride = if matches!(block, 2 | 4 | 6 | 12) { 2 } else { 1 };
        steps.push(convolution(&depthwise, weight, &format!("{depthwise}_bn"), stride, channels)?);
        let weight = filter(&format!("{pointwise}/convolution/merged_input"), [3, 2, 0, 1])?;
        steps.push(convolution(&pointwise, weight, &format!("{pointwise}_bn"), 1, 1)?);
    }
    Ok(FaceNet { store, steps, mean_bgr: [103.939, 116.779, 123.68] })
}

/// VGG-Face (Parkhi et al., BMVC 2015), a VGG-16, from a safetensors file with torchvision's names (`features.0.weight`,
/// ...): convolutions 3x3 with ReLU, five max-pools. Input BGR in `0..=255` less VGG-Face's mean; weights that were trained
/// on another input, torchvision's ImageNet ones for instance, load and mislead.
fn vgg_16(path: &Path, device: Device) -> crate::Result<FaceNet> {
    const BLOCKS: [i64; 5] = [2, 2, 3, 3, 3];
    let unreadable = |error: &dyn std::fmt::Display| {
        let advice = "give a safetensors file with torchvision's VGG-16 names";
        Error::BadInput(format!(
            "{}: {}; {advice}",
            path.display(),
            error.to_string().lines().next().unwrap_or_default()
        ))
    };
    if !path.is_file() {
        return Err(unreadable(&"no such file"));
    }
    let tensors = Tensor::read_safetensors(PathBuf::from(path)).map_err(|error| unreadable(&error))?;
    let named = |name: String| {
        let found = tensors.iter().find(|(known, _)| *known == name);
        found.map(|(_, tensor)| tensor.to_kind(Kind::Float)).ok_or_else(|| unreadable(&format!("no tensor {name}")))
    };
    let store = nn::VarStore::new(device);
    let (mut steps, mut index, mut channels) = (Vec::new(), 0, 3);
    for (block, convolutions) in BLOCKS.into_iter().enumerate() {
        for convolution in 1..=convolutions {
            let name = format!("conv{}_{convolution}", block + 1);
            let weight = named(format!("features.{index}.weight"))?;
            let bias = named(format!("features.{index}.bias"))?;
            let [to, from, 3, 3] = weight.size()[..] else {
                return Err(unreadable(&format!("features.{index}.weight is {:?}", weight.size())));
            };
            if from != channels || bias.size() != [to] {
                return Err(unreadable(&format!("features.{index} takes {from} channels, not {channels}")));
            }
            channels = to;
            let path = store.root().sub(&name);
            let convolution = Convolution {
                weight: path.var_copy("weight", &weight),
                bias: path.var_copy("bias", &bias),
                stride: 1,
                groups: 1,
                relu6: false,
                norm: None,
            };
            steps.push(FaceNetStep { name, op: Op::Convolution(convolution) });
            index += 2;
        }
        steps.push(FaceNetStep { name: format!("pool{}", block + 1), op: Op::MaxPool });
        index += 1;
    }
    Ok(FaceNet { store, steps, mean_bgr: [93.5940, 104.7624, 129.1863] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_depthwise_convolution_with_a_stride_is_the_same_in_bf16() {
        tch::manual_seed(1);
        let random = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let step = Convolution {
            weight: random(&[6, 1, 3, 3]),
            bias: random(&[6]),
            stride: 2,
            groups: 6,
            relu6: true,
            norm: None,
        };
        let near =
            |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]) < 0.02 * b.abs().max().double_value(&[]);
        for side in [11, 12] {
            let maps = random(&[2, 6, side, side]);
            let of = |kind: Kind| {
                let out = step.apply(maps.to_kind(kind), kind).to_kind(Kind::Float);
                // Places that weigh differently, so that a gradient at another place shows.
                let weights = Tensor::arange(out.numel() as i64, (Kind::Float, Device::Cpu)).view_as(&out).sin();
                let given =
                    Tensor::run_backward(&[(&out * weights).sum(Kind::Float)], &[&maps, &step.weight], false, false);
                (out, given)
            };
            let ((single, of_single), (half, of_half)) = (of(Kind::Float), of(Kind::BFloat16));
            assert_eq!(half.size(), single.size());
            assert!(near(&half, &single), "{side}: other maps");
            assert!(of_half.iter().zip(&of_single).all(|(a, b)| near(a, b)), "{side}: other gradients");
        }
    }
}
