//! The configuration of a run: a preset, with what the command line changed. Every hyper-parameter is in it.

use std::path::Path;

use expression_core::FaceInput;
use expression_engine::bundle::LowLightGain;
use expression_engine::files;
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error};
use crate::toml_error::explained;

mod adapt;
mod disturbance;
mod range;
mod schedule;
mod teachers;

use range::{MAX_BATCH, MAX_EPOCHS, MAX_MOMENTUM, MAX_RATE, MAX_SAMPLES, MAX_VIEWS, MIN_RATE, Range};

pub use adapt::{Adapt, Start};
pub use disturbance::{Degrade, Mix};
pub use schedule::Schedule;
pub use teachers::{Scratch, ScratchBlock, TeacherNet, TeacherOptimizer, TeacherSource};

/// The most bytes of a preset.
const MAX_BYTES: u64 = 1 << 20;

/// Everything that decides what a run computes, besides its data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The expression net.
    pub net: Net,
    /// The face net.
    pub face_net: FaceNet,
    /// Tuning of the face net on the expression set.
    pub face_net_tuning: FaceNetTuning,
    /// Pre-training against the face net's target maps.
    pub stage_one: StageOne,
    /// Refining with cross-entropy.
    pub stage_two: StageTwo,
    /// Augmentation.
    pub augment: Augment,
    /// Quantization.
    pub quantize: Quantize,
    /// What belongs to the run as a whole.
    pub run: Run,
    /// Nets that are tuned and answer in stage two together; if there are none, the tuned face net answers alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teachers: Vec<TeacherNet>,
    /// What keeps a trained net from forgetting while it is adapted; only with `start`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapt: Option<Adapt>,
    /// The bundle that training starts from, or none. Not part of a preset: `--from` sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
}

/// The expression net.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Net {
    /// 1: grey, 3: RGB.
    pub channels: usize,
    /// Side in pixels to which a face picture is resampled.
    pub aligned: usize,
    /// Side in pixels of the crop that the net sees.
    pub size: usize,
    /// Output channels of the 3x3 convolutions.
    pub convolutions: Vec<i64>,
    /// Numbers, from 1 and ascending, of the convolutions that a max-pool 3x3 with stride 2 follows.
    pub pools: Vec<usize>,
    /// Batch norm after every convolution.
    pub batch_norm: bool,
    /// What stands beside the 3x3 convolutions while they are trained. If absent, nothing.
    #[serde(default, skip_serializing_if = "BlockKind::is_plain")]
    pub block: BlockKind,
    /// Convolutions of the `--from` net, numbered from 1 in ascending order. A new convolution is inserted after each one and
    /// starts as the identity, so the deeper net starts with the same answers (Net2DeeperNet: Chen et al., ICLR 2016,
    /// arXiv 1511.05641). A pool moves behind the new convolution.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deepen: Vec<usize>,
    /// Neurons of the fully-connected layer.
    pub hidden: i64,
    /// Dropout before the classifier.
    pub dropout: f64,
    /// The gain that brightens dark faces before the net, in training and on the board. If absent, there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_light: Option<LowLightGain>,
}

/// What stands beside a net's 3x3 convolutions while they are trained. Export folds it into them, so that the exported net is
/// the same plain chain whatever it was trained as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlockKind {
    /// Nothing.
    #[default]
    Plain,
    /// A 1x1 convolution and, if it has as many inputs as outputs, the input itself, with batch norm where quantization
    /// does not suffer from it (QARepVGG: Chu et al., AAAI 2024, arXiv 2212.01593).
    QaRepVgg,
}

impl BlockKind {
    fn is_plain(&self) -> bool {
        *self == BlockKind::Plain
    }
}

/// The face net.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaceNet {
    /// The architecture and its weights.
    pub model: FaceNetModel,
    /// Safetensors file with the weights of VGG-16; empty for MobileNetV1.
    pub weights: String,
    /// The layer whose maps supervise stage one.
    pub layer: String,
    /// Side in pixels of its input. Both nets were trained on 224; less costs accuracy and saves time by its square.
    pub size: i64,
}

