//! What stays the same from start to stop, written once.

use serde::{Deserialize, Serialize};

use crate::clock;

/// The circumstances of a run of the runtime. Every record refers to one, so that its own row stays small.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Session {
    /// Name of the bundle.
    pub bundle: String,
    /// sha256 of the bundle's int8 graph, in hexadecimal: which model said it.
    pub model_sha256: String,
    /// Version of the program.
    pub program: String,
    /// Name of the board.
    pub board: String,
    /// The kernel's name for this boot: monotonic times compare within one.
    pub boot_id: String,
    /// Whether the wall clock was synchronised at the start.
    pub clock_synchronised: bool,
    /// The kernels that run the net.
    pub kernels: String,
    /// The whole configuration of the run, as its program writes it; may be empty.
    pub configuration: String,
    /// Logits from one integer score to the next, by which scores become probabilities; `None` in journals of earlier versions.
    #[serde(default)]
    pub score_step: Option<f32>,
    /// Names of the labels that the model has, with a space between; empty in journals of earlier versions.
    #[serde(default)]
    pub labels: String,
}

impl Session {
    /// A session of this program, this boot and this clock; the caller fills in bundle, board and kernels.
    pub fn here() -> Session {
        Session {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: clock::boot_id(),
            clock_synchronised: clock::is_synchronised(),
            ..Session::default()
        }
    }
}
