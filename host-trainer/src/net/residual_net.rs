//! A net that is trained from scratch to teach: residual or QARepVGG blocks, the mean of the last maps, and a classifier.

use tch::nn::{self, Init, Module, ModuleT};
use tch::{Device, Kind, Tensor};

use super::branches::Branches;
use super::layout::channels_last;
use crate::config::{Scratch, ScratchBlock};

/// A net of blocks. Its stages have half of the side of the one before and, as a rule, twice its channels.
pub struct ResidualNet {
    store: nn::VarStore,
    stem: Layer,
    blocks: Vec<Block>,
    head: nn::Linear,
}

/// A 3x3 or 1x1 convolution with batch norm.
struct Layer {
    weight: Tensor,
    stride: i64,
    branches: Option<Branches>,
    norm: nn::BatchNorm,
}

enum Block {
    /// Two convolutions whose result is added to their input, or to a 1x1 convolution of it (He et al., CVPR 2016).
    Residual { convolutions: Box<[Layer; 2]>, shortcut: Option<Box<Layer>> },
    /// One convolution with branches.
    Rep(Box<Layer>),
}

impl ResidualNet {
    /// A net with fresh weights for faces `[n, 3, side, side]`. Weights are drawn from torch's generator: seed it first.
    pub fn new(config: &Scratch, classes: i64, device: Device) -> ResidualNet {
        let store = nn::VarStore::new(device);
        let root = store.root();
        let mut from = config.widths.first().copied().unwrap_or(1);
        let stem = Layer::new(&root.sub("stem"), [from, 3, 3], 2, false);
        let mut blocks = Vec::new();
        for (stage, &to) in config.widths.iter().enumerate() {
            for place in 0..config.depth {
                let path = root.sub(format!("stage{}", stage + 1)).sub(format!("block{}", place + 1));
                let stride = if stage > 0 && place == 0 { 2 } else { 1 };
                blocks.push(match config.block {
                    ScratchBlock::Residual => Block::Residual {
                        convolutions: Box::new([
                            Layer::new(&path.sub("conv1"), [to, from, 3], stride, false),
                            Layer::new(&path.sub("conv2"), [to, to, 3], 1, false),
                        ]),
                        shortcut: (stride > 1 || from != to)
                            .then(|| Box::new(Layer::new(&path.sub("shortcut"), [to, from, 1], stride, false))),
                    },
                    ScratchBlock::QaRepVgg => Block::Rep(Box::new(Layer::new(&path, [to, from, 3], stride, true))),
                });
                from = to;
            }
        }
        let spread = Init::Randn { mean: 0.0, stdev: (1.0 / from as f64).sqrt() };
        let linear = nn::LinearConfig { ws_init: spread, bs_init: Some(Init::Const(0.0)), bias: true };
        let head = nn::linear(root.sub("head"), from, classes, linear);
        ResidualNet { store, stem, blocks, head }
    }

    /// Logits f32 `[n, classes]` of normalised faces `[n, 3, side, side]`, computed in `kind`.
    pub fn forward(&self, faces: &Tensor, kind: Kind, train: bool) -> Tensor {
        let mut maps = self.stem.apply(&faces.to_kind(kind), train).relu();
        for block in &self.blocks {
            maps = match block {
                Block::Rep(layer) => layer.apply(&maps, train).relu(),
                Block::Residual { convolutions, shortcut } => {
                    let [first, second] = &**convolutions;
                    let out = second.apply(&first.apply(&maps, train).relu(), train);
                    let beside = shortcut.as_ref().map_or(maps.shallow_clone(), |layer| layer.apply(&maps, train));
                    (out + beside).relu()
                }
            };
        }
        self.head.forward(&maps.mean_dim([2i64, 3].as_slice(), false, Kind::Float))
    }

    /// Weights, and running statistics of batch norm.
    pub fn store(&self) -> &nn::VarStore {
        &self.store
    }
}

impl Layer {
    fn new(path: &nn::Path, [to, from, kernel]: [i64; 3], stride: i64, branches: bool) -> Layer {
        let spread = Init::Randn { mean: 0.0, stdev: (2.0 / (from * kernel * kernel) as f64).sqrt() };
        let config = nn::BatchNormConfig { ws_init: Init::Const(1.0), ..Default::default() };
        Layer {
            weight: path.var("weight", &[to, from, kernel, kernel], spread),
            stride,
            branches: branches.then(|| Branches::new(path, [to, from], stride)),
            norm: nn::batch_norm2d(path.sub("norm"), to, config),
        }
    }

    /// Before the ReLU.
    fn apply(&self, maps: &Tensor, train: bool) -> Tensor {
        let weight = channels_last(&self.weight.to_kind(maps.kind()));
        let padding = [self.weight.size()[2] / 2; 2];
        let mut out = maps.conv2d(&weight, None::<Tensor>, [self.stride; 2], padding, [1, 1], 1);
        if let Some(branches) = &self.branches {
            out = branches.sum(maps, &out, train);
        }
        self.norm.forward_t(&out, train)
    }
}
