//! The subcommands: one file each, reading like its help text.

pub mod draw;
pub mod run_all;
