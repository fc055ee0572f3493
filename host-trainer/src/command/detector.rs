//! `host-trainer detector`

use std::path::PathBuf;

use expression_engine::{Bundle, bundle, files};

use crate::detector;

/// Puts the face detector beside a bundle that came without it, such as models/ferplus-edge.
///
/// BlazeFace is translated from the file that `cargo xtask setup` fetched; it must be the one that the manifest names.
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
    /// Where the bundle is refused, names another detector, or the fetched file is missing.
    pub fn run(&self) -> crate::Result<()> {
        let bundle = Bundle::open(&self.bundle)?;
        let path = self.bundle.join(bundle::DETECTOR);
        files::write_bytes(&path, &detector::for_bundle(&bundle)?)?;
        crate::error::print(&path.display().to_string())
    }
}
