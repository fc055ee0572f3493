//! `edge-runtime log verify`

use std::path::PathBuf;

use expression_engine::Error;
use expression_engine::error::Result;
use expression_engine::error::print;

use crate::journal::verify::{Finding, verify};
use crate::journal::{JournalError, Reader};

/// Checks that a journal is whole: pages, constraints, references, order. Exit code 1 where something is damaged.
///
/// Each finding is a line. A session without a stop is worth a note and is no damage: a power cut ended it, or it runs.
#[derive(clap::Args)]
pub struct Cmd {
    /// The journal.
    #[arg(long, value_name = "FILE")]
    journal: PathBuf,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Where something is damaged, or the journal cannot be read.
    pub fn run(&self) -> Result<()> {
        let reader = match Reader::open(&self.journal) {
            Err(JournalError::Damaged { reason, .. }) => {
                print(&format!("damage: {reason}"))?;
                return Err(Error::failure(format!("{} is damaged: see above", self.journal.display())));
            }
            other => other?,
        };
        let mut findings = Ok(());
        let verified = verify(&reader, |finding| {
            let line = match finding {
                Finding::Damage(text) => format!("damage: {text}"),
                Finding::Note(text) => format!("note: {text}"),
            };
            if findings.is_ok() {
                findings = print(&line);
            }
        })?;
        findings?;
        let counts =
            format!("{} records, {} events, {} sessions", verified.records, verified.events, verified.sessions);
        if verified.damage > 0 {
            let name = self.journal.display();
            return Err(Error::failure(format!(
                "{name} is damaged: {} findings among {counts}; see above",
                verified.damage
            )));
        }
        print(&format!("{counts}: no damage"))
    }
}
