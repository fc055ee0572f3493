//! The subcommands: one file each, reading like its help text.

pub mod evaluate;
pub mod run_all;
