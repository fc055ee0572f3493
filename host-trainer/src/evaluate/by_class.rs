//! Figures of each label, with 95 % intervals, and how well probabilities are calibrated.

use expression_core::Label;
use serde::Serialize;

use super::Metrics;
use super::interval::wilson;

/// Bins of the expected calibration error.
const BINS: usize = 15;

/// A share with its 95 % interval (Wilson).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// The share.
    pub share: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Share {
    /// `part` of `whole`, or `None` if there is nothing to take a share of.
    pub fn of(part: usize, whole: usize) -> Option<Share> {
        let [low, high] = wilson(part, whole);
        (whole > 0).then(|| Share { share: part as f64 / whole as f64, low, high })
    }
}

impl std::fmt::Display for Share {
    /// `81.3 % (78.0 to 84.2)`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} % ({:.1} to {:.1})", 100.0 * self.share, 100.0 * self.low, 100.0 * self.high)
    }
}

/// Figures of one label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OfClass {
    /// The label's name.
    pub label: &'static str,
    /// Samples of the label.
    pub samples: usize,
    /// Samples that were answered with it.
    pub answers: usize,
    /// Share of those answers that are right; none without answers.
    pub precision: Option<Share>,
    /// Share of the label's samples that were answered with it; none without samples.
    pub recall: Option<Share>,
    /// Harmonic mean of precision and recall; none if the label neither occurs nor is answered.
    pub f1: Option<f64>,
}

/// Returns the figures of each label.
pub fn by_class(metrics: &Metrics) -> Vec<OfClass> {
    let count = |label: Label, answer: Label| metrics.confusion[label as usize][answer as usize];
    Label::ALL
        .into_iter()
        .map(|label| {
            let right = count(label, label);
            let samples: usize = Label::ALL.iter().map(|answer| count(label, *answer)).sum();
            let answers: usize = Label::ALL.iter().map(|of| count(*of, label)).sum();
            OfClass {
                label: label.name(),
                samples,
                answers,
                precision: Share::of(right, answers),
                recall: Share::of(right, samples),
                f1: (samples + answers > 0).then(|| 2.0 * right as f64 / (samples + answers) as f64),
            }
        })
        .collect()
}

/// Returns the mean F1 of the labels that occur.
pub fn macro_f1(classes: &[OfClass]) -> f64 {
    let occurring: Vec<f64> = classes.iter().filter(|of| of.samples > 0).filter_map(|of| of.f1).collect();
    occurring.iter().sum::<f64>() / occurring.len().max(1) as f64
}

/// Returns the expected calibration error of answers, each with its probability and whether it is right: the mean distance
/// between probability and accuracy over bins of equal width, weighed by their samples (Guo et al., "On Calibration of Modern
/// Neural Networks", ICML 2017, arXiv 1706.04599). 0 is perfect.
pub fn calibration_error(answers: impl IntoIterator<Item = (f32, bool)>) -> f64 {
    // Samples, right answers, sum of probabilities.
    let mut bins = [(0usize, 0usize, 0f64); BINS];
    for (probability, right) in answers {
        let bin = &mut bins[((f64::from(probability) * BINS as f64) as usize).min(BINS - 1)];
        *bin = (bin.0 + 1, bin.1 + usize::from(right), bin.2 + f64::from(probability));
    }
    let samples: usize = bins.iter().map(|bin| bin.0).sum();
    bins.iter().map(|(_, right, sum)| (*right as f64 - sum).abs()).sum::<f64>() / samples.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_recall_and_f1_are_those_of_the_confusion() {
        let mut confusion = vec![vec![0; Label::COUNT]; Label::COUNT];
        // 8 of 10 neutral ones found, and 4 happy ones taken for neutral.
        (confusion[0][0], confusion[0][1], confusion[1][0], confusion[1][1]) = (8, 2, 4, 6);
        let metrics = Metrics {
            samples: 20,
            accuracy: 0.7,
            accuracy_majority: 0.7,
            macro_recall: 0.7,
            recall: vec![None; Label::COUNT],
            confusion,
        };
        let classes = by_class(&metrics);
        let [neutral, happy, surprise] = &classes[..3] else { panic!("eight labels") };
        assert_eq!((neutral.samples, neutral.answers), (10, 12));
        assert!((neutral.precision.unwrap().share - 8.0 / 12.0).abs() < 1e-12);
        assert!((neutral.recall.unwrap().share - 0.8).abs() < 1e-12);
        assert!((neutral.f1.unwrap() - 16.0 / 22.0).abs() < 1e-12);
        assert!((happy.f1.unwrap() - 12.0 / 18.0).abs() < 1e-12);
        assert_eq!((surprise.recall, surprise.precision, surprise.f1), (None, None, None));
        assert!((macro_f1(&classes) - (16.0 / 22.0 + 12.0 / 18.0) / 2.0).abs() < 1e-12);
        assert_eq!(neutral.recall.unwrap().to_string(), "80.0 % (49.0 to 94.3)");
    }

    #[test]
    fn a_net_that_is_right_as_often_as_it_says_is_calibrated() {
        let calibrated = (0..100).map(|number| (0.75f32, number % 4 != 0));
        assert!(calibration_error(calibrated) < 1e-6);
        let too_sure = (0..100).map(|number| (0.95f32, number % 2 == 0));
        assert!((calibration_error(too_sure) - 0.45).abs() < 1e-6);
        assert_eq!(calibration_error([]), 0.0);
    }
}
