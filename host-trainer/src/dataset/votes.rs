//! Tables of votes in FER+'s columns: `fer2013new.csv` of FER+ itself, and `votes.csv` of `host-trainer label`.

use std::collections::HashMap;
use std::path::Path;

use expression_core::Label;

use super::{Split, fer2013, table};
use crate::error::{Context, Error};

/// How many answers a labeller can give: the labels, "unknown" and "not a face", in FER+'s order.
pub const ANSWERS: usize = Label::COUNT + 2;
/// The columns of the table in FER+'s order.
pub const COLUMNS: [&str; ANSWERS + 2] = [
    "Usage",
    "Image name",
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
];

/// Number of votes for each answer.
pub type Counts = [u32; ANSWERS];

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The line of the file, from 1.
    pub line: u64,
    /// The part that its usage names.
    pub split: Split,
    /// The name of the picture; empty if there is none.
    pub name: String,
    /// The votes.
    pub counts: Counts,
}

/// Reads a table, whose first row names its columns in any order, of at most `most` votes per answer.
///
/// # Errors
/// Returns [`Error::BadInput`], with `advice` if the table is missing or its first row does not name the columns, and with the
/// line if a row does not parse.
pub fn read(path: &Path, most: u32, advice: &str) -> crate::Result<Vec<Row>> {
    let missing = |error: &dyn std::fmt::Display| Error::BadInput(format!("{}: {error}; {advice}", path.display()));
    let mut table = table::with_header(path).map_err(|error| missing(&error))?;
    let header = table.headers().map_err(|error| missing(&table::reason(&error)))?;
    let places = places(header).map_err(|reason| missing(&format!("not a table of votes: {reason}")))?;
    let mut rows: Vec<Row> = Vec::new();
    // The header is line 1.
    for (line, record) in (2..).zip(table.into_records()) {
        let place = || format!("{}:{line}", path.display());
        let record = record.map_err(|error| Error::BadInput(table::reason(&error))).with_context(place)?;
        let row = parse(&record, &places, most).map_err(Error::BadInput).with_context(place)?;
        rows.push(Row { line, ..row });
    }
    Ok(rows)
}

/// Refuses a table in which two rows name one picture: which of them counts, or whether both do, cannot be known. FER+'s own table
/// has three rows twice.
///
/// # Errors
/// Returns [`Error::BadInput`] with the lines of the first such pair.
pub fn refuse_repeated(path: &Path, rows: &[Row]) -> crate::Result<()> {
    // Names are compared as paths, in which a//b is a/b.
    let mut named: HashMap<&Path, u64> = HashMap::new();
    for row in rows.iter().filter(|row| !row.name.is_empty()) {
        if let Some(first) = named.insert(Path::new(&row.name), row.line) {
            let (path, line, name) = (path.display(), row.line, &row.name);
            return Err(Error::BadInput(format!(
                "{path}:{line}: {name:?} has votes in line {first} too; keep one row"
            )));
        }
    }
    Ok(())
}

/// Where each of [`COLUMNS`] stands in a header.
fn places(header: &csv::StringRecord) -> Result<[usize; COLUMNS.len()], String> {
    let is = |found: &str, column: &str| found.trim().eq_ignore_ascii_case(column);
    let expected = COLUMNS.join(", ");
    if !header.iter().any(|found| COLUMNS.iter().any(|column| is(found, column))) {
        return Err(format!("its first row does not name the columns {expected}"));
    }
    if let Some(unknown) = header.iter().find(|found| !COLUMNS.iter().any(|column| is(found, column))) {
        return Err(format!("unknown column {unknown:?}; known are {expected}"));
    }
    let mut places = [0; COLUMNS.len()];
    for (place, column) in places.iter_mut().zip(COLUMNS) {
        let found: Vec<usize> = (0..header.len()).filter(|place| is(&header[*place], column)).collect();
        *place = match found[..] {
            [place] => place,
            [] => return Err(format!("no column {column:?}")),
            _ => return Err(format!("{} columns {column:?}", found.len())),
        };
    }
    Ok(places)
}

