//! What a watcher is told about the program and its model.

use std::path::PathBuf;

use expression_core::Label;

use crate::score::ScoreScale;

/// What runs here; it does not change during a run.
#[derive(Debug, Clone, PartialEq)]
pub struct About {
    /// Name of the bundle.
    pub bundle: String,
    /// The hash of the int8 net in hexadecimal, which tells one model from another.
    pub model: String,
    /// The source of the frames as it was asked for, such as `v4l2:/dev/video0`. It tells two programs on one machine apart.
    pub source: String,
    /// The journal, if one is kept.
    pub journal: Option<PathBuf>,
    /// Logits from one integer score to the next, from the bundle's manifest.
    pub score_scale: f32,
    /// Which labels the model has, in the order of [`Label::ALL`].
    pub labels: [bool; Label::COUNT],
}

impl About {
    /// Turns the model's integer scores into probabilities.
    pub fn scale(&self) -> ScoreScale {
        ScoreScale::new(self.score_scale, self.labels)
    }

    /// Names of the labels that the model has.
    pub fn label_names(&self) -> impl Iterator<Item = &'static str> {
        Label::ALL.into_iter().zip(self.labels).filter_map(|(label, known)| known.then_some(label.name()))
    }
}
