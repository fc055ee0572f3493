//! `host-trainer verify`

use std::path::{Path, PathBuf};

use expression_engine::line::one_line;
use expression_engine::trust::{Key, Trust, TrustError, Verdict};
use expression_engine::{Bundle, files};

/// Verify the signatures of bundles and programs with public keys, as a board does.
///
/// Prints one line per bundle or file. Exit code 2 if one is unsigned, altered, or signed by another key.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folders of bundles, and files such as programs.
    #[arg(required = true, value_name = "BUNDLE|FILE")]
    paths: Vec<PathBuf>,
    /// Public key: its 56 characters, or the path of its .pub file. Can be repeated; one of them is enough.
    #[arg(long, value_name = "KEY|FILE", required = true)]
    key: Vec<String>,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error for the first bundle or file that is not trusted.
    pub fn run(&self) -> crate::Result<()> {
        let keys = self.key.iter().map(|key| Key::from_argument(key)).collect::<Result<Vec<_>, _>>();
        let trust = Trust::new(keys.map_err(TrustError::from)?, true)?;
        for path in &self.paths {
            if let Verdict::Valid { key, sequence, .. } = verify(path, &trust)? {
                let line = format!("{}: valid, by key {key}, sequence number {sequence}", path.display());
                crate::error::print(&one_line(&line))?;
            }
        }
        Ok(())
    }
}

fn verify(path: &Path, trust: &Trust) -> crate::Result<Verdict> {
    if !path.is_dir() {
        return Ok(trust.verify(path, &files::read(path)?)?);
    }
    let bundle = Bundle::open_trusted(path, trust)?;
    bundle.verify()?;
    Ok(bundle.verdict())
}