/// A face net that the program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaceNetModel {
    /// MobileNetV1 `faceres`, which set-up downloads.
    #[serde(rename = "mobilenet-v1")]
    MobileNetV1,
    /// VGG-Face, a VGG-16 whose weights the user provides.
    #[serde(rename = "vgg-16")]
    Vgg16,
}

/// Tuning of the face net.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaceNetTuning {
    /// Epochs: passes over the training samples; 0 leaves the face net as it is.
    pub epochs: usize,
    /// Batch size: samples per step.
    pub batch: usize,
    /// Learning rate (one-cycle).
    pub rate: f64,
    /// Momentum.
    pub momentum: f64,
    /// Weight decay.
    pub weight_decay: f64,
}

/// Stage one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageOne {
    /// Epochs: passes over the training samples; 0 trains from scratch.
    pub epochs: usize,
    /// Batch size: samples per step.
    pub batch: usize,
    /// p of `||g(I) - G(I)||_p^p`.
    pub power: f64,
    /// Views of each sample that have target maps.
    pub views: usize,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Learning rate; the highest of the schedule.
    pub rate: f64,
    /// Momentum.
    pub momentum: f64,
    /// Weight decay.
    pub weight_decay: f64,
}

/// Stage two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageTwo {
    /// Epochs: passes over the training samples.
    pub epochs: usize,
    /// Batch size: samples per step.
    pub batch: usize,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Learning rate; the highest of the schedule.
    pub rate: f64,
    /// Momentum.
    pub momentum: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// What cross-entropy is taken against.
    pub targets: Targets,
    /// Power of a class's rarity that weighs its share of the cross-entropy: 0 weighs every class alike, 1 gives each class
    /// as much as any other. 0 is the paper's.
    pub balance: f64,
    /// Share of those weights that is taken back from the logits after training, so that probabilities are of the data's own
    /// shares again: 1 takes them back wholly, 0 leaves the rare classes as likely as they were trained.
    pub prior: f64,
    /// Share of the answers of the teachers, or else of the tuned face net, in `targets`: distillation. 0 for none, as the
    /// paper has it.
    pub teacher: f64,
    /// Views of each sample that they answer for that; the expression net then sees these views and their
    /// mirror images alone, each with the answer to itself (Beyer et al., "Knowledge distillation: A good teacher is
    /// patient and consistent", CVPR 2022, arXiv 2106.05237). 0: it answers for a sample's centre, whatever view is seen.
    pub teacher_views: usize,
    /// Of the ranges of `augment`'s rotation, scale and shift, the share by which each of these views is varied again, at random, when
    /// the expression net sees it. The answer stays, so small shares only; 0, or absent, for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub view_jitter: f64,
    /// Each step, this share of the averaged weights is kept and the rest comes from the trained ones; the averaged ones
    /// are the result. 0 for none, as the paper has it.
    pub average: f64,
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// What cross-entropy is taken against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Targets {
    /// The distribution of votes.
    Distribution,
    /// The label that most voted for.
    Majority,
}

/// Augmentation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Degrees, both ways.
    pub rotation: f64,
    /// Share of the size, both ways.
    pub scale: f64,
    /// Share of the side, both ways.
    pub shift: f64,
    /// Mirror images, half of the time.
    pub mirror: bool,
    /// Units of the normalised input, both ways.
    pub brightness: f64,
    /// Share of the contrast, both ways.
    pub contrast: f64,
    /// Share of the faces of stage two of which a random rectangle is blanked.
    pub erase: f64,
    /// What stage two's faces suffer from cameras, rooms and codecs; if absent, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degrade: Option<Degrade>,
    /// Faces mixed with each other in stage two; if absent, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mix: Option<Mix>,
}

/// Quantization.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantize {
    /// Granularity of the weights' scales.
    pub weights: WeightScales,
    /// Samples held out from training on which activation ranges are measured.
    pub calibration_samples: usize,
    /// Percentile of a layer's activations that the u8 range covers.
    pub percentile: f64,
}

