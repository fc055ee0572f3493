//! `host-trainer detector`

use std::path::PathBuf;

use expression_engine::{Bundle, bundle, files};

use crate::error::Error;
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
    pub fn run(&self) -> crate::Result<()> {
        let bundle = Bundle::open(&self.bundle)?;
        let path = self.bundle.join(bundle::DETECTOR);
        files::write_bytes(&path, &of(&bundle)?)?;
        crate::error::print(&path.display().to_string())
    }
}

/// The detector that a bundle's manifest names.
///
/// # Errors
/// [`Error::BadInput`] where it names another one, or the fetched file is missing.
pub fn of(bundle: &Bundle) -> crate::Result<Vec<u8>> {
    let detector = export::detector_file()?;
    match bundle.manifest().files.get(bundle::DETECTOR) {
        Some(named) if *named == files::sha256(&detector) => Ok(detector),
        _ => {
            let name = &bundle.manifest().name;
            Err(Error::BadInput(format!("{name} was made with another detector; export the bundle again")))
        }
    }
}
