//! The activations of the nets' layers, ready to be inspected. Nets run in evaluation mode.

use tch::{Kind, Tensor};

use super::Inspected;
use super::neurons::spatial_maximum;
use crate::net::{ExpressionNet, FaceNet};
use crate::train::views;

/// Faces that go through a net at once.
const BATCH: i64 = 128;

/// All convolutional layers of an expression net, the adapter last, on the centre crops (`side` pixels) of aligned faces, u8
/// `[n, channels, aligned, aligned]`.
///
/// # Errors
/// Returns an error if the run is interrupted.
pub fn of_expression_net(name: &str, net: &ExpressionNet, aligned: &Tensor, side: i64) -> crate::Result<Inspected> {
    let batches = aligned.split(BATCH, 0).into_iter().map(|batch| net.input(&views::centre(&batch, side)));
    collect(name, batches.map(Ok), |faces| Ok(net.maps_by_layer(faces)))
}

/// The layers `layers` of a face net, on batches of faces as it takes them: f32 `[n, 3, side, side]`, RGB in `0..=255`.
/// `kind`: the arithmetic of its convolutions.
///
/// # Errors
/// Returns an error if there is no such layer, a batch cannot be read or the run is interrupted.
pub fn of_face_net(
    name: &str,
    net: &FaceNet,
    layers: &[&str],
    batches: impl Iterator<Item = crate::Result<Tensor>>,
    kind: Kind,
) -> crate::Result<Inspected> {
    let maps =
        |faces: &Tensor| layers.iter().map(|layer| Ok(((*layer).to_owned(), net.maps(faces, layer, kind)?))).collect();
    collect(name, batches, maps)
}

/// The spatial maxima of what `maps` gives for each batch, all batches together.
fn collect(
    name: &str,
    batches: impl Iterator<Item = crate::Result<Tensor>>,
    maps: impl Fn(&Tensor) -> crate::Result<Vec<(String, Tensor)>>,
) -> crate::Result<Inspected> {
    let mut parts: Vec<(String, Vec<Tensor>)> = Vec::new();
    for batch in batches {
        crate::interrupt::check()?;
        let batch = batch?;
        let layers = tch::no_grad(|| maps(&batch))?;
        parts.resize_with(layers.len(), Default::default);
        for ((name, part), (layer, maps)) in parts.iter_mut().zip(layers) {
            *name = layer;
            part.push(spatial_maximum(&maps));
        }
    }
    let layers = parts.into_iter().map(|(layer, parts)| (layer, Tensor::cat(&parts, 0))).collect();
    Ok(Inspected { name: name.to_owned(), layers })
}