/// Granularity of the weights' scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightScales {
    /// One scale for each output channel.
    PerChannel,
    /// One scale for the layer.
    PerTensor,
}

/// What belongs to the run as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Training arithmetic.
    pub precision: Precision,
    /// Training and calibration faces of `--data rendered`.
    pub rendered: usize,
}

/// Training arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// [`Precision::Bf16`] on CUDA and on processors that compute in it, else [`Precision::F32`].
    Auto,
    /// Single precision throughout.
    F32,
    /// Convolutions in bfloat16, weights and sums in single precision. Processors without AVX512-BF16 emulate it, some
    /// twenty times slower than single precision.
    Bf16,
}

impl Precision {
    /// What [`Precision::Auto`] means on `device`; the others stay.
    pub fn on(self, device: tch::Device) -> Precision {
        match self {
            Precision::Auto if device.is_cuda() || processor_has_bf16() => Precision::Bf16,
            Precision::Auto => Precision::F32,
            given => given,
        }
    }

    /// The kind of tensor that convolutions compute with.
    pub fn kind(self) -> tch::Kind {
        match self {
            Precision::F32 => tch::Kind::Float,
            Precision::Bf16 => tch::Kind::BFloat16,
            Precision::Auto => self.on(tch::Device::Cpu).kind(),
        }
    }
}

fn processor_has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// The presets that come with the program: name and text.
pub const PRESETS: [(&str, &str); 6] = [
    ("adapt", include_str!("../../presets/adapt.toml")),
    ("edge", include_str!("../../presets/edge.toml")),
    ("ferplus", include_str!("../../presets/ferplus.toml")),
    ("ferplus-distilled", include_str!("../../presets/ferplus-distilled.toml")),
    ("paper", include_str!("../../presets/paper.toml")),
    ("smoke", include_str!("../../presets/smoke.toml")),
];

