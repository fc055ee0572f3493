//! `edge-runtime selftest`

use std::path::PathBuf;

use expression_engine::error::Result;
use expression_engine::{Bundle, Engine, EngineOptions, Error};
use serde::Serialize;

use crate::trust::BoardFlags;

/// Verify the signature and the hashes of a bundle and replay its test vectors; exit code 1 if an integer or label differs
///
/// Writes one JSON object to stdout that says how many vectors were replayed.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of the bundle
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    #[command(flatten)]
    trust: BoardFlags,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if the bundle is refused, or if it answers differently on this machine.
    pub fn run(&self) -> Result<()> {
        let bundle = Bundle::open_trusted(&self.bundle, self.trust.policy()?.trust())?;
        bundle.verify()?;
        let engine = Engine::open(&bundle, EngineOptions::default())?;
        let vectors = expression_engine::selftest::replay(&bundle, &engine)?;
        let line = SelftestLine {
            bundle: &bundle.manifest().name,
            vectors,
            differences: 0,
            signature: bundle.verdict().name(),
        };
        expression_engine::error::print(&serde_json::to_string(&line).map_err(Error::failure)?)
    }
}

/// What was replayed.
#[derive(Debug, Serialize)]
struct SelftestLine<'a> {
    bundle: &'a str,
    vectors: usize,
    /// Scores that differ; with any the command fails before.
    differences: usize,
    /// `valid`, `unsigned`, or `unchecked` if no key is known to check it with.
    signature: &'static str,
}
