//! From the net's integer scores to probabilities.

use expression_core::Label;
use expression_core::smooth::{ONE, Softmax};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Turns the integer scores of one model into probabilities.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreScale {
    softmax: Softmax,
    labels: [bool; Label::COUNT],
}

impl ScoreScale {
    /// The scale of a model whose integer scores are `step` logits apart and that has these labels.
    pub fn new(step: f32, labels: [bool; Label::COUNT]) -> ScoreScale {
        ScoreScale { softmax: Softmax::new(step), labels }
    }

    /// The scale of a model whose labels have these names, with spaces between.
    pub fn from_names(step: f32, names: &str) -> ScoreScale {
        let known: Vec<_> = names.split_whitespace().filter_map(Label::from_name).collect();
        ScoreScale::new(step, Label::ALL.map(|label| known.contains(&label)))
    }

    /// The labels that the model has, in the order of [`Label::ALL`].
    pub fn labels(&self) -> impl Iterator<Item = Label> {
        Label::ALL.into_iter().filter(|label| self.labels[*label as usize])
    }

    /// The probability of each label of the model: the softmax of its scores. `scores` are in the order of [`Label::ALL`].
    pub fn probabilities(&self, scores: &[u8; Label::COUNT]) -> Scores {
        let known: heapless::Vec<u8, { Label::COUNT }> = self.labels().map(|label| scores[label as usize]).collect();
        let found = self.softmax.probabilities(&known);
        Scores(self.labels().zip(found.map(|share| rounded(share as f32 / ONE as f32))).collect())
    }
}

/// A probability for each label that the model has, in the order of [`Label::ALL`]. JSON: an object with the names of the labels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scores(pub Vec<(Label, f64)>);

impl Serialize for Scores {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(label, value)| (label.name(), value)))
    }
}

impl<'de> Deserialize<'de> for Scores {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Scores, D::Error> {
        let named = Map::<String, Value>::deserialize(deserializer)?;
        let pair = |(name, value): (&String, &Value)| Some((Label::from_name(name)?, value.as_f64()?));
        let pairs: Option<Vec<_>> = named.iter().map(pair).collect();
        pairs.map(Scores).ok_or_else(|| serde::de::Error::custom("expected a number for each label"))
    }
}

/// A share with four digits after the point.
pub fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_a_softmax_over_the_labels_that_the_model_has() {
        let share =
            |scores: &Scores, label| scores.0.iter().find(|(known, _)| *known == label).map(|(_, share)| *share);
        let sum = |scores: &Scores| scores.0.iter().map(|(_, share)| share).sum::<f64>();
        let all = ScoreScale::new(0.1, [true; 8]).probabilities(&[10, 20, 0, 0, 0, 0, 0, 0]);
        assert!((sum(&all) - 1.0).abs() < 8.0 * 5e-5, "{all:?}");
        let ratio = share(&all, Label::Happiness).unwrap() / share(&all, Label::Neutral).unwrap();
        assert!((ratio - 1f64.exp()).abs() < 2e-3, "{ratio}");
        let mut labels = [true; 8];
        labels[1] = false;
        let seven = ScoreScale::new(0.1, labels).probabilities(&[10, 20, 0, 0, 0, 0, 0, 0]);
        assert_eq!((share(&seven, Label::Happiness), seven.0.len()), (None, 7));
        assert!((sum(&seven) - 1.0).abs() < 8.0 * 5e-5, "{seven:?}");
        assert_eq!(ScoreScale::new(0.1, [false; 8]).probabilities(&[255; 8]), Scores::default());
    }
}
