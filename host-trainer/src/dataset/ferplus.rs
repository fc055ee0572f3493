//! FER+: Barsoum et al., "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label
//! Distribution", ICMI 2016, arXiv 1608.01041. The layout that Microsoft's FERPlus repository makes.

use std::path::{Path, PathBuf};

use expression_core::Label;

use super::{DataSet, Part, Request, Sample, Split, listing, sample, shuffled, table};
use crate::error::{Context, Error};

/// The table of votes.
const TABLE: &str = "fer2013new.csv";
/// Name of the data set and where it comes from.
const NAME: &str = "FER+";
const SOURCE: &str = "FER+ labels (MIT) over FER2013 pictures (research use only)";

/// Usage in the table, and the folder of its pictures. The validation part is FER2013's public test.
fn place(split: Split) -> (&'static str, &'static str) {
    match split {
        Split::Train => ("Training", "data/FER2013Train"),
        Split::Valid => ("PublicTest", "data/FER2013Valid"),
        Split::Test => ("PrivateTest", "data/FER2013Test"),
    }
}

struct Row {
    path: PathBuf,
    name: String,
    votes: Votes,
}

/// What ten people said of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Votes {
    distribution: [f32; Label::COUNT],
    label: Label,
    majority: bool,
}

/// Loads FER+: the training part for training and calibration, the validation part for test.
///
/// Every picture counts, so that figures are of a whole part: its label is the one of the eight with most votes. Upstream's
/// own protocol reports on the pictures with [`Sample::majority`] alone. The distribution drops single votes as noise, as
/// upstream's `ferplus.py` does. Rows without a picture, or marked as no face by most, are left out, as upstream.
///
/// # Errors
/// [`Error::BadInput`] where the table or a folder is missing or a row does not parse.
pub fn load(folder: &Path, request: Request) -> crate::Result<DataSet> {
    let mut train = shuffled(rows(folder, Split::Train)?, request.seed);
    let test = rows(folder, Split::Valid)?;
    train.truncate(request.limit.unwrap_or(usize::MAX));
    let calibration = train.split_off(train.len() - request.held_out(train.len()));
    let mut skipped = Vec::new();
    let mut read = |rows: &[Row]| {
        let (samples, unreadable) = read(rows);
        skipped.extend(unreadable);
        samples
    };
    Ok(DataSet {
        name: NAME.into(),
        source: SOURCE.into(),
        train: read(&train),
        calibration: read(&calibration),
        test: read(&test),
        skipped,
    })
}

/// One part of FER+ in the order of the table, every picture as [`load`] labels it.
///
/// # Errors
/// As [`load`].
pub fn part(folder: &Path, split: Split) -> crate::Result<Part> {
    let (samples, skipped) = read(&rows(folder, split)?);
    Ok(Part { name: format!("{NAME} {split}"), source: SOURCE.into(), samples, skipped })
}

/// The usable rows of a part.
fn rows(folder: &Path, split: Split) -> crate::Result<Vec<Row>> {
    let path = folder.join(TABLE);
    let (wanted, pictures) = self::place(split);
    let missing = |error: &dyn std::fmt::Display| {
        Error::BadInput(format!("{}: {error}; give the folder FERPlus, which holds {TABLE} and data/", path.display()))
    };
    let mut table = csv::Reader::from_reader(table::open(&path).map_err(|error| missing(&error))?);
    let mut rows = Vec::new();
    for (number, record) in table.records().enumerate() {
        // The header is line 1.
        let place = || format!("{}:{}", path.display(), number + 2);
        let record = record.map_err(|error| Error::BadInput(error.to_string())).with_context(place)?;
        let (usage, row) = parse(&record).map_err(Error::BadInput).with_context(place)?;
        let Some((name, votes)) = row else { continue };
        if usage == wanted {
            rows.push(Row { path: folder.join(pictures).join(&name), name, votes });
        }
    }
    require_pictures(&folder.join(pictures))?;
    if rows.is_empty() {
        return Err(missing(&format!("no usable {wanted} rows")));
    }
    Ok(rows)
}

/// Refuses a clone of FERPlus whose pictures were never made: the repository holds the table alone.
fn require_pictures(folder: &Path) -> crate::Result<()> {
    let found = folder.is_dir() && !listing::pictures(folder)?.is_empty();
    let advice = "run FERPlus' generate_training_data.py with fer2013.csv, which makes them";
    found.then_some(()).ok_or_else(|| Error::BadInput(format!("{}: no pictures; {advice}", folder.display())))
}

/// The samples of rows, and what could not be read.
fn read(rows: &[Row]) -> (Vec<Sample>, Vec<String>) {
    sample::read_all(
        rows,
        |row| row.path.clone(),
        |row, _, picture| {
            let Votes { distribution, label, majority } = row.votes;
            Ok(Sample { name: row.name.clone(), subject: None, picture, distribution, label, majority })
        },
    )
}