fn parse(record: &csv::StringRecord, places: &[usize; COLUMNS.len()], most: u32) -> Result<Row, String> {
    if record.len() != COLUMNS.len() {
        return Err(format!("{} columns; expected the {} of the first row", record.len(), COLUMNS.len()));
    }
    let [usage, _, answers @ ..] = places.map(|place| record[place].trim());
    // A name may begin or end with a space.
    let name = &record[places[1]];
    let split = fer2013::split_named(usage).ok_or_else(|| {
        let (usage, name) = (table::shown(usage), table::shown(name));
        format!("usage {usage} of {name}; give Training, PublicTest or PrivateTest")
    })?;
    let mut counts = Counts::default();
    for (count, text) in counts.iter_mut().zip(answers) {
        let parsed = text.parse().ok().filter(|count| *count <= most);
        *count = parsed.ok_or_else(|| format!("{} is not a number of votes", table::shown(text)))?;
    }
    Ok(Row { line: 0, split, name: name.to_owned(), counts })
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::assert_refused;
    use super::*;

    fn table(text: &str) -> crate::Result<Vec<Row>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("votes.csv");
        std::fs::write(&path, text).unwrap();
        read(&path, 100, "do this")
    }

    #[test]
    fn columns_are_read_by_their_names() {
        let header = COLUMNS.join(",");
        let expected = table(&format!("{header}\nTraining,a.png,0,1,2,3,4,5,6,7,8,9\n")).unwrap();
        assert_eq!((expected[0].line, expected[0].split, expected[0].name.as_str()), (2, Split::Train, "a.png"));
        assert_eq!(expected[0].counts, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        for text in [
            "usage,IMAGE NAME,Happiness, neutral ,surprise,sadness,anger,disgust,fear,contempt,unknown,nf\n\
             Training,a.png,1,0,2,3,4,5,6,7,8,9\n",
            "\u{feff}NF;unknown;contempt;fear;disgust;anger;sadness;surprise;happiness;neutral;Image name;Usage\r\n\
             9;8;7;6;5;4;3;2;1;0;a.png;training\r\n",
            &format!("{}\nTraining\ta.png\t0\t1\t2\t3\t4\t5\t6\t7\t8\t9\n", COLUMNS.join("\t")),
        ] {
            assert_eq!(table(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn two_rows_for_one_picture_are_named() {
        let rows = |names: [&str; 2]| {
            let row = |name| format!("Training,{name},0,1,2,3,4,5,6,7,8,9\n");
            table(&format!("{}\n{}", COLUMNS.join(","), names.map(row).concat())).unwrap()
        };
        let path = Path::new("votes.csv");
        refuse_repeated(path, &rows(["a.png", " a.png"])).unwrap();
        refuse_repeated(path, &rows(["", ""])).unwrap();
        for names in [["a.png", "a.png"], ["x/a.png", "x//a.png"]] {
            assert_refused(refuse_repeated(path, &rows(names)), &["votes.csv:3", "has votes in line 2 too"]);
        }
    }

    #[test]
    fn what_is_not_such_a_table_is_refused_in_one_line() {
        let header = COLUMNS.join(",");
        let row = "Training,a.png,0,1,2,3,4,5,6,7,8,9";
        for (text, told) in [
            (format!("{row}\n"), "first row does not name the columns Usage, Image name, neutral"),
            (String::new(), "first row does not name the columns"),
            (format!("{}\n{row}\n", header.replace("anger", "angst")), "unknown column \"angst\""),
            (format!("{}\n{row}\n", header.replace("anger", "fear")), "no column \"anger\""),
            (format!("{header},fear\n{row},1\n"), "2 columns \"fear\""),
            (format!("{header}\n{}\n", row.replace("Training", "Trainig")), "votes.csv:2: usage \"Trainig\""),
            (format!("{header}\nTraining,a.png,1,0\n"), "votes.csv:2: 4 columns"),
        ] {
            assert_refused(table(&text), &[told]);
        }
    }
}
