//! `host-trainer detector`

use std::path::PathBuf;

use expression_engine::{Bundle, bundle, files};

use crate::detector;

/// Add the face detector to a bundle that came without it, such as models/ferplus-edge.
///
/// The detector, BlazeFace, is translated from the file that `cargo xtask setup` downloads. Its hash must be the one in the
/// bundle's manifest.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of the bundle.
    #[arg(value_name = "DIR")]
    bundle: PathBuf,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if the bundle is refused or names another detector, or the downloaded file is missing.
    pub fn run(&self) -> crate::Result<()> {
        let bundle = Bundle::open(&self.bundle)?;
        let path = self.bundle.join(bundle::DETECTOR);
        files::write_bytes(&path, &detector::for_bundle(&bundle)?)?;
        crate::error::print(&path.display().to_string())
    }
}
