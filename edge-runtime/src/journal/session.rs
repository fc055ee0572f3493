//! What stays the same from start to stop, written once.

use expression_engine::trust::Verdict;
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
    /// Who signed the bundle; `None` in journals of earlier versions.
    #[serde(default)]
    pub signature: Option<Signature>,
}

/// What was known about who signed the bundle of a session.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Signature {
    /// `valid`, `unsigned`, or `unchecked` if no key was known to check it with.
    pub state: String,
    /// The number of the key that the signature names, if there is one.
    pub key: Option<String>,
    /// The sequence number that a valid signature states.
    pub sequence: Option<i64>,
}

impl From<Verdict> for Signature {
    fn from(verdict: Verdict) -> Signature {
        Signature {
            state: verdict.name().to_owned(),
            key: verdict.key().map(|key| key.to_string()),
            sequence: verdict.sequence().and_then(|sequence| sequence.try_into().ok()),
        }
    }
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
