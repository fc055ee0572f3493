//! Samples as tensors.

use expression_core::{FaceInput, Label};
use expression_engine::Picture;
use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

use crate::dataset::Sample;
use crate::error::Error;

/// Aligned faces with their labels.
pub struct Faces {
    /// u8 `[n, channels, aligned, aligned]`, before the net's crop.
    pub aligned: Tensor,
    /// Vote distributions, f32 `[n, 8]`.
    pub distribution: Tensor,
    /// Class indices, i64 `[n]`.
    pub label: Tensor,
}

impl Faces {
    /// Aligns the faces of `samples` by the board's own code.
    ///
    /// # Errors
    /// Returns an error if a picture is empty.
    pub fn new(samples: &[Sample], input: FaceInput, device: Device) -> crate::Result<Faces> {
        // The margin is kept: training crops at random from it.
        let whole = FaceInput { size: input.aligned, ..input };
        let faces =
            samples.par_iter().map(|sample| sample.picture.aligned_face(whole)).collect::<Result<Vec<_>, _>>()?;
        let shape = [samples.len(), input.channels, input.aligned, input.aligned].map(|side| side as i64);
        let aligned = Tensor::from_data_size(&faces.concat(), &shape, Kind::Uint8);
        let (distribution, label) = votes(samples, device);
        Ok(Faces { aligned: aligned.to_device(device), distribution, label })
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.label.size()[0] as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The vote distributions of samples, f32 `[n, 8]`, and their class indices, i64 `[n]`.
pub fn votes(samples: &[Sample], device: Device) -> (Tensor, Tensor) {
    let distribution: Vec<f32> = samples.iter().flat_map(|sample| sample.distribution).collect();
    let label: Vec<i64> = samples.iter().map(|sample| sample.label as i64).collect();
    let distribution = Tensor::from_slice(&distribution).view([-1, Label::COUNT as i64]);
    (distribution.to_device(device), Tensor::from_slice(&label).to_device(device))
}

/// Pictures for the face net: f32 `[n, 3, side, side]`, RGB in `0..=255`.
pub fn face_net_input(pictures: &[&Picture], side: i64, device: Device) -> crate::Result<Tensor> {
    let resized = pictures
        .iter()
        .map(|picture| {
            let view = picture.view().ok_or_else(|| Error::BadInput("an empty picture".into()))?.centre_square();
            let (native, channels) = (view.width() as i64, view.channels() as i64);
            let (left, top) = ((picture.width as i64 - native) / 2, (picture.height as i64 - native) / 2);
            let shape = [picture.height as i64, picture.width as i64, channels];
            let square = Tensor::from_data_size(&picture.data, &shape, Kind::Uint8)
                .narrow(0, top, native)
                .narrow(1, left, native);
            let planar = square.permute([2, 0, 1]).unsqueeze(0).to_device(device).to_kind(Kind::Float).contiguous();
            let scaled = if native > side {
                planar.internal_upsample_bilinear2d_aa([side, side], false, None, None)
            } else {
                planar.upsample_bilinear2d([side, side], false, None, None)
            };
            Ok(scaled.expand([1, 3, side, side], false))
        })
        .collect::<crate::Result<Vec<_>>>()?;
    Ok(Tensor::cat(&resized, 0))
}
