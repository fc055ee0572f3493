//! The trained net that training starts from (`--from`): the net of a bundle, as an expression net again.

use std::path::{Path, PathBuf};

use expression_core::Label;
use expression_engine::bundle::{self, Confidence};
use expression_engine::{Bundle, files};
use tch::{Device, Kind, Tensor};

use crate::config;
use crate::error::{Context, Error};
use crate::net::ExpressionNet;
use crate::quantize::FloatNet;
use crate::run;

/// How far below the others the logit of a label lies that the old net did not know: training lifts it where it occurs.
const UNKNOWN: f32 = -6.0;

/// The net of a bundle.
pub struct Start {
    /// Its layers, batch norm folded.
    layers: FloatNet,
    /// The labels of its outputs, in order.
    pub labels: Vec<Label>,
    /// When the bundle gives no label, if it says so.
    pub confidence: Option<Confidence>,
}

/// The folder of the bundle that `--from` names: a bundle, or a run that holds one.
pub fn bundle_folder(from: &Path) -> PathBuf {
    let inside = from.join(run::BUNDLE);
    if inside.join(bundle::MANIFEST).exists() { inside } else { from.to_owned() }
}

/// Changes a configuration so that it starts from the bundle that `from` names: the net gets the bundle's shape, and neither
/// the face net nor stage one is trained.
///
/// # Errors
/// Returns [`Error::BadInput`] if there is no bundle, or its graph is not one of this program.
pub fn configure(config: &mut config::Config, from: &Path, rehearse: Option<String>) -> crate::Result<()> {
    let folder = bundle_folder(from);
    let bundle = Bundle::open(&folder)?;
    let sha256 = files::sha256(&bundle.read(bundle::INT8)?);
    let config::Net { dropout, deepen, .. } = config.net.clone();
    let layers = FloatNet::of_bundle(&bundle).with_context(|| folder.display().to_string())?.deepened(&deepen)?;
    let input = bundle.manifest().input;
    let low_light = bundle.manifest().low_light;
    config.net =
        config::Net { channels: input.channels, aligned: input.aligned, dropout, low_light, deepen, ..shape(&layers)? };
    config.stage_one.epochs = 0;
    config.start = Some(config::Start { bundle: folder.display().to_string(), sha256, rehearse });
    Ok(())
}

/// The configuration of a net of these layers; what the layers do not tell is 0.
fn shape(layers: &FloatNet) -> crate::Result<config::Net> {
    let [convolutions @ .., _, hidden, _] = &layers.layers[..] else {
        return Err(Error::BadInput("a net has four layers or more".into()));
    };
    let pools = convolutions.iter().enumerate().filter(|(_, layer)| layer.pool).map(|(index, _)| index + 1);
    Ok(config::Net {
        channels: layers.channels,
        aligned: layers.size,
        size: layers.size,
        convolutions: convolutions.iter().map(|layer| layer.shape[0] as i64).collect(),
        pools: pools.collect(),
        batch_norm: false,
        block: config::BlockKind::Plain,
        deepen: Vec::new(),
        hidden: hidden.shape[0] as i64,
        dropout: 0.0,
        low_light: None,
    })
}

impl Start {
    /// Opens the bundle that a configuration starts from, and deepens its net as `net.deepen` says.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if it is missing, damaged, or another one than when the run was configured.
    pub fn open(start: &config::Start, net: &config::Net) -> crate::Result<Start> {
        let folder = Path::new(&start.bundle);
        let bundle = Bundle::open(folder)?;
        if files::sha256(&bundle.read(bundle::INT8)?) != start.sha256 {
            let advice = "give the bundle that the run was started from, or start a new run";
            return Err(Error::BadInput(format!("{}: holds another net than before; {advice}", start.bundle)));
        }
        let layers = FloatNet::of_bundle(&bundle).with_context(|| &start.bundle)?.deepened(&net.deepen)?;
        let labels: Vec<Label> = bundle.manifest().label_set().map(|set| set.to_vec()).unwrap_or_default();
        if labels.len() != layers.classes() {
            let (named, outputs) = (labels.len(), layers.classes());
            return Err(Error::BadInput(format!(
                "{}: {named} labels for {outputs} outputs; export it again",
                start.bundle
            )));
        }
        Ok(Start { layers, labels, confidence: bundle.manifest().confidence })
    }

    /// Channels of the adapter.
    pub fn adapter(&self) -> i64 {
        self.layers.layers.iter().rev().nth(2).map_or(0, |layer| layer.shape[0] as i64)
    }

    /// The expression net with the bundle's weights. `config`: of the bundle's shape. A label that the bundle lacks gets an
    /// output that is far below the others.
    ///
    /// # Errors
    /// Returns an error if the shapes differ.
    pub fn net(&self, config: &config::Net, kind: Kind, device: Device) -> crate::Result<ExpressionNet> {
        let net = ExpressionNet::new(config, self.adapter(), Label::COUNT as i64, kind, device);
        let [layers @ .., classifier] = &self.layers.layers[..] else {
            return Err(Error::BadInput("a net has a classifier".into()));
        };
        let set = |variable: &Tensor, values: &[f32]| -> crate::Result<()> {
            let values = Tensor::from_slice(values).f_view(variable.size().as_slice())?;
            Ok(tch::no_grad(|| variable.shallow_clone().f_copy_(&values))?)
        };
        for (layer, (_, block)) in layers.iter().zip(net.blocks()) {
            set(&block.convolution.ws, &layer.weight)?;
            set(block.convolution.bs.as_ref().context("a convolution has a bias")?, &layer.bias)?;
        }
        let hidden = config.hidden as usize;
        let lowest = classifier.bias.iter().copied().fold(0.0, f32::min);
        let mut weight = vec![0.0; Label::COUNT * hidden];
        let mut bias = vec![lowest + UNKNOWN; Label::COUNT];
        for (row, label) in self.labels.iter().enumerate() {
            let place = *label as usize;
            weight[place * hidden..][..hidden].copy_from_slice(&classifier.weight[row * hidden..][..hidden]);
            bias[place] = classifier.bias[row];
        }
        set(&net.classifier().ws, &weight)?;
        set(net.classifier().bs.as_ref().context("a linear layer has a bias")?, &bias)?;
        Ok(net)
    }
}
