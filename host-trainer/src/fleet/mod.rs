//! Many boards: which there are, putting a version onto all of them, and how they are.
//!
//! [`Fleet`] is a `fleet.toml`. [`roll_out`] deploys to its boards, [`status`] asks them. Each board is reached by
//! [`crate::deploy::Ssh`], as a single one is.

mod file;
mod ledger;
mod outcome;
mod prometheus;
mod roll_out;
mod status;

pub use file::{Fleet, Member, Settings};
pub use ledger::Ledger;
pub use outcome::{Kind, Outcome};
pub use prometheus::service_discovery;
pub use roll_out::{Plan, Report, roll_out};
pub use status::{Status, status, table};
