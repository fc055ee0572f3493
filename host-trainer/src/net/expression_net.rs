//! The expression net: convolutions g with a 1x1 adapter, then fully-connected layers (paper, section III).

use expression_engine::bundle::LowLightGain;
use tch::nn::{self, Init, ModuleT};
use tch::{Device, Kind, Tensor};

use super::branches::Branches;
use super::layout::channels_last;
use super::low_light::brightened;
use crate::config::{self, BlockKind};

/// Mean and unit of the normalised input: `x = (u8 - 128) / 64`. Powers of two, so that the int8 graph's input scale is
/// exact, and zero is the byte 128, so that padding with zeros is padding with that byte.
pub const INPUT_ZERO: f64 = 128.0;
/// See [`INPUT_ZERO`].
pub const INPUT_UNIT: f64 = 64.0;

/// The expression net. g are the convolutions with the adapter; the fully-connected layers are used from stage two on.
pub struct ExpressionNet {
    store: nn::VarStore,
    convolutions: Vec<Block>,
    hidden: Block,
    classifier: nn::Linear,
    dropout: f64,
    low_light: Option<LowLightGain>,
    kind: Kind,
}

/// A convolution, batch norm where there is one, ReLU, and a max-pool 3x3 with stride 2 in ceil mode where there is one.
/// The hidden fully-connected layer is one too, over the whole map.
pub struct Block {
    /// `[to, from, k, k]` and bias.
    pub convolution: nn::Conv2D,
    /// Zeros around its input.
    pub padding: i64,
    /// What is beside the convolution while it is trained; export folds it.
    pub branches: Option<Branches>,
    /// Batch norm before the ReLU.
    pub norm: Option<nn::BatchNorm>,
    /// Max-pool after the ReLU.
    pub pool: bool,
}

impl ExpressionNet {
    /// A net with fresh weights. `adapter`: channels of the face net's maps; `classes`: how many labels; `kind`: the
    /// arithmetic of the convolutions. Weights are drawn from torch's generator: seed it first.
    pub fn new(config: &config::Net, adapter: i64, classes: i64, kind: Kind, device: Device) -> ExpressionNet {
        let store = nn::VarStore::new(device);
        let root = store.root();
        let mut convolutions = Vec::new();
        let mut from = config.channels as i64;
        for (index, &to) in config.convolutions.iter().enumerate() {
            let path = root.sub(format!("conv{}", index + 1));
            let pool = config.pools.contains(&(index + 1));
            let mut block = Block::new(&path, [to, from, 3], 1, config.batch_norm, pool);
            block.branches = (config.block == BlockKind::QaRepVgg).then(|| Branches::new(&path, [to, from], 1));
            convolutions.push(block);
            from = to;
        }
        convolutions.push(Block::new(&root.sub("adapter"), [adapter, from, 1], 0, config.batch_norm, false));
        let whole_map = config.map_size() as i64;
        let shape = [config.hidden, adapter, whole_map];
        let hidden = Block::new(&root.sub("hidden"), shape, 0, config.batch_norm, false);
        let ws_init = Init::Randn { mean: 0.0, stdev: (1.0 / config.hidden as f64).sqrt() };
        let linear = nn::LinearConfig { ws_init, bs_init: Some(Init::Const(0.0)), bias: true };
        let classifier = nn::linear(root.sub("classifier"), config.hidden, classes, linear);
        ExpressionNet {
            store,
            convolutions,
            hidden,
            classifier,
            dropout: config.dropout,
            low_light: config.low_light,
            kind,
        }
    }

    /// The net's input for faces `[n, channels, size, size]` in `0..=255`: dark ones brightened as the board does it, then normalised.
    pub fn input(&self, faces: &Tensor) -> Tensor {
        normalised(&brightened(faces, self.low_light))
    }

    /// g(I): maps `[n, adapter, s, s]`, f32, of normalised faces `[n, channels, size, size]`.
    pub fn maps(&self, faces: &Tensor, train: bool) -> Tensor {
        let mut maps = faces.to_kind(self.kind);
        for block in &self.convolutions {
            maps = block.forward(&maps, self.kind, train);
        }
        maps.to_kind(Kind::Float)
    }

    /// The maps that each convolution's block and the adapter give in evaluation mode: name and f32 `[n, channels, s, s]`,
    /// in the order they run, of normalised faces `[n, channels, size, size]`.
    pub fn maps_by_layer(&self, faces: &Tensor) -> Vec<(String, Tensor)> {
        let mut maps = faces.to_kind(self.kind);
        let convolutions = self.blocks().take(self.convolutions.len());
        convolutions
            .map(|(name, block)| {
                maps = block.forward(&maps, self.kind, false);
                (name, maps.to_kind(Kind::Float))
            })
            .collect()
    }

    /// Logits `[n, classes]` of normalised faces `[n, channels, size, size]`.
    pub fn logits(&self, faces: &Tensor, train: bool) -> Tensor {
        self.logits_of_maps(&self.maps(faces, train), train)
    }

