//! `edge-runtime selftest`

use std::path::PathBuf;

use expression_engine::error::Result;

/// Verifies a bundle's hashes and replays its vectors: equal integers, or exit code 1.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of the bundle.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
}

impl Cmd {
    /// Runs the command; a JSON line on stdout says what was replayed.
    ///
    /// # Errors
    /// Where the bundle is refused or answers differently here.
    pub fn run(&self) -> Result<()> {
        let bundle = expression_engine::Bundle::open(&self.bundle)?;
        bundle.verify()?;
        let engine = expression_engine::Engine::open(&bundle, expression_engine::EngineOptions::default())?;
        let replayed = expression_engine::selftest::replay(&bundle, &engine)?;
        let line = serde_json::json!({ "bundle": bundle.manifest().name, "vectors": replayed, "differences": 0 });
        expression_engine::error::print(&line.to_string())
    }
}