/// Usage, and name and votes where the row has a picture and a face.
fn parse(record: &csv::StringRecord) -> Result<(String, Option<(String, Votes)>), String> {
    if record.len() != 12 {
        return Err(format!("{} columns, not 12; restore the file from FERPlus", record.len()));
    }
    let mut counts = [0u8; 10];
    for (count, text) in counts.iter_mut().zip(record.iter().skip(2)) {
        let parsed = text.trim().parse().ok().filter(|count| *count <= 100);
        *count = parsed.ok_or_else(|| format!("{text:?} is no number of votes"))?;
    }
    let (usage, name) = (record[0].to_owned(), record[1].trim().to_owned());
    if name.contains(['/', '\\']) {
        return Err(format!("{name:?} is no file name"));
    }
    let votes = if name.is_empty() { None } else { Votes::of(counts) };
    Ok((usage, votes.map(|votes| (name, votes))))
}

impl Votes {
    /// Of the eight labels, "unknown" and "not a face"; `None` where most saw no face or none of the eight was named.
    fn of(counts: [u8; 10]) -> Option<Votes> {
        let sum = |counts: &[u8]| counts.iter().map(|count| u32::from(*count)).sum::<u32>();
        let top = *counts[..Label::COUNT].iter().max()?;
        if top == 0 || 2 * u32::from(counts[9]) > sum(&counts) {
            return None;
        }
        let label = Label::from_index(counts.iter().position(|count| *count == top)?)?;
        // A vote that stands alone is taken for a slip, unless there are no others.
        let mut kept = counts.map(|count| if count > 1 { count } else { 0 });
        let majority = 2 * u32::from(kept[label as usize]) > sum(&kept);
        if sum(&kept[..Label::COUNT]) == 0 {
            kept = counts;
        }
        let total = sum(&kept[..Label::COUNT]) as f32;
        let distribution = std::array::from_fn(|index| f32::from(kept[index]) / total);
        Some(Votes { distribution, label, majority })
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::assert_refused;
    use super::*;

    fn row(text: &str) -> Result<(String, Option<(String, Votes)>), String> {
        parse(&csv::StringRecord::from(text.split(',').collect::<Vec<_>>()))
    }

    #[test]
    fn votes_become_a_distribution_and_single_votes_are_dropped() {
        let (usage, row) = row("Training,fer0.png,6,0,2,1,0,0,0,0,1,0").unwrap();
        assert_eq!(usage, "Training");
        let distribution = [0.75, 0.0, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(row, Some(("fer0.png".into(), Votes { distribution, label: Label::Neutral, majority: true })));
    }

    #[test]
    fn without_a_majority_the_picture_still_counts() {
        for (counts, label) in [("5,5,0,0,0,0,0,0,0,0", Label::Neutral), ("0,0,0,0,4,0,0,0,6,0", Label::Anger)] {
            let (_, row) = row(&format!("Training,fer0.png,{counts}")).unwrap();
            let votes = row.unwrap().1;
            assert_eq!((votes.label, votes.majority), (label, false));
        }
        let (_, row) = row("Training,fer0.png,1,1,1,1,1,1,1,1,1,1").unwrap();
        assert_eq!(row.unwrap().1.distribution, [0.125; 8]);
    }

    #[test]
    fn rows_without_a_picture_or_a_face_are_left_out() {
        for counts in ["fer0.png,2,2,0,0,0,0,0,0,0,6", "fer0.png,0,0,0,0,0,0,0,0,10,0", ",10,0,0,0,0,0,0,0,0,0"] {
            assert_eq!(row(&format!("Training,{counts}")).unwrap().1, None, "{counts}");
        }
    }

    #[test]
    fn damaged_rows_are_errors() {
        for text in [
            "Training,fer0.png,6,0",
            "Training,fer0.png,x,0,0,0,0,0,0,0,0,10",
            "Training,fer0.png,-1,0,0,0,0,0,0,0,0,10",
            "Training,../x.png,10,0,0,0,0,0,0,0,0,0",
        ] {
            assert!(row(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_clone_without_its_pictures_is_refused_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join(TABLE),
            "Usage,Image name,n,h,s,s,a,d,f,c,u,NF\nTraining,fer0.png,9,0,0,0,0,0,0,0,1,0\n",
        )
        .unwrap();
        let refused = || {
            assert_refused(
                part(folder.path(), Split::Train),
                &["FER2013Train: no pictures", "generate_training_data.py"],
            )
        };
        refused();
        std::fs::create_dir_all(folder.path().join("data/FER2013Train")).unwrap();
        refused();
    }
}
