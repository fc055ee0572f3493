//! `host-trainer detector`

use std::path::PathBuf;

use edge_runtime::exit::BadInput;
use edge_runtime::{Bundle, bundle, files};

use crate::export;

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
    pub fn run(&self) -> anyhow::Result<()> {
        let found = Bundle::open(&self.bundle)?;
        let detector = export::detector_file()?;
        let (path, hash) = (self.bundle.join(bundle::DETECTOR), files::sha256(&detector));
        match found.manifest().files.get(bundle::DETECTOR) {
            Some(named) if *named == hash => files::write_bytes(&path, &detector)?,
            _ => {
                let name = &found.manifest().name;
                return Err(BadInput(format!("{name} was made with another detector; export the bundle again")).into());
            }
        }
        edge_runtime::exit::print(&path.display().to_string())
    }
}
