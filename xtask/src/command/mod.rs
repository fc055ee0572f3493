//! One file per subcommand.

pub mod bench;
pub mod boards;
pub mod build;
pub mod check;
pub mod image;
pub mod package;
pub mod run_all;
pub mod setup;
pub mod test;
