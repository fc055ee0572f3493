//! What a watcher is told of the program and its model.

/// What runs here, told once.
#[derive(Debug, Clone, PartialEq)]
pub struct About {
    /// Name of the bundle.
    pub bundle: String,
    /// What tells one model from another: the hash of the int8 net in hexadecimal.
    pub model: String,
    /// What one step of an integer score is worth as a logit, from the bundle's manifest: it turns scores into
    /// probabilities.
    pub score_scale: f32,
    /// Which labels the model has, in the order of [`expression_core::Label::ALL`].
    pub labels: [bool; expression_core::Label::COUNT],
}

impl About {
    /// The softmax of integer scores over the labels that the model has; 0 for the others.
    pub fn probabilities(&self, scores: &[u8; expression_core::Label::COUNT]) -> [f32; expression_core::Label::COUNT] {
        let known = scores.iter().zip(self.labels).filter_map(|(score, known)| known.then_some(*score));
        let top = f32::from(known.max().unwrap_or(0));
        let mut weights = [0.0; expression_core::Label::COUNT];
        for ((weight, score), known) in weights.iter_mut().zip(scores).zip(self.labels) {
            if known {
                *weight = (self.score_scale * (f32::from(*score) - top)).exp();
            }
        }
        let sum: f32 = weights.iter().sum();
        if sum > 0.0 { weights.map(|weight| weight / sum) } else { weights }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(labels: [bool; 8]) -> About {
        About { bundle: "b".into(), model: "m".into(), score_scale: 0.1, labels }
    }

    #[test]
    fn probabilities_are_a_softmax_over_the_labels_that_the_model_has() {
        let all = about([true; 8]).probabilities(&[10, 20, 0, 0, 0, 0, 0, 0]);
        assert!((all.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((all[1] / all[0] - 1f32.exp()).abs() < 1e-4);
        let mut labels = [true; 8];
        labels[1] = false;
        let seven = about(labels).probabilities(&[10, 20, 0, 0, 0, 0, 0, 0]);
        assert_eq!(seven[1], 0.0);
        assert!((seven.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert_eq!(about([false; 8]).probabilities(&[255; 8]), [0.0; 8]);
    }
}
