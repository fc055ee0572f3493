//! What neurons look for (the paper's visualisation of its convolutional layers): which faces excite them, and how much
//! those faces agree in their label. A neuron of low label entropy speaks of expression; stage one should make more of them.

pub mod layers;
pub mod neurons;
pub mod of_study;
mod sheet;

use std::path::Path;

use expression_core::Label;
use expression_engine::files;
use image::RgbImage;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::dataset::contact_sheet;
use crate::error::ensure;

/// Where histograms of label entropy end, in bits: eight labels that occur alike.
pub const BITS: f64 = 3.0;
/// Bars of a histogram.
const BINS: usize = 24;

/// A net with what its layers answered to the faces.
pub struct Inspected {
    /// Name, for people.
    pub name: String,
    /// Name and activations f32 `[n, channels]` of layers, in the order they run: the spatial maxima of their maps. Pictures
    /// are made of the last one's neurons.
    pub layers: Vec<(String, Tensor)>,
}

/// How many faces count, and how many neurons are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InspectionSettings {
    /// Number of faces that excite a neuron most over which its label entropy is computed.
    pub ranked: usize,
    /// Number of those faces that a neuron's picture averages.
    pub averaged: usize,
    /// Number of neurons shown per net: those of lowest label entropy.
    pub shown: usize,
}

impl Default for InspectionSettings {
    /// The paper's 100 faces.
    fn default() -> InspectionSettings {
        InspectionSettings { ranked: 100, averaged: 16, shown: 32 }
    }
}

/// The figures of an inspection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    /// How many faces the nets were shown.
    pub faces: usize,
    /// Over how many faces a neuron's label entropy is: fewer than were asked for where the set is small.
    pub ranked: usize,
    /// How many faces were asked for.
    pub asked: usize,
    /// How many faces a neuron's picture is the average of.
    pub averaged: usize,
    /// Label entropy of the whole set, in bits: that of a neuron which tells no label from another.
    pub set_entropy: f64,
    /// The nets, as they were given.
    pub nets: Vec<NetFigures>,
}

/// The figures of one net.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetFigures {
    /// Its name.
    pub name: String,
    /// Its layers, as they were given.
    pub layers: Vec<LayerFigures>,
    /// Neurons of its last layer that are shown, the one of lowest label entropy first.
    pub shown: Vec<usize>,
}

/// The figures of one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerFigures {
    /// Its name.
    pub name: String,
    /// Mean of the label entropies of its neurons, in bits.
    pub mean: f64,
    /// Label entropy of each neuron, in bits.
    pub entropy: Vec<f64>,
}

impl LayerFigures {
    /// Share of the neurons by label entropy, in bins of equal width from 0 to [`BITS`].
    pub fn shares(&self) -> Vec<f64> {
        let mut shares = vec![0.0; BINS];
        for entropy in &self.entropy {
            let bin = (entropy / BITS * BINS as f64) as usize;
            shares[bin.min(BINS - 1)] += 1.0 / self.entropy.len() as f64;
        }
        shares
    }
}

/// What [`inspect`] found.
pub struct Findings {
    /// The figures.
    pub inspection: Inspection,
    /// The neurons' pictures, one PNG file per net.
    pub grids: Vec<Vec<u8>>,
}

impl Inspection {
    /// The highest bar of all histograms: one scale lets nets and layers be compared.
    pub fn highest(&self) -> f64 {
        self.nets.iter().flat_map(|net| &net.layers).flat_map(LayerFigures::shares).fold(0.0, f64::max)
    }
}

/// Inspects `nets` on faces, u8 `[n, channels, side, side]`, with a label each. Writes to the folder `out`:
/// `inspect.json` (the figures), `neurons.png` (the neurons' pictures: one block per net, side by side in the order given)
/// and `entropy.png` (histograms of label entropy: one column per net, one row per layer, the last layer at the bottom).
///
/// # Errors
/// Returns an error if a layer does not have one row per face, there are no faces, a net has no layers, or a file cannot be
/// written.
pub fn inspect(
    nets: &[Inspected],
    faces: &Tensor,
    labels: &[Label],
    settings: InspectionSettings,
    out: &Path,
) -> crate::Result<Findings> {
    let count = faces.size()[0] as usize;
    ensure!(count > 0 && count == labels.len(), "{count} faces with {} labels", labels.len());
    // Of a set whose labels occur alike, an eighth has one label: over more faces no neuron could reach zero.
    let ranked = settings.ranked.min(count / Label::COUNT).max(1);
    let averaged = settings.averaged.min(ranked);
    let (mut figures, mut grids) = (Vec::new(), Vec::new());
    for net in nets {
        let mut layers = Vec::new();
        let mut last = Vec::new();
        for (name, activations) in &net.layers {
            last = neurons::by_neuron(activations, count)?;
            let entropy: Vec<f64> = last.iter().map(|neuron| neurons::label_entropy(neuron, labels, ranked)).collect();
            let mean = entropy.iter().sum::<f64>() / entropy.len().max(1) as f64;
            layers.push(LayerFigures { name: name.clone(), mean, entropy });
        }
        ensure!(!layers.is_empty(), "{}: no layers to inspect", net.name);
        let mut shown: Vec<usize> = (0..last.len()).collect();
        let entropy = &layers[layers.len() - 1].entropy;
        shown.sort_by(|a, b| entropy[*a].total_cmp(&entropy[*b]));
        shown.truncate(settings.shown);
        let pictures: Vec<_> = shown
            .iter()
            .map(|neuron| neurons::average(faces, &neurons::top(&last[*neuron], averaged)))
            .collect::<crate::Result<_>>()?;
        grids.push(sheet::grid(&pictures));
        figures.push(NetFigures { name: net.name.clone(), layers, shown });
    }
    let set_entropy = neurons::label_entropy(&vec![0.0; count], labels, count);
    let inspection = Inspection { faces: count, ranked, asked: settings.ranked, averaged, set_entropy, nets: figures };
    let write = |name: &str, sheet: &RgbImage| -> crate::Result<()> {
        Ok(files::write_bytes(&out.join(name), &contact_sheet::png(sheet)?)?)
    };
    write("neurons.png", &sheet::side_by_side(&grids))?;
    write("entropy.png", &sheet::histograms(&inspection))?;
    let grids = grids.iter().map(contact_sheet::png).collect::<Result<Vec<_>, _>>()?;
    files::write_bytes(&out.join("inspect.json"), &serde_json::to_vec_pretty(&inspection)?)?;
    Ok(Findings { inspection, grids })
}

#[cfg(test)]
mod tests;
