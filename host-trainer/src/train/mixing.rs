//! The mixture of the old net's weights and the adapted ones: from none of what was learnt to all of it (Wortsman et al., "Robust
//! fine-tuning of zero-shot models", CVPR 2022, arXiv 2109.01903). How much is taken decides between the room and what was known
//! before.

use std::path::Path;

use expression_engine::files;
use tch::{Kind, Tensor};

use super::faces::Faces;
use super::stage_two;
use crate::net::ExpressionNet;

/// Steps from the old weights to the adapted ones.
const STEPS: usize = 10;

/// A mixture, and what was measured with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mixture {
    /// Share of the adapted weights; the rest are the old ones.
    pub share: f64,
    /// Share of the old net's answers to held-out rehearsal faces that stay.
    pub kept: f64,
    /// Cross-entropy on held-out pictures of one's own.
    pub loss: f64,
    /// Accuracy on them.
    pub accuracy: f64,
}

/// Sets `net` to the mixture with the lowest held-out loss among those that keep at least the share `keep` of the old net's
/// answers to `rehearsal`, u8 `[n, channels, aligned, aligned]`. The old net itself keeps all. `old`: each variable of `net` with
/// its old value. Returns all mixtures, from the old net to the adapted one, and the place of the chosen one.
///
/// # Errors
/// Returns the errors of torch.
pub fn mix(
    net: &ExpressionNet,
    old: &[(Tensor, Tensor)],
    (held_out, rehearsal): (&Faces, &Tensor),
    keep: f64,
    side: i64,
) -> crate::Result<(Vec<Mixture>, usize)> {
    let adapted: Vec<Tensor> = old.iter().map(|(variable, _)| variable.detach().copy()).collect();
    let set = |share: f64| {
        tch::no_grad(|| {
            for ((variable, old), adapted) in old.iter().zip(&adapted) {
                variable.shallow_clone().copy_(&(old * (1.0 - share) + adapted * share));
            }
        });
    };
    let classes = || stage_two::logits(net, rehearsal, side).argmax(-1, false);
    set(0.0);
    let before = classes();
    let mut mixtures = Vec::new();
    for step in 0..=STEPS {
        let share = step as f64 / STEPS as f64;
        set(share);
        let (loss, accuracy) = stage_two::measure(net, held_out, side)?;
        let kept = classes().eq_tensor(&before).to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
        mixtures.push(Mixture { share, kept, loss, accuracy: accuracy.unwrap_or(f64::NAN) });
    }
    let chosen = chosen(&mixtures, keep);
    set(mixtures[chosen].share);
    Ok((mixtures, chosen))
}

/// The place of the mixture with the lowest held-out loss among those that keep enough; of the old net if none does.
fn chosen(mixtures: &[Mixture], keep: f64) -> usize {
    let enough = mixtures.iter().enumerate().filter(|(_, mixture)| mixture.kept >= keep);
    enough.min_by(|(_, a), (_, b)| a.loss.total_cmp(&b.loss)).map_or(0, |(place, _)| place)
}

/// Writes the mixtures as CSV: what each would keep and give.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub fn write_csv(path: &Path, mixtures: &[Mixture]) -> crate::Result<()> {
    let mut text = "share,kept,held_out_loss,held_out_accuracy\n".to_owned();
    for Mixture { share, kept, loss, accuracy } in mixtures {
        text += &format!("{share},{kept:.4},{loss:.4},{accuracy:.4}\n");
    }
    Ok(files::write_bytes(path, text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use expression_core::Label;
    use tch::Device;

    use super::*;

    #[test]
    fn the_lowest_loss_counts_among_what_keeps_enough() {
        let mixture = |share, kept, loss| Mixture { share, kept, loss, accuracy: 0.5 };
        let mixtures =
            [mixture(0.0, 1.0, 2.0), mixture(0.5, 0.98, 1.0), mixture(0.7, 0.97, 0.9), mixture(1.0, 0.8, 0.5)];
        assert_eq!([1.0, 0.975, 0.97, 0.5].map(|keep| chosen(&mixtures, keep)), [0, 1, 2, 3]);
        let overdone = [mixture(0.0, 1.0, 2.0), mixture(0.5, 0.99, 1.0), mixture(1.0, 0.99, 1.5)];
        assert_eq!(chosen(&overdone, 0.9), 1);
    }

    #[test]
    fn the_net_becomes_the_mixture_that_was_chosen() {
        let config = crate::config::Config::preset("smoke").unwrap().net;
        tch::manual_seed(1);
        let net = ExpressionNet::new(&config, 3, Label::COUNT as i64, Kind::Float, Device::Cpu);
        let variables = net.store().trainable_variables();
        let old: Vec<_> = variables.iter().map(|weight| (weight.shallow_clone(), weight.detach().copy())).collect();
        let moved = |far: f64| {
            tch::no_grad(|| variables.iter().for_each(|weight| drop(weight.shallow_clone().g_add_scalar_(far))))
        };
        moved(0.5);
        let aligned = config.aligned as i64;
        let pictures = Tensor::randint(256, [40, config.channels as i64, aligned, aligned], (Kind::Uint8, Device::Cpu));
        let label = Tensor::zeros([40], (Kind::Int64, Device::Cpu));
        let distribution = label.one_hot(Label::COUNT as i64).to_kind(Kind::Float);
        let faces = Faces { aligned: pictures.shallow_clone(), distribution, label };
        for keep in [0.0, 1.0] {
            let (mixtures, chosen) = mix(&net, &old, (&faces, &pictures), keep, config.size as i64).unwrap();
            assert!(mixtures.len() == STEPS + 1 && mixtures[0].kept == 1.0 && mixtures[chosen].kept >= keep);
            let far = (&old[0].0 - &old[0].1).abs().max().double_value(&[]);
            assert!((far - 0.5 * mixtures[chosen].share).abs() < 1e-5, "{far} of {:?}", mixtures[chosen]);
            moved(0.5 * (1.0 - mixtures[chosen].share));
        }
    }
}
