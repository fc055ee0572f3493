//! What a suite is.

use anyhow::Result;

use crate::lab::Lab;

/// A suite of tests on emulated boards.
pub struct Suite {
    /// The name on the command line.
    pub name: &'static str,
    /// What it shows if it passes.
    pub shows: &'static str,
    /// Runs it.
    pub run: fn(&Lab) -> Result<Vec<Figures>>,
}

/// What a suite measured on one board: a row of the table of results.
pub struct Figures {
    /// The board's name.
    pub board: &'static str,
    /// The figures, one line.
    pub text: String,
}
