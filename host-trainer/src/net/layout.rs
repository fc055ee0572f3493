//! The order of values in memory.

use tch::Tensor;

/// The same values with channels next to each other in memory: maps that meet such a filter take its order, in which
/// libtorch's convolutions, pools and batch norms are faster.
pub(super) fn channels_last(filter: &Tensor) -> Tensor {
    filter.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}
