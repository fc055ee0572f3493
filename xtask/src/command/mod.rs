//! One file per subcommand.

pub mod bench;
pub mod check;
pub mod run_all;
pub mod setup;
pub mod test;
