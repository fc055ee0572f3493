//! `edge-runtime doctor`

use std::path::{Path, PathBuf};

use expression_engine::Error;
use expression_engine::error::Result;

use super::settings;
use crate::board::Board;
use crate::doctor::{Finding, INSTALLED_BOARD, Machine, Outcome, Question, findings};
use crate::trust::Flags;

/// Check whether this machine is fit to run; prints one line per check: ok, warn or fail, and what to do
///
/// Checks the board, the kernels, the bundle, its signature and its self-test, the source, the clock, temperature and throttling, the disk, the
/// journal, lights and display, and the service. Run it as the user that the service runs as, because permissions are that
/// user's. Exit code 1 if a check fails.
#[derive(clap::Args)]
pub struct Cmd {
    /// Name of a built-in board, or path of a board file [default: that of the installed service, or this machine]
    #[arg(long, value_name = "NAME|FILE")]
    board: Option<String>,
    /// Folder of the bundle [default: the board's]
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// The journal [default: the board's]
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Source of frames, as `run --source` takes it [default: the board's camera]
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Write one JSON object per check instead of a line of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: Flags,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if a check fails.
    pub fn run(&self) -> Result<()> {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let question = Question {
            board: self.board.clone(),
            bundle: self.bundle.as_ref().map(absolute),
            journal: self.journal.as_ref().map(absolute),
            source: self.source.clone(),
            trust: self.trust.clone(),
        };
        let mut findings = findings(&Machine::this(), &question)?;
        // The flags that it stands for say whether a board file's settings are right.
        let installed = || Path::new(INSTALLED_BOARD).exists().then(|| INSTALLED_BOARD.to_owned());
        if let Some(name) = self.board.clone().or_else(installed)
            && let Ok(board) = Board::open(&name)
            && let Err(error) = settings::check(&board, &name)
            && let Some(finding) = findings.iter_mut().find(|finding| finding.check == "board")
        {
            *finding = Finding { outcome: Outcome::Fail, found: error.to_string(), advice: None, ..finding.clone() };
        }
        for finding in &findings {
            expression_engine::error::print(&if self.json {
                serde_json::to_string(finding).map_err(Error::failure)?
            } else {
                finding.line()
            })?;
        }
        let failed = findings.iter().filter(|finding| finding.outcome == Outcome::Fail).count();
        if failed > 0 {
            let checks = findings.len();
            return Err(Error::failure(format!("{failed} of {checks} checks failed; their lines say what to do")));
        }
        Ok(())
    }
}
