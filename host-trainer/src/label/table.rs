//! The table of votes, `votes.csv`: the votes for each answer, by face.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;

use crate::dataset::Split;
use crate::dataset::labelled::TRAINING;
use crate::dataset::votes::{self, COLUMNS, Counts};
use crate::error::Error;

/// The most votes for an answer of a face.
const MAX_VOTES: u32 = 1_000_000;

/// Rows by the name of the face.
pub type Table = BTreeMap<String, Row>;

/// What the table says of a face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The part of the data set that it belongs to.
    pub usage: String,
    /// Votes for each answer.
    pub counts: Counts,
}

impl Default for Row {
    fn default() -> Row {
        Row { usage: TRAINING.into(), counts: Counts::default() }
    }
}

/// Reads a table; `None` if there is no file.
///
/// # Errors
/// Returns [`Error::BadInput`] if it is not a table of votes.
pub fn read(path: &Path) -> crate::Result<Option<Table>> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() == 0 && metadata.is_file() => return Ok(Some(Table::new())),
        Ok(metadata) if !metadata.is_file() => {
            return Err(Error::BadInput(format!("{}: not a regular file; move it away", path.display())));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        _ => {}
    }
    let advice = "correct it, or rename it to label this folder";
    let row = |row: votes::Row| (row.name, Row { usage: usage(row.split).into(), counts: row.counts });
    let rows = votes::read(path, MAX_VOTES, advice)?;
    votes::refuse_repeated(path, &rows)?;
    Ok(Some(rows.into_iter().map(row).collect()))
}

/// What the table calls a part.
fn usage(split: Split) -> &'static str {
    match split {
        Split::Train => TRAINING,
        Split::Valid => "PublicTest",
        Split::Test => "PrivateTest",
    }
}

/// The bytes of a table with these rows.
///
/// # Errors
/// Returns an error if they cannot be written as CSV.
pub fn bytes<'a>(rows: impl Iterator<Item = (&'a str, Row)>) -> crate::Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(COLUMNS)?;
    for (face, Row { usage, counts }) in rows {
        let counts = counts.map(|count| count.to_string());
        table.write_record([usage.as_str(), face].into_iter().chain(counts.iter().map(String::as_str)))?;
    }
    table.into_inner().map_err(|error| Error::Failed(error.to_string()))
}

/// Whether a table came from the log that is being read. It may be some votes behind, if the program was killed or the disk
/// was full, so it is compared after each line.
pub struct Unlike {
    table: Table,
    /// The faces on which the votes of the two differ.
    faces: BTreeSet<String>,
    /// Whether the table matched the log before its first line, or after at least one.
    pub was_none: bool,
}

impl Unlike {
    /// Compares a table with what there was before the log.
    pub fn new(earlier: &Table, table: Option<&Table>) -> Unlike {
        let Some(table) = table.cloned() else {
            return Unlike { table: Table::new(), faces: BTreeSet::new(), was_none: true };
        };
        let all = earlier.keys().chain(table.keys());
        let faces: BTreeSet<String> =
            all.filter(|face| counts_of(&table, face) != counts_of(earlier, face)).cloned().collect();
        Unlike { table, was_none: faces.is_empty(), faces }
    }

    /// Compares what the table and the log say of a face.
    pub fn look(&mut self, face: &str, counts: Counts) {
        if counts_of(&self.table, face) == counts {
            self.faces.remove(face);
        } else {
            self.faces.insert(face.to_owned());
        }
        self.was_none |= self.faces.is_empty();
    }
}

fn counts_of(table: &Table, face: &str) -> Counts {
    table.get(face).map_or(Counts::default(), |row| row.counts)
}
