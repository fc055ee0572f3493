//! Our engine beside others on the same nets: times on this machine, and instructions on emulated boards.

mod counter;
mod emulated;
mod engine;
mod native;
mod page;
mod peers;
mod pipeline;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use xtask::cargo;

pub use page::PAGE;

/// What `bench-nets` writes: the nets' folders and their names in tables.
const NETS: [(&str, &str); 4] = [
    ("fer48", "ferplus-edge, 48x48"),
    ("edge64", "edge, 64x64"),
    ("edge96", "edge, 96x96"),
    ("paper224", "paper, 224x224"),
];

/// The folder of everything that is made for benchmarks.
fn folder() -> PathBuf {
    cargo::workspace_root().join(".assets/bench")
}

/// The folder of the scripts that run other engines.
fn scripts() -> PathBuf {
    cargo::workspace_root().join("tests/peers")
}

/// Measures times on this machine.
///
/// # Errors
/// Returns an error if a program fails, or an engine gives other answers than ours.
pub fn measure() -> Result<()> {
    let nets = make_nets()?;
    native::run(&nets)
}

/// Counts instructions on emulated boards: of engines, and of the whole pipeline. `build` cross-builds our programs first.
///
/// # Errors
/// Returns an error if a tool is missing, or a program fails.
pub fn count(build: bool) -> Result<()> {
    let nets = make_nets()?;
    emulated::run(&nets, build)?;
    pipeline::run(build)
}

/// Counts instructions of the whole pipeline alone.
///
/// # Errors
/// As [`count`].
pub fn count_pipeline(build: bool) -> Result<()> {
    pipeline::run(build)
}

/// The nets, ready to be measured.
struct Nets {
    folder: PathBuf,
    /// Multiply-accumulates of one face.
    multiply_accumulates: BTreeMap<&'static str, f64>,
}

/// Writes the nets in all forms.
fn make_nets() -> Result<Nets> {
    let made = folder().join("nets");
    fs::create_dir_all(&made)?;
    let mut write = Command::new(cargo::sibling("bench-nets")?);
    write.env("CARGO_MANIFEST_DIR", cargo::workspace_root().join("tests")).arg(&made);
    succeed(&mut write)?;
    let python = peers::install(&folder())?;
    let mut multiply_accumulates = BTreeMap::new();
    for (net, _) in NETS {
        let net_folder = made.join(net);
        if python.exists() {
            // A net that cannot be converted is missing from the table, engine by engine, with the reason.
            if let Err(error) = succeed(Command::new(&python).arg(scripts().join("convert.py")).arg(&net_folder)) {
                eprintln!("bench: {error}");
            }
        }
        let count = fs::read_to_string(net_folder.join("multiply-accumulates"))?;
        multiply_accumulates.insert(net, count.trim().parse()?);
    }
    Ok(Nets { folder: made, multiply_accumulates })
}

/// Runs a program to its end.
fn succeed(command: &mut Command) -> Result<()> {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_owned();
    let status = command.status().with_context(|| format!("{} could not be started", name.display()))?;
    ensure!(status.success(), "{}: {status}", name.display());
    Ok(())
}