impl Config {
    /// A preset by its name, or by the path of a TOML file.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if there is neither, or a key is missing, unknown or out of range.
    pub fn preset(name: &str) -> crate::Result<Config> {
        let text = match PRESETS.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => (*text).to_owned(),
            None if name.ends_with(".toml") => files::read_text(Path::new(name), MAX_BYTES)
                .map_err(|error| Error::BadInput(format!("{error}; give a preset or the path of a TOML file")))?,
            None => {
                let names = PRESETS.map(|(known, _)| known).join(", ");
                return Err(Error::BadInput(format!("no preset {name:?}; there are {names}, or give a .toml file")));
            }
        };
        Self::parse(&text).with_context(|| format!("preset {name}"))
    }

    /// A configuration from its TOML text.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if a key is missing, unknown or out of range.
    pub fn parse(text: &str) -> crate::Result<Config> {
        let config: Config = toml::from_str(text).map_err(|error| Error::BadInput(explained(&error, text)))?;
        config.check().map_err(Error::BadInput)?;
        Ok(config)
    }

    /// The aligned face that the expression net takes.
    pub fn face_input(&self) -> FaceInput {
        FaceInput { channels: self.net.channels, aligned: self.net.aligned, size: self.net.size }
    }

    fn check(&self) -> Result<(), String> {
        let Net { channels, aligned, size, convolutions, pools, .. } = &self.net;
        let require = |holds: bool, what: &str| holds.then_some(()).ok_or_else(|| what.to_owned());
        require(matches!(channels, 1 | 3), "net.channels must be 1 or 3")?;
        require((8..=*aligned).contains(size) && *aligned <= 1024, "net: 8 <= size <= aligned <= 1024")?;
        let norm = self.net.batch_norm || self.net.block.is_plain();
        require(norm, "net.block: qarepvgg needs net.batch_norm = true")?;
        let gain = self.net.low_light.is_none_or(|gain| gain.checked().is_some());
        require(gain, "net.low_light: 1 <= below <= to <= 255")?;
        require(
            (1..=64).contains(&convolutions.len()) && convolutions.iter().all(|n| (1..=4096).contains(n)),
            "net.convolutions: 1 to 64 numbers of channels, each 1 to 4096",
        )?;
        let ascending = pools.is_sorted_by(|a, b| a < b) && pools.iter().all(|n| (1..=convolutions.len()).contains(n));
        require(ascending && self.net.map_size() > 0, "net.pools: numbers of convolutions, ascending, not too many")?;
        range::check(&self.ranges())?;
        self.augment.degrade.as_ref().map_or(Ok(()), Degrade::check)?;
        self.augment.mix.as_ref().map_or(Ok(()), Mix::check)?;
        require((0.0..1.0).contains(&self.stage_two.average), "stage_two.average: a share, 0 to less than 1")?;
        let taught = !self.teachers.is_empty();
        require(
            self.stage_two.teacher == 0.0 || self.face_net_tuning.epochs > 0 || taught,
            "stage_two.teacher: only a tuned face net answers; set face_net_tuning.epochs, or [[teachers]]",
        )?;
        teachers::check(&self.teachers, self.face_net.size)?;
        require(
            !taught || (self.stage_two.teacher > 0.0 && self.stage_two.teacher_views > 0),
            "stage_two.teacher and stage_two.teacher_views: with [[teachers]], more than 0",
        )?;
        require(
            !taught || self.face_net_tuning.epochs == 0,
            "face_net_tuning.epochs: with [[teachers]], 0; a teacher with source = \"face-net\" tunes it",
        )?;
        require(
            self.stage_two.teacher_views == 0 || self.stage_two.teacher > 0.0,
            "stage_two.teacher_views: without a teacher, 0",
        )?;
        let jitter = self.stage_two.view_jitter;
        require(
            jitter == 0.0 || ((0.0..=1.0).contains(&jitter) && self.stage_two.teacher_views > 0),
            "stage_two.view_jitter: a share, 0 to 1, of views that a teacher answers (teacher_views)",
        )?;
        self.adapt.as_ref().map_or(Ok(()), Adapt::check)
    }

    /// The numbers that need no others to be judged, each with its key and range.
    fn ranges(&self) -> Vec<Range> {
        let Config { net, face_net, face_net_tuning: tuning, stage_one: one, stage_two: two, augment, .. } = self;
        vec![
            ("net.hidden", net.hidden as f64, 1.0, 65536.0),
            ("net.dropout", net.dropout, 0.0, 0.99),
            ("face_net.size", face_net.size as f64, 32.0, 1024.0),
            ("face_net_tuning.epochs", tuning.epochs as f64, 0.0, MAX_EPOCHS),
            ("face_net_tuning.batch", tuning.batch as f64, 2.0, MAX_BATCH),
            ("face_net_tuning.rate", tuning.rate, MIN_RATE, MAX_RATE),
            ("face_net_tuning.momentum", tuning.momentum, 0.0, MAX_MOMENTUM),
            ("face_net_tuning.weight_decay", tuning.weight_decay, 0.0, 1.0),
            ("stage_one.epochs", one.epochs as f64, 0.0, MAX_EPOCHS),
            ("stage_one.batch", one.batch as f64, 2.0, MAX_BATCH),
            ("stage_one.power", one.power, 1.0, 10.0),
            ("stage_one.views", one.views as f64, 1.0, MAX_VIEWS),
            ("stage_one.rate", one.rate, MIN_RATE, MAX_RATE),
            ("stage_one.momentum", one.momentum, 0.0, MAX_MOMENTUM),
            ("stage_one.weight_decay", one.weight_decay, 0.0, 1.0),
            ("stage_two.epochs", two.epochs as f64, 1.0, MAX_EPOCHS),
            ("stage_two.batch", two.batch as f64, 2.0, MAX_BATCH),
            ("stage_two.rate", two.rate, MIN_RATE, MAX_RATE),
            ("stage_two.momentum", two.momentum, 0.0, MAX_MOMENTUM),
            ("stage_two.weight_decay", two.weight_decay, 0.0, 1.0),
            ("stage_two.balance", two.balance, 0.0, 1.0),
            ("stage_two.prior", two.prior, 0.0, 1.0),
            ("stage_two.teacher", two.teacher, 0.0, 1.0),
            ("stage_two.teacher_views", two.teacher_views as f64, 0.0, MAX_VIEWS),
            ("augment.rotation", augment.rotation, 0.0, 180.0),
            ("augment.scale", augment.scale, 0.0, 0.9),
            ("augment.shift", augment.shift, 0.0, 1.0),
            ("augment.brightness", augment.brightness, 0.0, 10.0),
            ("augment.contrast", augment.contrast, 0.0, 1.0),
            ("augment.erase", augment.erase, 0.0, 1.0),
            ("quantize.calibration_samples", self.quantize.calibration_samples as f64, 8.0, MAX_SAMPLES),
            ("quantize.percentile", self.quantize.percentile, 50.0, 100.0),
            ("run.rendered", self.run.rendered as f64, 1.0, MAX_SAMPLES),
        ]
    }
}

