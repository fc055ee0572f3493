//! What adapting a trained net adds to a configuration.

use serde::{Deserialize, Serialize};

/// How a trained net is adapted to few pictures of one's own (`--from`, `--preset adapt`): stage two with what keeps the net
/// from forgetting. With every weight and share 0 and `layer_decay` 1 it is plain fine-tuning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adapt {
    /// Weight of stage one's distance to the face net in stage two's loss: the paper's `||g(I) - G(I)||_p^p`, relative to the
    /// spread of the face net's maps, with g seen through a linear map that is fitted before adapting. 0: without the face net.
    pub face_net: f64,
    /// Share of the old net's answers in the targets of one's own pictures.
    pub old: f64,
    /// Weight of the cross-entropy against the old net's answers on the rehearsal faces (`--rehearse`).
    pub rehearsal: f64,
    /// Most faces that are taken from the rehearsal set. A fifth of them is held out, to measure what is kept.
    pub rehearsal_faces: usize,
    /// Rehearsal faces in each step, beside `stage_two.batch` pictures of one's own.
    pub rehearsal_batch: usize,
    /// Share of the old net's answers to held-out rehearsal faces that must stay: as much of the adapted weights is mixed with
    /// the old ones as this allows. 0: all of it. Without rehearsal there is nothing to measure, and all of it is taken.
    pub keep: f64,
    /// Pictures of one's own in an epoch: few pictures are seen several times, in views that differ.
    pub draws: usize,
    /// Weight of the squared distance to the old net's weights, as half its gradient's factor (Li et al., "Explicit Inductive
    /// Bias for Transfer Learning with Convolutional Networks", ICML 2018, arXiv 1802.01483).
    pub anchor: f64,
    /// Factor on the learning rate for each layer that lies further from the classifier.
    pub layer_decay: f64,
    /// How many of the first convolutions stay as they are: what edges and textures look like is the same in every room.
    pub frozen: usize,
    /// Epochs without a lower held-out loss after which adapting stops. The epoch with the lowest loss is the result.
    pub patience: usize,
}

impl Adapt {
    /// Plain fine-tuning, to compare with: nothing keeps the net from forgetting.
    pub fn plain(&self) -> Adapt {
        Adapt {
            face_net: 0.0,
            old: 0.0,
            rehearsal: 0.0,
            keep: 0.0,
            anchor: 0.0,
            frozen: 0,
            layer_decay: 1.0,
            ..self.clone()
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let require = |holds: bool, what: &str| holds.then_some(()).ok_or_else(|| what.to_owned());
        let weights = [self.face_net, self.rehearsal, self.anchor];
        require(weights.iter().all(|weight| (0.0..=1000.0).contains(weight)), "adapt: a weight is 0 to 1000")?;
        require((0.0..1.0).contains(&self.old), "adapt.old: a share, 0 to less than 1")?;
        require(self.layer_decay > 0.0 && self.layer_decay <= 1.0, "adapt.layer_decay: more than 0, at most 1")?;
        require((1..=100_000).contains(&self.patience), "adapt.patience: 1 to 100000 epochs")?;
        require((10..=1_000_000).contains(&self.rehearsal_faces), "adapt.rehearsal_faces: 10 to 1000000")?;
        require((1..=10_000).contains(&self.rehearsal_batch), "adapt.rehearsal_batch: 1 to 10000")?;
        require((0.0..=1.0).contains(&self.keep), "adapt.keep: a share, 0 to 1")?;
        require((1..=1_000_000).contains(&self.draws), "adapt.draws: 1 to 1000000")
    }
}

/// The bundle that training starts from (`--from`), in a run's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Its folder.
    pub bundle: String,
    /// sha256 of its int8 graph: another net in the same folder makes another run.
    pub sha256: String,
    /// `--rehearse`: the data set on which the old net's answers are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearse: Option<String>,
}
