//! The subcommands: one file each, reading like its help text.

pub mod bench;
pub mod classify;
pub mod selftest;

use std::path::Path;

use crate::{Bundle, Engine, selftest as vectors};

/// Opens a bundle as every command does: verified, and refused where its self-test gives another answer on this machine.
///
/// # Errors
/// Where the bundle or its self-test is refused.
pub fn open(folder: &Path) -> anyhow::Result<(Bundle, Engine)> {
    let bundle = Bundle::open(folder)?;
    bundle.verify()?;
    let engine = Engine::open(&bundle)?;
    vectors::replay(&bundle, &engine)?;
    Ok((bundle, engine))
}
