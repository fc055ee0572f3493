//! Cross-entropy, what it is taken against, and shares of right answers.

use expression_core::Label;
use tch::{Kind, Tensor};

use super::faces::Faces;
use crate::config::Targets;

/// What cross-entropy is taken against: f32 `[n, 8]`.
pub fn target(faces: &Faces, rows: &Tensor, targets: Targets) -> Tensor {
    target_of((&faces.distribution, &faces.label), rows, targets)
}

/// As [`target`], of vote distributions, f32 `[samples, 8]`, and class indices, i64 `[samples]`.
pub fn target_of((distribution, label): (&Tensor, &Tensor), rows: &Tensor, targets: Targets) -> Tensor {
    match targets {
        Targets::Distribution => distribution.index_select(0, rows),
        Targets::Majority => label.index_select(0, rows).one_hot(Label::COUNT as i64).to_kind(Kind::Float),
    }
}

/// Mean cross-entropy of logits `[n, 8]` against distributions `[n, 8]`.
pub fn cross_entropy(logits: &Tensor, target: &Tensor) -> Tensor {
    -(logits.log_softmax(-1, Kind::Float) * target)
        .sum_dim_intlist([-1i64].as_slice(), false, Kind::Float)
        .mean(Kind::Float)
}

/// Share of logits `[n, 8]` whose largest is that of the label, i64 `[n]`.
pub fn share_right(logits: &Tensor, label: &Tensor) -> f64 {
    logits.argmax(-1, false).eq_tensor(label).to_kind(Kind::Float).mean(Kind::Float).double_value(&[])
}

/// Share of logits `[n, 8]` whose largest is that of the label, i64 `[n]`, and the mean of that share over the labels that occur.
pub fn shares_right(logits: &Tensor, label: &Tensor) -> (f64, f64) {
    let right = logits.argmax(-1, false).eq_tensor(label).to_kind(Kind::Float);
    let of = label.one_hot(Label::COUNT as i64).to_kind(Kind::Float);
    let count = of.sum_dim_intlist([0i64].as_slice(), false, Kind::Float);
    let recall =
        (&of * right.unsqueeze(1)).sum_dim_intlist([0i64].as_slice(), false, Kind::Float) / count.clamp_min(1.0);
    let occur = count.gt(0.0).to_kind(Kind::Float).sum(Kind::Float).double_value(&[]);
    (right.mean(Kind::Float).double_value(&[]), recall.sum(Kind::Float).double_value(&[]) / occur.max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macro_recall_counts_each_label_alike() {
        let logits = Tensor::from_slice(&[1f32, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]).view([4, 2]);
        let wide = Tensor::zeros([4, 6], (Kind::Float, tch::Device::Cpu)) - 1.0;
        let (right, recall) = shares_right(&Tensor::cat(&[logits, wide], 1), &Tensor::from_slice(&[0i64, 0, 0, 1]));
        assert!((right - 0.75).abs() < 1e-6 && (recall - 0.5).abs() < 1e-6);
    }
}
