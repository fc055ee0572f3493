//! Promises of docs/promises.md that concern the running program. `cargo xtask promises NAME` tries each at full count;
//! here they are tried a few times.
#![cfg(all(feature = "metrics", feature = "mqtt", feature = "preview"))]

mod broker;
mod clients;
mod clock;
mod day;
#[path = "../journal_common/mod.rs"]
mod journal_common;
mod kills;
mod scene;
