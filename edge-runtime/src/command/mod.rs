//! The subcommands: one file each, reading like its help text.

pub mod bench;
pub mod classify;
pub mod doctor;
pub mod log;
pub mod run;
pub mod selftest;

use std::path::Path;

use expression_kernels::kernel;

use crate::engine::Options;
use crate::exit::BadInput;
use crate::{Bundle, Engine, selftest as vectors};

/// Opens a bundle as every command does: verified, and refused where its self-test gives another answer on this machine.
///
/// # Errors
/// Where the bundle or its self-test is refused.
pub fn open(folder: &Path, options: Options) -> anyhow::Result<(Bundle, Engine)> {
    let bundle = Bundle::open(folder)?;
    bundle.verify()?;
    let engine = Engine::open(&bundle, options)?;
    vectors::replay(&bundle, &engine)?;
    Ok((bundle, engine))
}

/// How an engine runs, by the name of a kernel: `best`, one that this processor has, or `stock-tract`.
///
/// # Errors
/// [`BadInput`] where this processor has no such kernel.
pub fn options(name: &str, threads: usize) -> Result<Options, BadInput> {
    let kernel = match name {
        "best" => Some(kernel::best()),
        "stock-tract" => None,
        _ => Some(kernel::all().into_iter().find(|kernel| kernel.name() == name).ok_or_else(|| {
            let names: Vec<_> = kernel::all().iter().map(|kernel| kernel.name()).collect();
            BadInput(format!("--kernel {name}: this processor has best, stock-tract, {}", names.join(", ")))
        })?),
    };
    Ok(Options { kernel, threads })
}
