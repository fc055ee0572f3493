//! `cargo xtask image`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::image::{self, Recipe};
use crate::refusal::refusal;
use crate::{arm, guest, program};

/// Make an SD-card image that boots a Raspberry Pi into `edge-runtime` and nothing else.
///
/// Debian's kernel and Raspberry Pi's firmware, a read-only root file system, one partition for the journal. Needs no root where
/// user namespaces are allowed.
#[derive(Args)]
pub struct Cmd {
    /// Board file: raspberry-pi-3b or raspberry-pi-4b, or a changed copy.
    #[arg(long, value_name = "FILE")]
    board: PathBuf,
    /// Folder of the bundle, with its detector (`host-trainer detector DIR`).
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Folder whose files are laid over the root file system, such as etc/systemd/network/ or etc/edge-runtime/environment.
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// Size of the journal's partition in MiB.
    #[arg(long, value_name = "MIB", default_value_t = image::DATA_MIB, value_parser = clap::value_parser!(u64).range(64..=65536))]
    data: u64,
    /// The image to write, whole or not at all.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        let missing = image::missing();
        if !missing.is_empty() {
            return Err(refusal(format!("missing: {}; {}", missing.join(", "), arm::advice(&missing))));
        }
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
