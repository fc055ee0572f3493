//! Nets that teach together: `[[teachers]]`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::range::{self, MAX_BATCH, MAX_EPOCHS, MAX_RATE, MIN_RATE};

/// A net that is tuned on the expression set, and answers in stage two with the others: a table of `[[teachers]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherNet {
    /// Its name, for folders and reports.
    pub name: String,
    /// Where its weights come from.
    pub source: TeacherSource,
    /// Side in pixels of its input; that of the face net must be `face_net.size`.
    pub size: i64,
    /// Epochs: passes over the training samples.
    pub epochs: usize,
    /// Batch size: samples per step.
    pub batch: usize,
    /// How a gradient becomes a step.
    pub optimizer: TeacherOptimizer,
    /// Learning rate (one-cycle).
    pub rate: f64,
    /// Factor on the learning rate of the classifier.
    pub head_rate: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Share of the averaged weights that a step keeps; 0 for no averaging.
    pub average: f64,
    /// Blocks of DenseNet, and all before them, that stay as they are; 0 for the others.
    pub frozen: usize,
    /// Tells nets of one kind apart: another seed draws other weights, batches and views.
    pub seed: u64,
    /// The shape of a net from scratch; only for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratch: Option<Scratch>,
}

/// Where a teacher's weights come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TeacherSource {
    /// The face net of `[face_net]`. Tuned, it supervises stage one too.
    FaceNet,
    /// The expression net `fr_expression`, a DenseNet-121, which set-up downloads.
    #[serde(rename = "densenet-121")]
    DenseNet121,
    /// Nowhere: it is trained from scratch.
    Scratch,
}

/// How a teacher's gradient becomes a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TeacherOptimizer {
    /// AdamW.
    AdamW,
    /// Stochastic gradient descent with a momentum of 0.9.
    Sgd,
}

/// The shape of a net from scratch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scratch {
    /// Its blocks.
    pub block: ScratchBlock,
    /// Channels of its stages; each stage after the first has half the side.
    pub widths: Vec<i64>,
    /// Blocks of each stage.
    pub depth: usize,
}

/// The blocks of a net from scratch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScratchBlock {
    /// Two convolutions and a shortcut.
    Residual,
    /// One convolution with branches.
    QaRepVgg,
}

impl TeacherNet {
    /// # Errors
    /// Returns what is out of range.
    pub(super) fn check(&self) -> Result<(), String> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let named = !self.name.is_empty() && self.name.len() <= 40 && self.name.chars().all(plain);
        let of_scratch = (self.source == TeacherSource::Scratch) == self.scratch.is_some();
        let frozen = self.frozen == 0 || self.source == TeacherSource::DenseNet121 && self.frozen <= 3;
        range::check(&[
            ("teachers.epochs", self.epochs as f64, 1.0, MAX_EPOCHS),
            ("teachers.batch", self.batch as f64, 2.0, MAX_BATCH),
            ("teachers.rate", self.rate, MIN_RATE, MAX_RATE),
            ("teachers.head_rate", self.head_rate, MIN_RATE, 1000.0),
            ("teachers.weight_decay", self.weight_decay, 0.0, 1.0),
        ])?;
        let require = |holds: bool, what: &str| holds.then_some(()).ok_or_else(|| format!("teachers.{what}"));
        require(named, "name: lower-case letters, digits and -")?;
        require((32..=512).contains(&self.size), "size: 32 to 512 pixels")?;
        require((0.0..1.0).contains(&self.average), "average: a share, 0 to less than 1")?;
        require(frozen, "frozen: 0 to 3 blocks of densenet-121; 0 for the others")?;
        require(of_scratch, "scratch: the shape of a net with source = \"scratch\", and of no other")?;
        self.scratch.as_ref().map_or(Ok(()), Scratch::check)
    }
}

