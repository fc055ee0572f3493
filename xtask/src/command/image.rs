//! `cargo xtask image`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use xtask::image::{self, Recipe};
use xtask::{arm, guest, program};

/// Make an SD-card image that boots a Raspberry Pi into `edge-runtime` and nothing else
///
/// The image has Debian's kernel, Raspberry Pi's firmware, a read-only root file system and a partition for the journal.
/// Making it does not need root, provided that the system allows user namespaces.
#[derive(Args)]
pub struct Cmd {
    /// Board file: boards/raspberry-pi-zero-2-w.toml, boards/raspberry-pi-3b.toml, boards/raspberry-pi-4b.toml, or an edited copy
    #[arg(long, value_name = "FILE")]
    board: PathBuf,
    /// Folder of the bundle, with its detector (`host-trainer detector DIR` adds it)
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Folder whose files are copied over the root file system, such as etc/edge-runtime/environment
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// Size of the journal's partition in MiB
    #[arg(long, value_name = "MIB", default_value_t = image::DATA_MIB, value_parser = clap::value_parser!(u64).range(64..=65536))]
    data: u64,
    /// Image file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        arm::require(&image::missing_packages())?;
        let _lock = guest::lock()?;
        image::make(&Recipe {
            program: &program::build(arm::TARGET)?,
            board: &self.board,
            bundle: &self.bundle,
            files: self.files.as_deref(),
            data_mib: self.data,
            output: &self.output,
        })
    }
}
