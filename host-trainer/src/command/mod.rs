//! The subcommands: one file each, reading like its help text.

pub mod crossval;
pub mod deploy;
pub mod detector;
pub mod draw;
pub mod evaluate;
pub mod inspect;
pub mod report;
pub mod run_all;
pub mod study;
pub mod training;
