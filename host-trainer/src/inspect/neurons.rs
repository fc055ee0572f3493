//! One neuron: its label entropy, the faces that excite it most, and their average.

use expression_core::Label;
use image::GrayImage;
use tch::{Device, Kind, Tensor};

use crate::error::{Context, Error, ensure};

/// The strongest answer anywhere in a map: f32 `[n, channels]` of maps `[n, channels, h, w]`.
pub fn spatial_maximum(maps: &Tensor) -> Tensor {
    maps.to_kind(Kind::Float).amax([2i64, 3].as_slice(), false)
}

/// The activations `[n, channels]` of a layer by neuron: `n` values each.
///
/// # Errors
/// Returns an error if there is not one row for each of `faces` faces.
pub fn by_neuron(activations: &Tensor, faces: usize) -> crate::Result<Vec<Vec<f32>>> {
    let size = activations.size();
    ensure!(size.len() == 2 && size[0] == faces as i64, "activations {size:?} of {faces} faces");
    let by_neuron = activations.to_device(Device::Cpu).to_kind(Kind::Float).transpose(0, 1).contiguous().view(-1);
    let values: Vec<f32> = by_neuron.try_into().context("activations to values")?;
    Ok(values.chunks_exact(faces).map(<[f32]>::to_vec).collect())
}

/// Entropy in bits of the labels of the `ranked` faces that excite a neuron most.
///
/// Faces that excite it alike where the ranks end have equal shares of the ranks left, so that the order of the set does not
/// matter: a neuron that is silent on most faces does not speak of the labels that happen to come first.
pub fn label_entropy(activations: &[f32], labels: &[Label], ranked: usize) -> f64 {
    let ranked = ranked.min(activations.len());
    let Some(last) = ranked.checked_sub(1).map(|place| activations[order(activations)[place]]) else { return 0.0 };
    let above = activations.iter().filter(|value| value.total_cmp(&last).is_gt()).count();
    let alike = activations.iter().filter(|value| value.total_cmp(&last).is_eq()).count();
    let mut weight = [0.0; Label::COUNT];
    for (value, label) in activations.iter().zip(labels) {
        weight[*label as usize] += match value.total_cmp(&last) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => (ranked - above) as f64 / alike as f64,
            std::cmp::Ordering::Less => 0.0,
        };
    }
    let shares = weight.iter().map(|weight| weight / ranked as f64).filter(|share| *share > 0.0);
    // Adding zero turns -0.0 into 0.0.
    shares.map(|share| -share * share.log2()).sum::<f64>() + 0.0
}

/// The places of the `count` faces that excite a neuron most, the strongest first; of equals the one that comes first.
pub fn top(activations: &[f32], count: usize) -> Vec<usize> {
    let mut order = order(activations);
    order.truncate(count);
    order
}

fn order(activations: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..activations.len()).collect();
    order.sort_by(|a, b| activations[*b].total_cmp(&activations[*a]));
    order
}

/// The average, in grey, of the faces at `places`; faces are u8 `[n, channels, side, side]`.
///
/// # Errors
/// Returns an error if the tensor is of another shape.
pub fn average(faces: &Tensor, places: &[usize]) -> crate::Result<GrayImage> {
    let places: Vec<i64> = places.iter().map(|place| *place as i64).collect();
    let chosen = faces.index_select(0, &Tensor::from_slice(&places).to_device(faces.device()));
    let mean = chosen.to_kind(Kind::Float).mean_dim([0i64, 1].as_slice(), false, Kind::Float);
    let [height, width] = mean.size()[..] else { return Err(Error::Failed(format!("faces {:?}", faces.size()))) };
    let bytes = mean.round().clamp(0.0, 255.0).to_kind(Kind::Uint8).to_device(Device::Cpu).contiguous().view(-1);
    GrayImage::from_raw(width as u32, height as u32, bytes.try_into()?).context("an average of faces")
}
