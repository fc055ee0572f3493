//! The subcommands: one file each, reading like its help text.

pub mod crossval;
pub mod evaluate;
pub mod report;
pub mod run_all;
pub mod training;
