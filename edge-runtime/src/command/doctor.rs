//! `edge-runtime doctor`

use std::path::PathBuf;

use expression_engine::Error;
use expression_engine::error::Result;

use crate::doctor::{Machine, Outcome, Question, findings};

/// Looks whether this machine is fit to run: a line a check, ok, warn or fail, and what to do.
///
/// Looked at are the board, kernels, the bundle and its self-test, the camera, the clock, temperature and throttling, the
/// disk, the journal, lights and display, and the service. Run it as the user that the runtime runs as: permissions are
/// that user's. Exit code 1 where a check fails.
#[derive(clap::Args)]
pub struct Cmd {
    /// Name of a board, or path of its file: by default that of the installed service, or the one detected.
    #[arg(long, value_name = "BOARD")]
    board: Option<String>,
    /// Folder of the bundle: by default the board's.
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// The journal: by default the board's.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Where pictures come from, v4l2:/dev/video0 for instance: by default the board's source.
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Write a JSON object a check instead of a line of text.
    #[arg(long)]
    json: bool,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Where a check fails.
    pub fn run(&self) -> Result<()> {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let question = Question {
            board: self.board.clone(),
            bundle: self.bundle.as_ref().map(absolute),
            journal: self.journal.as_ref().map(absolute),
            source: self.source.clone(),
        };
        let findings = findings(&Machine::this(), &question)?;
        for finding in &findings {
            expression_engine::error::print(&if self.json { finding.json().to_string() } else { finding.line() })?;
        }
        let failed = findings.iter().filter(|finding| finding.outcome == Outcome::Fail).count();
        if failed > 0 {
            let checks = findings.len();
            return Err(Error::failure(format!("{failed} of {checks} checks failed; their lines say what to do")));
        }
        Ok(())
    }
}