impl Scratch {
    fn check(&self) -> Result<(), String> {
        let widths = (1..=6).contains(&self.widths.len()) && self.widths.iter().all(|it| (1..=2048).contains(it));
        let holds = widths && (1..=32).contains(&self.depth);
        holds.then_some(()).ok_or_else(|| "teachers.scratch: 1 to 6 widths of 1 to 2048, a depth of 1 to 32".into())
    }
}

/// # Errors
/// Returns what teachers lack together.
pub(super) fn check(teachers: &[TeacherNet], face_net_size: i64) -> Result<(), String> {
    teachers.iter().try_for_each(TeacherNet::check)?;
    let names: BTreeSet<&str> = teachers.iter().map(|teacher| teacher.name.as_str()).collect();
    if names.len() != teachers.len() {
        return Err("teachers.name: each has a name of its own".into());
    }
    let mut of_face_net = teachers.iter().filter(|teacher| teacher.source == TeacherSource::FaceNet);
    let (first, second) = (of_face_net.next(), of_face_net.next());
    if second.is_some() || first.is_some_and(|teacher| teacher.size != face_net_size) {
        return Err("teachers: one at most with source = \"face-net\", and its size is face_net.size".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Config, PRESETS};

    const TEACHERS: &str = "\n[[teachers]]\nname = \"own-1\"\nsource = \"scratch\"\nsize = 64\nepochs = 1\nbatch = 16\n\
        optimizer = \"adamw\"\nrate = 1e-3\nhead_rate = 1.0\nweight_decay = 0.02\naverage = 0.0\nfrozen = 0\nseed = 1\n\
        scratch = { block = \"residual\", widths = [8, 16], depth = 1 }\n";

    fn smoke() -> String {
        let smoke = PRESETS.iter().find(|(name, _)| *name == "smoke").expect("a preset").1;
        smoke.replace("teacher = 0.0", "teacher = 0.5").replace("teacher_views = 0", "teacher_views = 2")
    }

    #[test]
    fn a_preset_may_have_teachers_and_says_so_when_written() {
        let config = Config::parse(&format!("{}{TEACHERS}", smoke())).unwrap();
        assert_eq!(config.teachers.len(), 1);
        assert_eq!(Config::parse(&toml::to_string(&config).unwrap()).unwrap(), config);
        let without = Config::preset("smoke").unwrap();
        assert!(!toml::to_string(&without).unwrap().contains("teachers"));
    }

    #[test]
    fn teachers_that_cannot_be_are_refused() {
        let another = TEACHERS.replace("own-1", "own-2");
        for (good, bad, told) in [
            ("\"own-1\"", "\"../own\"", "teachers.name"),
            ("size = 64", "size = 8", "teachers.size"),
            ("epochs = 1", "epochs = 0", "teachers.epochs"),
            ("batch = 16", "batch = 1", "teachers.batch"),
            ("rate = 1e-3", "rate = 0.0", "teachers.rate"),
            ("average = 0.0", "average = 1.0", "teachers.average"),
            ("frozen = 0", "frozen = 2", "teachers.frozen"),
            ("\"scratch\"\nsize", "\"densenet-121\"\nsize", "teachers.scratch"),
            ("\"scratch\"\nsize", "\"vgg\"\nsize", "densenet-121"),
            ("depth = 1", "depth = 0", "teachers.scratch"),
            ("\"own-1\"", "\"own-2\"", "a name of its own"),
        ] {
            assert!(TEACHERS.contains(good), "{good}");
            let text = format!("{}{}{another}", smoke(), TEACHERS.replacen(good, bad, 1));
            let error = Config::parse(&text).unwrap_err();
            assert!(error.to_string().contains(told), "{bad}: {error}");
        }
        let tuned_twice = format!("{}{TEACHERS}", smoke()).replacen("epochs = 0", "epochs = 1", 1);
        assert!(Config::parse(&tuned_twice).unwrap_err().to_string().contains("face_net_tuning.epochs"));
        let silent = format!("{}{TEACHERS}", PRESETS[PRESETS.len() - 1].1);
        assert!(Config::parse(&silent).unwrap_err().to_string().contains("stage_two.teacher"));
    }
}
