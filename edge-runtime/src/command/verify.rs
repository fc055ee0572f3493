//! `edge-runtime verify`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use expression_engine::error::{Result, print};
use expression_engine::line::one_line;
use expression_engine::trust::{Trust, Verdict};
use expression_engine::{Bundle, files};

use crate::trust::BoardFlags;

/// Verify the signatures of bundles and programs with the board's keys; exit code 2 if one is not trusted
///
/// Prints one line per bundle or file. Nothing in them is run. `deploy` asks this of the program that a board runs before it
/// replaces it (docs/trust.md).
#[derive(clap::Args)]
pub struct Cmd {
    /// Folders of bundles, and files such as programs
    #[arg(required = true, value_name = "BUNDLE|FILE")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    trust: BoardFlags,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error for the first bundle or file that is not trusted.
    pub fn run(&self) -> Result<()> {
        let policy = self.trust.policy()?;
        for path in &self.paths {
            let verdict = verify(path, policy.trust())?;
            let by = verdict.key().map(|key| format!(", by key {key}")).unwrap_or_default();
            let sequence = verdict.sequence().map(|number| format!(", sequence number {number}")).unwrap_or_default();
            print(&one_line(&format!("{}: {}{by}{sequence}", path.display(), verdict.name())))?;
        }
        Ok(())
    }
}

fn verify(path: &Path, trust: &Trust) -> Result<Verdict> {
    if path.is_dir() {
        let bundle = Bundle::open_trusted(path, trust)?;
        bundle.verify()?;
        return Ok(bundle.verdict());
    }
    // What is remembered are the sequence numbers of bundles.
    let trust = trust.clone().with_newest(BTreeMap::new());
    Ok(trust.verify(path, &files::read(path)?)?)
}
