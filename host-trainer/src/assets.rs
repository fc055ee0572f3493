//! Where `cargo xtask setup` keeps what it fetched.

use std::path::{Path, PathBuf};

/// The folder of fetched assets: `EXPRESSION_ASSETS`, else `.assets` of the workspace that this program was built in.
pub fn folder() -> PathBuf {
    match std::env::var_os("EXPRESSION_ASSETS") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../.assets"),
    }
}
