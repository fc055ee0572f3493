//! The subcommands: one file each, reading like its help text.

pub mod bench;
pub mod classify;
pub mod doctor;
pub mod log;
pub mod run;
pub mod selftest;

use expression_kernels::kernel;

use expression_engine::EngineOptions;
use expression_engine::Error;

/// How an engine runs, by the name of a kernel: `best`, one that this processor has, or `stock-tract`.
///
/// # Errors
/// [`Error`] where this processor has no such kernel.
pub fn options(name: &str, threads: usize) -> Result<EngineOptions, Error> {
    let kernel = match name {
        "best" => Some(kernel::best()),
        "stock-tract" => None,
        _ => Some(kernel::all().into_iter().find(|kernel| kernel.name() == name).ok_or_else(|| {
            let names: Vec<_> = kernel::all().iter().map(|kernel| kernel.name()).collect();
            Error::bad_input(format!("--kernel {name}: this processor has best, stock-tract, {}", names.join(", ")))
        })?),
    };
    Ok(EngineOptions { kernel, threads })
}
