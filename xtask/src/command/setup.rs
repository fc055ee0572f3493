//! `cargo xtask setup`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use xtask::cargo;
use xtask::setup::{self, Cuda};

/// Download and install everything the project needs into `.assets/`
///
/// That is libtorch (with the CUDA libraries if there is an NVIDIA GPU), the face net, the face detector, the assets that faces
/// are rendered from, and onnxruntime, which the parity tests compare against. Versions are pinned and files are verified. What
/// is already installed is not downloaded again.
#[derive(Args)]
pub struct Cmd {
    /// Install the CUDA libraries
    #[arg(long, value_enum, default_value_t)]
    cuda: Cuda,
    /// Install into DIR instead of `.assets` (for testing set-up itself)
    #[arg(long, value_name = "DIR", hide = true)]
    assets: Option<PathBuf>,
}

impl Cmd {
    pub fn run(self) -> Result<()> {
        let assets = match self.assets {
            Some(dir) => std::path::absolute(dir)?,
            None => cargo::workspace_root().join(".assets"),
        };
        setup::install_into(&assets, self.cuda)
    }
}
