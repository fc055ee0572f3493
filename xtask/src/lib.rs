//! What the tasks of `cargo xtask` and the suites on emulated boards (`tests/boards`) share: set-up, cross-building, packaging,
//! card images, and what an emulated AArch64 machine boots.
//!
//! Depends on neither torch nor tract, so that it compiles in seconds and runs before libtorch has been installed.
#![forbid(unsafe_code)]

pub mod arm;
pub mod board_file;
pub mod cargo;
pub mod emulation;
pub mod error;
pub mod fuzz;
pub mod guest;
pub mod image;
pub mod manual;
pub mod package;
pub mod process;
pub mod program;
pub mod promise;
pub mod release;
pub mod setup;
pub mod signature;
