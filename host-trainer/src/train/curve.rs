//! Learning curves.

use serde::{Deserialize, Serialize};

/// A learning curve: one point an epoch.
pub type Curve = Vec<Epoch>;

/// What an epoch gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean training loss.
    pub loss: f64,
    /// Loss on the calibration samples.
    pub held_out_loss: f64,
    /// Accuracy on the calibration samples, where the stage classifies.
    pub held_out_accuracy: Option<f64>,
    /// Training samples a second.
    pub samples_per_second: f64,
}
