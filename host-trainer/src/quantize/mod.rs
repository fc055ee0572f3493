//! Quantization: the trained net is folded, equalized and calibrated, and becomes an integer net.

pub mod calibrate;
pub mod equalize;
pub mod float_net;
pub mod graph;
pub mod integer_net;
mod stored;

pub use float_net::FloatNet;
pub use integer_net::IntegerNet;

use tch::Tensor;

use crate::config::Quantize;

/// The integer net of a folded net. `faces`: u8 `[n, channels, size, size]`, held out from training.
///
/// # Errors
/// Returns an error if a layer never answers on the calibration samples.
pub fn quantize(net: &FloatNet, faces: &Tensor, config: &Quantize) -> crate::Result<IntegerNet> {
    let mut net = net.clone();
    equalize::equalize(&mut net);
    let ranges = calibrate::ranges(&net, faces, config.percentile);
    equalize::round_scales(&mut net, &ranges)?;
    let ranges = calibrate::ranges(&net, faces, config.percentile);
    IntegerNet::new(&net, &ranges, config.weights)
}
