//! From which probability on the board gives a label.

use expression_core::Label;
use expression_engine::Scores;
use expression_engine::bundle::Confidence;

use crate::dataset::Sample;

/// At most this share of the samples goes without a label.
const MAX_UNANSWERED: f64 = 0.2;

/// Fewer samples than this do not choose the threshold of a net that came with one.
pub const MIN_SAMPLES: usize = 100;

/// Chosen on held-out samples: the largest probability below which the net is more often wrong than right. `labels`: of the
/// scores, in order.
pub fn calibrated(answers: &[Scores], samples: &[Sample], labels: &[Label]) -> Confidence {
    let pairs = answers.iter().zip(samples);
    let mut judged: Vec<(f32, bool)> = pairs
        .map(|(scores, sample)| (scores.probability[scores.class], labels[scores.class] == sample.label))
        .collect();
    judged.sort_by(|a, b| a.0.total_cmp(&b.0));
    let most = (judged.len() as f64 * MAX_UNANSWERED) as usize;
    let (mut right, mut unanswered) = (0, 0);
    for (index, (_, is_right)) in judged.iter().enumerate().take(most) {
        right += usize::from(*is_right);
        if 2 * right < index + 1 {
            unanswered = index + 1;
        }
    }
    let answered = &judged[unanswered..];
    let share = |part: usize, whole: usize| part as f32 / whole.max(1) as f32;
    Confidence {
        least: if unanswered == 0 { 0.0 } else { answered.first().map_or(1.0, |(probability, _)| *probability) },
        answered: share(answered.len(), judged.len()),
        accuracy: share(answered.iter().filter(|(_, right)| *right).count(), answered.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(pairs: &[(f32, bool)]) -> Confidence {
        let scores = |probability: f32| Scores {
            integer: vec![1, 0],
            probability: vec![probability, 1.0 - probability],
            class: 0,
        };
        let sample = |right| Sample {
            name: String::new(),
            subject: None,
            picture: expression_engine::Picture { width: 1, height: 1, channels: 1, data: vec![0] },
            distribution: [0.0; Label::COUNT],
            label: if right { Label::Neutral } else { Label::Fear },
            majority: true,
        };
        let answers: Vec<Scores> = pairs.iter().map(|(probability, _)| scores(*probability)).collect();
        let samples: Vec<Sample> = pairs.iter().map(|(_, right)| sample(*right)).collect();
        calibrated(&answers, &samples, &Label::ALL)
    }

    #[test]
    fn labels_that_are_oftener_wrong_than_right_are_not_given() {
        let sure = (0..30).map(|i| (0.6 + 0.01 * i as f32, true));
        let unsure = [(0.3, false), (0.32, true), (0.35, false), (0.4, false), (0.45, true)];
        let found = judged(&unsure.into_iter().chain(sure.clone()).collect::<Vec<_>>());
        assert_eq!(found, Confidence { least: 0.6, answered: 30.0 / 35.0, accuracy: 1.0 });
        assert_eq!(judged(&sure.collect::<Vec<_>>()), Confidence { least: 0.0, answered: 1.0, accuracy: 1.0 });
        assert_eq!(judged(&[]).least, 0.0);
        // A net that knows nothing still answers most samples.
        assert!(judged(&(0..10).map(|i| (0.1 * i as f32, false)).collect::<Vec<_>>()).answered >= 0.8);
    }
}