    /// Logits `[n, classes]` of what [`ExpressionNet::maps`] gave.
    pub fn logits_of_maps(&self, maps: &Tensor, train: bool) -> Tensor {
        let hidden = self.hidden.forward(maps, Kind::Float, train).flatten(1, -1);
        hidden.dropout(self.dropout, train).apply(&self.classifier)
    }

    /// Weights, and running statistics of batch norm.
    pub fn store(&self) -> &nn::VarStore {
        &self.store
    }

    /// Names and blocks in the order they run: the convolutions, the adapter, the hidden layer.
    pub fn blocks(&self) -> impl Iterator<Item = (String, &Block)> {
        let adapter = self.convolutions.len() - 1;
        let name = move |index| {
            if index == adapter { "adapter".to_owned() } else { format!("conv{}", index + 1) }
        };
        let convolutions = self.convolutions.iter().enumerate().map(move |(index, block)| (name(index), block));
        convolutions.chain([("hidden".to_owned(), &self.hidden)])
    }

    /// The last layer: weights `[classes, hidden]`.
    pub fn classifier(&self) -> &nn::Linear {
        &self.classifier
    }

    /// Whether a variable belongs to g, so that stage one trains it.
    pub fn is_convolutional(name: &str) -> bool {
        name.starts_with("conv") || name.starts_with("adapter")
    }

    /// Sets the adapter such that its channels, before their ReLU, have this mean and deviation, f32 `[adapter]` each: those
    /// of the maps that stage one teaches. Without batch norm the mean alone.
    pub fn respond_like(&self, mean: &Tensor, deviation: &Tensor) {
        let Some(adapter) = self.convolutions.last() else { return };
        let set = |variable: Option<&Tensor>, values: &Tensor| {
            tch::no_grad(|| variable.map(|variable| variable.shallow_clone().copy_(values)));
        };
        match &adapter.norm {
            Some(norm) => {
                set(norm.ws.as_ref(), deviation);
                set(norm.bs.as_ref(), mean);
            }
            None => set(adapter.convolution.bs.as_ref(), mean),
        }
    }

    /// How many weights there are, running statistics not counted.
    pub fn parameters(&self) -> usize {
        self.store.trainable_variables().iter().map(Tensor::numel).sum()
    }

    /// Computes in `kind` from now on; export and parity take f32.
    pub fn set_kind(&mut self, kind: Kind) {
        self.kind = kind;
    }
}

impl Block {
    fn new(path: &nn::Path, [to, from, kernel]: [i64; 3], padding: i64, batch_norm: bool, pool: bool) -> Block {
        // He et al. 2015: keeps the variance through ReLU.
        let ws_init = Init::Randn { mean: 0.0, stdev: (2.0 / (from * kernel * kernel) as f64).sqrt() };
        let config = nn::ConvConfig { padding, ws_init, ..Default::default() };
        let convolution = nn::conv2d(path, from, to, kernel, config);
        let norm = batch_norm.then(|| nn::batch_norm2d(path.sub("norm"), to, Default::default()));
        Block { convolution, padding, branches: None, norm, pool }
    }

    fn forward(&self, maps: &Tensor, kind: Kind, train: bool) -> Tensor {
        let weight = channels_last(&self.convolution.ws.to_kind(kind));
        let bias = self.convolution.bs.as_ref().map(|bias| bias.to_kind(kind));
        let padding = [self.padding; 2];
        let mut out = maps.conv2d(&weight, bias.as_ref(), [1, 1], padding, [1, 1], 1);
        if let Some(branches) = &self.branches {
            out = branches.sum(maps, &out, train);
        }
        let mut maps = out;
        if let Some(norm) = &self.norm {
            maps = norm.forward_t(&maps, train);
        }
        maps = maps.relu();
        if self.pool {
            maps = maps.max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], true);
        }
        maps
    }
}

/// The normalised input of aligned faces: f32 of u8.
pub fn normalised(faces: &Tensor) -> Tensor {
    (faces.to_kind(Kind::Float) - INPUT_ZERO) / INPUT_UNIT
}

#[cfg(test)]
mod tests {
    use expression_core::Label;

    use super::*;

    #[test]
    fn the_adapter_responds_with_the_mean_and_deviation_that_are_set() {
        let mut config = crate::config::Config::preset("smoke").unwrap().net;
        config.batch_norm = true;
        tch::manual_seed(1);
        let net = ExpressionNet::new(&config, 3, Label::COUNT as i64, Kind::Float, Device::Cpu);
        // Far above zero, so that the ReLU cuts nothing off.
        let (mean, deviation) = (Tensor::from_slice(&[20f32, 40.0, 60.0]), Tensor::from_slice(&[0.5f32, 1.0, 2.0]));
        net.respond_like(&mean, &deviation);
        let side = config.size as i64;
        let faces = Tensor::randn([16, config.channels as i64, side, side], (Kind::Float, Device::Cpu));
        let maps = tch::no_grad(|| net.maps(&faces, true));
        let (variance, found) = maps.var_mean_dim([0i64, 2, 3].as_slice(), false, false);
        let far = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
        assert!(far(&found, &mean) < 1e-3 && far(&variance.sqrt(), &deviation) < 1e-2, "{found} {variance}");
    }
}
