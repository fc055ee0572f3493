//! The table of votes, `votes.csv`: the votes for each answer, by face.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;

use expression_engine::files;

use crate::dataset::labelled::{COLUMNS, Counts, TRAINING, counts};
use crate::error::{Context, Error};

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
    let wrong = |reason: String| Error::BadInput(format!("{}: {reason}", path.display()));
    let file = match files::open_regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let header = rows.headers().map_err(|error| wrong(error.to_string()))?;
    if !header.is_empty() && !header.iter().map(str::trim).eq(COLUMNS) {
        let columns = COLUMNS.join(",");
        return Err(wrong(format!(
            "not a table of votes: expected the columns {columns}; rename it to label this folder"
        )));
    }
    let mut table = Table::new();
    for (number, record) in rows.records().enumerate() {
        // The header is line 1.
        let place = |reason: String| {
            Error::BadInput(format!("{}:{}: {reason}; correct it, or rename the file", path.display(), number + 2))
        };
        let record = record.map_err(|error| place(error.to_string()))?;
        let counts = counts(&record, 1_000_000).map_err(place)?;
        // A table that was put together of several may have a face twice.
        let row = table.entry(record[1].to_owned()).or_default();
        row.usage = record[0].trim().to_owned();
        row.counts.iter_mut().zip(counts).for_each(|(sum, count)| *sum = sum.saturating_add(count));
    }
    Ok(Some(table))
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
    /// Whether there was a time without any.
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
