//! `edge-runtime log verify`

use std::path::PathBuf;

use expression_engine::Error;
use expression_engine::error::Result;
use expression_engine::error::print;

use crate::journal::verify::{Finding, verify};
use crate::journal::{JournalError, Reader};

/// Check a journal for damage: pages, constraints, references and order.
///
/// Prints one line per finding and exits with code 1 if anything is damaged. A session without a stop event is a note, not
/// damage: it is still running, or a power cut ended it.
#[derive(clap::Args)]
pub struct Cmd {
    /// Journal file.
    #[arg(long, value_name = "FILE")]
    journal: PathBuf,
}

impl Cmd {
    /// Prints the findings and a closing line.
    ///
    /// # Errors
    /// Returns an error if something is damaged or the journal cannot be read.
    pub fn run(&self) -> Result<()> {
        let reader = match Reader::open(&self.journal) {
            Err(JournalError::Damaged { reason, .. }) => {
                print(&format!("damage: {reason}"))?;
                return Err(Error::failure(format!(
                    "{} is damaged; the lines above say where",
                    self.journal.display()
                )));
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
                "{name} is damaged: {} findings in {counts}; the lines above say where",
                verified.damage
            )));
        }
        print(&format!("{counts}: no damage"))
    }
}