impl Net {
    /// Side in pixels of the maps after the last pool (3x3, stride 2, ceil mode).
    pub fn map_size(&self) -> usize {
        self.pools.iter().fold(self.size, |side, _| pooled(side))
    }

    /// Multiply-accumulates of one inference, given the channels of the adapter and the number of classes.
    pub fn multiply_accumulates(&self, adapter: i64, classes: usize) -> u64 {
        let (mut side, mut from, mut sum) = (self.size as u64, self.channels as u64, 0);
        for (index, to) in self.convolutions.iter().enumerate() {
            sum += side * side * from * *to as u64 * 9;
            from = *to as u64;
            if self.pools.contains(&(index + 1)) {
                side = pooled(side as usize) as u64;
            }
        }
        sum += side * side * from * adapter as u64;
        sum += side * side * adapter as u64 * self.hidden as u64;
        sum + self.hidden as u64 * classes as u64
    }
}

/// Side after a max-pool 3x3 with stride 2 in ceil mode, without padding: 224-112-56-28-14-7.
pub fn pooled(side: usize) -> usize {
    if side < 2 { 0 } else { (side.saturating_sub(3)).div_ceil(2) + 1 }
}

#[cfg(test)]
mod tests {
    use expression_engine::error::{Classify, ErrorKind};

    use super::*;

    #[test]
    fn the_presets_parse_and_keep_their_promises() {
        let [_, edge, ferplus, distilled, paper, smoke] = PRESETS.map(|(name, _)| Config::preset(name).unwrap());
        assert_eq!(paper.net.map_size(), 7);
        let paper_cost = paper.net.multiply_accumulates(512, 8);
        assert!((3_300_000_000..3_380_000_000).contains(&paper_cost), "{paper_cost}");
        assert!(edge.net.multiply_accumulates(512, 8) <= 200_000_000);
        assert!(ferplus.net.multiply_accumulates(512, 8) <= 200_000_000);
        assert!(distilled.net.multiply_accumulates(512, 8) <= 200_000_000);
        assert!(smoke.net.multiply_accumulates(512, 8) <= 20_000_000);
    }

    #[test]
    fn a_wrong_key_or_value_is_bad_input() {
        let smoke = PRESETS[5].1;
        for (good, bad) in [
            ("hidden", "hiden"),
            ("size = 48", "size = 49"),
            ("power = 2.0", "power = 0.5"),
            ("\"one-cycle\"", "\"cosine\""),
            ("\"mobilenet-v1\"", "\"mobilenet-v2\""),
            ("\"per-channel\"", "\"per-row\""),
            ("\"distribution\"", "\"votes\""),
            ("teacher_views = 0", "teacher_views = 1"),
            ("teacher_views = 0", "teacher_views = 0\nview_jitter = 0.1"),
        ] {
            assert!(smoke.contains(good));
            let error = Config::parse(&smoke.replace(good, bad)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadInput, "{error}");
        }
    }
}
