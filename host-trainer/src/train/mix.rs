//! Mixing faces with their targets: mixup (Zhang et al., ICLR 2018, arXiv 1710.09412) and cutmix (Yun et al., ICCV 2019, arXiv
//! 1905.04899). The targets are the votes and the teacher's answers, so both are mixed like the faces.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use tch::{Kind, Tensor};

use crate::config::Mix;

/// Mixes each face of a batch `[n, c, h, w]` and its target `[n, 8]` with another of the batch, with the configured probabilities:
/// a share of each (mixup), or a rectangle of the other in its place (cutmix). The shares are evenly distributed.
pub fn mixed(faces: &Tensor, target: &Tensor, config: &Mix, rng: &mut impl Rng) -> (Tensor, Tensor) {
    let kind: f64 = rng.random();
    let [count, _, height, width] = faces.size()[..] else { return (faces.shallow_clone(), target.shallow_clone()) };
    if kind >= config.mixup + config.cutmix {
        return (faces.shallow_clone(), target.shallow_clone());
    }
    let mut others: Vec<i64> = (0..count).collect();
    others.shuffle(rng);
    let others = Tensor::from_slice(&others).to_device(faces.device());
    let (other, other_target) = (faces.index_select(0, &others), target.index_select(0, &others));
    let share: f64 = rng.random();
    if kind < config.mixup {
        return (faces * share + other * (1.0 - share), target * share + other_target * (1.0 - share));
    }
    // A rectangle of the shape of the face, somewhere within it.
    let side = (1.0 - share).sqrt();
    let [high, wide] = [height, width].map(|length| (length as f64 * side).round() as i64);
    let (top, left) = (rng.random_range(0..=height - high), rng.random_range(0..=width - wide));
    let mask = Tensor::zeros([1, 1, height, width], (Kind::Float, faces.device()));
    let _ = mask.narrow(2, top, high).narrow(3, left, wide).fill_(1.0);
    let share = 1.0 - (high * wide) as f64 / (height * width) as f64;
    (faces * (1.0 - &mask) + other * &mask, target * share + other_target * (1.0 - share))
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::random::rng;

    /// Face `i` has the value `i` everywhere, and its target is that of class `i`.
    fn batch() -> (Tensor, Tensor) {
        let numbers = Tensor::arange(8, (Kind::Int64, Device::Cpu));
        let faces = numbers.to_kind(Kind::Float).view([8, 1, 1, 1]).expand([8, 2, 12, 10], false).contiguous();
        (faces, numbers.one_hot(8).to_kind(Kind::Float))
    }

    /// Asserts that the mean of each face is that of its target: value and class are the same number.
    fn assert_fair(faces: &Tensor, target: &Tensor) {
        let means = faces.mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float);
        let told = target.matmul(&Tensor::arange(8, (Kind::Float, Device::Cpu)));
        assert!((means - told).abs().max().double_value(&[]) < 1e-4);
        assert!(
            (target.sum_dim_intlist([1i64].as_slice(), false, Kind::Float) - 1.0).abs().max().double_value(&[]) < 1e-5
        );
    }

    #[test]
    fn targets_are_mixed_like_their_faces() {
        let (faces, target) = batch();
        for (config, whole_values) in
            [(Mix { mixup: 1.0, cutmix: 0.0 }, false), (Mix { mixup: 0.0, cutmix: 1.0 }, true)]
        {
            let mut changed = 0;
            for step in 0..20 {
                let (mixed_faces, mixed_target) = mixed(&faces, &target, &config, &mut rng(1, "mix", step));
                assert_fair(&mixed_faces, &mixed_target);
                changed += i32::from(mixed_faces != faces);
                if whole_values {
                    assert_eq!(mixed_faces.round(), mixed_faces, "cutmix pastes");
                }
                let again = mixed(&faces, &target, &config, &mut rng(1, "mix", step));
                assert_eq!((again.0, again.1), (mixed_faces, mixed_target));
            }
            assert!(changed > 15, "{config:?}: {changed}");
        }
    }

    #[test]
    fn the_configured_share_of_batches_is_mixed() {
        let (faces, target) = batch();
        let count = |config: Mix| {
            let mut rng = rng(1, "mix", 0);
            (0..400).filter(|_| mixed(&faces, &target, &config, &mut rng).0 != faces).count()
        };
        assert_eq!(count(Mix { mixup: 0.0, cutmix: 0.0 }), 0);
        assert!((160..=240).contains(&count(Mix { mixup: 0.25, cutmix: 0.25 })));
    }
}
