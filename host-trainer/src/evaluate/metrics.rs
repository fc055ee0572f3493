//! Accuracy, recall and confusion of predictions.

use expression_core::Label;
use serde::{Deserialize, Serialize};

use crate::dataset::Sample;

/// Figures of predictions on one set of samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// How many samples.
    pub samples: usize,
    /// Share of right answers.
    pub accuracy: f64,
    /// Share of right answers among the samples where more than half of the votes are for one label.
    pub accuracy_majority: f64,
    /// Mean of the recalls of the labels that occur.
    pub macro_recall: f64,
    /// Recall of each label; none where the label does not occur.
    pub recall: Vec<Option<f64>>,
    /// `confusion[label][answer]`: how many.
    pub confusion: Vec<Vec<usize>>,
}

impl Metrics {
    /// Returns the figures of the class answered for each sample.
    pub fn new(samples: &[Sample], answers: &[usize]) -> Metrics {
        Metrics::from_answers(
            samples.iter().zip(answers).map(|(sample, answer)| (sample.label, *answer, sample.majority)),
        )
    }

    /// Returns the figures of samples, each given by its label, the class answered, and whether more than half of the votes
    /// are for the label.
    pub fn from_answers(answers: impl Iterator<Item = (Label, usize, bool)>) -> Metrics {
        let mut confusion = vec![vec![0; Label::COUNT]; Label::COUNT];
        // Samples and right answers: of all, and of those with a majority.
        let mut counts = [[0usize; 2]; 2];
        for (label, answer, majority) in answers {
            confusion[label as usize][answer] += 1;
            for [samples, right] in &mut counts[..=usize::from(majority)] {
                *samples += 1;
                *right += usize::from(label as usize == answer);
            }
        }
        let recall: Vec<Option<f64>> = confusion
            .iter()
            .enumerate()
            .map(|(label, row)| {
                let count: usize = row.iter().sum();
                (count > 0).then(|| row[label] as f64 / count as f64)
            })
            .collect();
        let [accuracy, accuracy_majority] = counts.map(|[samples, right]| right as f64 / samples.max(1) as f64);
        let occurring: Vec<f64> = recall.iter().flatten().copied().collect();
        Metrics {
            samples: counts[0][0],
            accuracy,
            accuracy_majority,
            macro_recall: occurring.iter().sum::<f64>() / occurring.len().max(1) as f64,
            recall,
            confusion,
        }
    }
}

/// Share of equal answers.
pub fn agreement(a: &[usize], b: &[usize]) -> f64 {
    a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_four_answers() {
        let picture = expression_engine::Picture { width: 1, height: 1, channels: 1, data: vec![0] };
        let labels = [Label::Neutral, Label::Neutral, Label::Neutral, Label::Fear];
        let mut samples = labels.map(|label| Sample::labelled(String::new(), None, picture.clone(), label)).to_vec();
        samples[0].majority = false;
        let metrics = Metrics::new(&samples, &[1, 0, 0, 6]);
        assert_eq!((metrics.accuracy, metrics.accuracy_majority), (0.75, 1.0));
        assert!((metrics.macro_recall - (2.0 / 3.0 + 1.0) / 2.0).abs() < 1e-12);
        assert_eq!(metrics.confusion[0][1], 1);
        assert_eq!(metrics.recall[2], None);
        assert_eq!(agreement(&[1, 2], &[1, 3]), 0.5);
    }
}
