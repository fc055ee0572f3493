//! FER+: Barsoum et al., "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label
//! Distribution", ICMI 2016, arXiv 1608.01041. The layout that Microsoft's FERPlus repository makes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use expression_core::Label;
use expression_engine::Picture;

use super::listing::LeftOut;
use super::votes::{self, Counts};
use super::{DataSet, Part, Request, Sample, Split, copies, folder, listing, sample, shuffled};
use crate::error::Error;

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
    counts: Counts,
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
/// No picture is both trained on and reported on: of pictures that are in the training part and in another, pixel by pixel, both
/// copies are left out. The votes of copies within the training part are added, and the picture is trained on once.
///
/// # Errors
/// [`Error::BadInput`] where the table or a folder is missing or a row does not parse.
pub fn load(folder: &Path, request: Request) -> crate::Result<DataSet> {
    let mut left_out = LeftOut::default();
    let train_rows = rows(folder, Split::Train, &mut left_out)?;
    let test_rows = rows(folder, Split::Valid, &mut left_out)?;
    let (train, mut skipped) = read(&train_rows);
    let (test, unreadable) = read(&test_rows);
    skipped.extend(unreadable);
    // The part for the last test may be absent: it is not needed here.
    let private = match is_made(folder, Split::Test) {
        true => pictures_of(&rows(folder, Split::Test, &mut LeftOut::default())?),
        false => Vec::new(),
    };
    let test_copies = copies::found_in(&test, &train);
    let elsewhere: Vec<Sample> = test.iter().chain(&private).cloned().collect();
    let train_copies = copies::found_in(&train, &elsewhere);
    let (train, merged) = merged(copies::without(train, &train_copies), &train_rows);
    left_out.add("training pictures that are in another part too", copies::count(&train_copies));
    left_out.add("validation pictures that are in the training part too", copies::count(&test_copies));
    left_out.add("copies within the training part (their votes are added)", merged);
    left_out.warn(folder);
    let mut train = shuffled(train, request.seed);
    train.truncate(request.limit.unwrap_or(usize::MAX));
    let calibration = train.split_off(train.len() - request.held_out(train.len()));
    let name = match copies::count(&test_copies) {
        0 => NAME.to_owned(),
        count => format!("{NAME}, less {count} test pictures that are in the training part too"),
    };
    let test = copies::without(test, &test_copies);
    Ok(DataSet { name, source: SOURCE.into(), train, calibration, test, skipped })
}

/// One part of FER+ in the order of the table, every picture as [`load`] labels it. Of the validation and test part, it says which
/// pictures are in the training part too.
///
/// # Errors
/// As [`load`].
pub fn part(folder: &Path, split: Split) -> crate::Result<Part> {
    let mut left_out = LeftOut::default();
    let (samples, skipped) = read(&rows(folder, split, &mut left_out)?);
    left_out.warn(folder);
    let copies = match split {
        Split::Train => Vec::new(),
        Split::Valid | Split::Test => {
            let train = rows(folder, Split::Train, &mut LeftOut::default())?;
            copies::found_in(&samples, &pictures_of(&train))
        }
    };
    Ok(Part { name: format!("{NAME} {split}"), source: SOURCE.into(), samples, skipped, copies })
}

/// Samples of which those with equal pictures became the first of them, with the votes of all, and how many were dropped.
fn merged(samples: Vec<Sample>, rows: &[Row]) -> (Vec<Sample>, usize) {
    let counts: HashMap<&str, Counts> = rows.iter().map(|row| (row.name.as_str(), row.counts)).collect();
    let count = samples.len();
    let add = |votes: &mut Counts, of: &Sample| {
        let more = counts.get(of.name.as_str()).copied().unwrap_or_default();
        votes.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    };
    let groups = copies::groups(samples);
    let merged: Vec<Sample> = groups
        .into_iter()
        .filter_map(|group| {
            let mut votes = Counts::default();
            group.iter().for_each(|sample| add(&mut votes, sample));
            let single = group.len() == 1;
            let first = group.into_iter().next()?;
            if single {
                return Some(first);
            }
            // Copies of which most votes together see no face are left out, as such a picture is.
            let Votes { distribution, label, majority } = Votes::of(votes)?;
            Some(Sample { distribution, label, majority, ..first })
        })
        .collect();
    let dropped = count - merged.len();
    (merged, dropped)
}

/// The usable rows of a part. The others are counted.
fn rows(folder: &Path, split: Split, left_out: &mut LeftOut) -> crate::Result<Vec<Row>> {
    let path = folder.join(TABLE);
    let (wanted, pictures) = place(split);
    let advice = format!("give the folder FERPlus, which holds {TABLE} and data/");
    let advice = if path.exists() { advice } else { folder::advice(folder, &advice) };
    let mut rows = Vec::new();
    for votes::Row { line, split: of_row, name, counts } in votes::read(&path, 100, &advice)? {
        let name = name.trim().to_owned();
        if name.contains(['/', '\\']) {
            return Err(Error::BadInput(format!("{}:{line}: {name:?} is not a file name", path.display())));
        }
        if of_row != split {
            continue;
        }
        match Votes::of(counts) {
            _ if name.is_empty() => left_out.add("rows that name no picture", 1),
            None => left_out.add("pictures that the votes give no label", 1),
            Some(votes) => rows.push(Row { path: folder.join(pictures).join(&name), name, counts, votes }),
        }
    }
    let made = "run FERPlus' generate_training_data.py with fer2013.csv, which makes them";
    sample::require_any(&path, rows.iter().map(|row| row.path.clone()), made)?;
    if rows.is_empty() {
        return Err(Error::BadInput(format!("{}: no usable {wanted} rows; {advice}", path.display())));
    }
    Ok(rows)
}

/// Whether the pictures of a part were made: the repository holds the table alone.
pub fn is_made(folder: &Path, split: Split) -> bool {
    let pictures = folder.join(place(split).1);
    listing::pictures(&pictures).is_ok_and(|pictures| !pictures.is_empty())
}

/// The samples of rows, and what could not be read.
fn read(rows: &[Row]) -> (Vec<Sample>, Vec<String>) {
    sample::read_all(rows, |row| row.path.clone(), Row::sample)
}

/// The samples of a part that others are compared with. What cannot be read is not named: it belongs to the other part.
fn pictures_of(rows: &[Row]) -> Vec<Sample> {
    sample::read_unlogged(rows, |row| row.path.clone(), Row::sample).0
}

impl Row {
    fn sample(&self, _: &Path, picture: Picture) -> Result<Sample, String> {
        let Votes { distribution, label, majority } = self.votes;
        Ok(Sample { name: self.name.clone(), subject: None, picture, distribution, label, majority })
    }
}

impl Votes {
    /// Of the eight labels, "unknown" and "not a face"; `None` where most saw no face or none of the eight was named.
    fn of(counts: Counts) -> Option<Votes> {
        let sum = |counts: &[u32]| counts.iter().sum::<u32>();
        let top = *counts[..Label::COUNT].iter().max()?;
        if top == 0 || 2 * counts[9] > sum(&counts) {
            return None;
        }
        let label = Label::from_index(counts.iter().position(|count| *count == top)?)?;
        // A vote that stands alone is taken for a slip, unless there are no others.
        let mut kept = counts.map(|count| if count > 1 { count } else { 0 });
        let majority = 2 * kept[label as usize] > sum(&kept);
        if sum(&kept[..Label::COUNT]) == 0 {
            kept = counts;
        }
        let total = sum(&kept[..Label::COUNT]) as f32;
        let distribution = std::array::from_fn(|index| kept[index] as f32 / total);
        Some(Votes { distribution, label, majority })
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::Layout;
    use super::super::layout::tests::{REQUEST, assert_refused, drawn, logged};
    use super::*;

    #[test]
    fn votes_become_a_distribution_and_single_votes_are_dropped() {
        let distribution = [0.75, 0.0, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0];
        let votes = Votes::of([6, 0, 2, 1, 0, 0, 0, 0, 1, 0]);
        assert_eq!(votes, Some(Votes { distribution, label: Label::Neutral, majority: true }));
    }

    #[test]
    fn without_a_majority_the_picture_still_counts() {
        for (counts, label) in
            [([5, 5, 0, 0, 0, 0, 0, 0, 0, 0], Label::Neutral), ([0, 0, 0, 0, 4, 0, 0, 0, 6, 0], Label::Anger)]
        {
            let votes = Votes::of(counts).unwrap();
            assert_eq!((votes.label, votes.majority), (label, false));
        }
        assert_eq!(Votes::of([1; 10]).unwrap().distribution, [0.125; 8]);
    }

    /// A folder with one picture for training, and a table with these rows.
    fn table(rows: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let pictures = folder.path().join(place(Split::Train).1);
        std::fs::create_dir_all(&pictures).unwrap();
        image::GrayImage::new(8, 8).save(pictures.join("fer0.png")).unwrap();
        std::fs::write(folder.path().join(TABLE), format!("{}\n{rows}", votes::COLUMNS.join(","))).unwrap();
        folder
    }

    #[test]
    fn rows_without_a_picture_or_a_face_are_left_out() {
        for counts in ["fer1.png,2,2,0,0,0,0,0,0,0,6", "fer1.png,0,0,0,0,0,0,0,0,10,0", ",10,0,0,0,0,0,0,0,0,0"] {
            let folder = table(&format!("Training,{counts}\nTraining,fer0.png,9,0,0,0,0,0,0,0,1,0\n"));
            let mut left_out = LeftOut::default();
            let rows = rows(folder.path(), Split::Train, &mut left_out).unwrap();
            assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["fer0.png"], "{counts}");
            assert!(left_out.to_string().starts_with("1 files left out: 1 "), "{left_out}");
        }
    }

    /// The table that FERPlus' repository makes has three rows twice.
    #[test]
    fn repeated_rows_and_spaces_around_names_are_read() {
        let folder = table(&"Training, fer0.png,9,0,0,0,0,0,0,0,1,0\n".repeat(2));
        let names: Vec<String> = rows(folder.path(), Split::Train, &mut LeftOut::default())
            .unwrap()
            .into_iter()
            .map(|row| row.name)
            .collect();
        assert_eq!(names, ["fer0.png"; 2]);
    }

    #[test]
    fn damaged_rows_are_errors() {
        for row in [
            "Training,fer0.png,6,0",
            "Training,fer0.png,x,0,0,0,0,0,0,0,0,10",
            "Training,fer0.png,-1,0,0,0,0,0,0,0,0,10",
            "Training,../x.png,10,0,0,0,0,0,0,0,0,0",
            "PublicTest,a\\x.png,10,0,0,0,0,0,0,0,0,0",
        ] {
            assert_refused(
                rows(table(row).path(), Split::Train, &mut LeftOut::default()).map(|_| ()),
                &["fer2013new.csv:2: "],
            );
        }
    }

    #[test]
    fn columns_that_are_swapped_with_their_names_are_the_same_labels() {
        let folder = drawn(Layout::Ferplus, 2, 32);
        let labels = || {
            let part = part(folder.path(), Split::Train).unwrap();
            part.samples.iter().map(|sample| (sample.name.clone(), sample.label)).collect::<Vec<_>>()
        };
        let before = labels();
        let path = folder.path().join(TABLE);
        let swapped = |line: &str| -> String {
            let mut cells: Vec<&str> = line.split(',').collect();
            cells.swap(2, 3);
            cells.join(";") + "\r\n"
        };
        let text: String = std::fs::read_to_string(&path).unwrap().lines().map(swapped).collect();
        std::fs::write(&path, text).unwrap();
        assert_eq!(labels(), before);
    }

    #[test]
    fn copies_are_not_both_trained_on_and_reported_on_and_their_votes_are_added() {
        let folder = drawn(Layout::Ferplus, 8, 48);
        let before = load(folder.path(), REQUEST).unwrap();
        let table = std::fs::read_to_string(folder.path().join(TABLE)).unwrap();
        let names = |usage: &str| -> Vec<String> {
            let of_part = table.lines().filter(|line| line.starts_with(usage));
            of_part.map(|line| line.split(',').nth(1).unwrap().to_owned()).collect()
        };
        let (train, valid) = (names("Training"), names("PublicTest"));
        assert_eq!(before.train.len() + before.calibration.len(), train.len(), "drawn pictures have no copies");
        let path = |split: Split, name: &String| folder.path().join(place(split).1).join(name);
        let copy = |from: PathBuf, to: PathBuf| {
            std::fs::copy(from, to).unwrap();
        };
        // Validation picture 0 is training picture 0; training pictures 1, 2 and 3 are one.
        copy(path(Split::Train, &train[0]), path(Split::Valid, &valid[0]));
        copy(path(Split::Train, &train[1]), path(Split::Train, &train[2]));
        copy(path(Split::Train, &train[1]), path(Split::Train, &train[3]));
        // A part that is absent so far: its picture 0 is training picture 4, and leaves the training part too.
        std::fs::create_dir_all(folder.path().join(place(Split::Test).1)).unwrap();
        let private = "fer0035000.png".to_owned();
        copy(path(Split::Train, &train[4]), path(Split::Test, &private));
        let more = format!("{table}PrivateTest,{private},10,0,0,0,0,0,0,0,0,0\n");
        std::fs::write(folder.path().join(TABLE), more).unwrap();

        let set = load(folder.path(), REQUEST).unwrap();
        let seen: Vec<&Sample> = set.train.iter().chain(&set.calibration).collect();
        assert_eq!((seen.len(), set.test.len()), (train.len() - 4, valid.len() - 1));
        assert!(seen.iter().all(|sample| ![&train[0], &train[2], &train[3], &train[4]].contains(&&sample.name)));
        assert!(set.test.iter().all(|sample| sample.name != valid[0]));
        assert!(set.name.contains("less 1 test pictures"), "{}", set.name);
        // Neutral to sadness are labels 0 to 3: picture 1 is happiness 7, surprise 2, unknown 1; and so on.
        let counts = |number: usize| -> Vec<f32> {
            let row = table.lines().find(|line| line.contains(&train[number])).unwrap();
            row.split(',').skip(2).map(|count| count.parse().unwrap()).collect()
        };
        let sums: Vec<f32> = (0..10).map(|vote| [1, 2, 3].map(|number| counts(number)[vote]).iter().sum()).collect();
        let kept: Vec<f32> = sums[..8].iter().map(|sum| if *sum > 1.0 { *sum } else { 0.0 }).collect();
        let merged = seen.iter().find(|sample| sample.name == train[1]).unwrap();
        for (found, kept_votes) in merged.distribution.iter().zip(&kept) {
            assert!(
                (found - kept_votes / kept.iter().sum::<f32>()).abs() < 1e-6,
                "{:?} of {sums:?}",
                merged.distribution
            );
        }
        // A picture of another part that cannot be read is named only where that part is read.
        std::fs::write(path(Split::Train, &train[5]), "").unwrap();
        let said = logged(|| drop(part(folder.path(), Split::Valid).unwrap()));
        assert!(!said.contains("skipped"), "{said}");
        let said = logged(|| drop(part(folder.path(), Split::Train).unwrap()));
        assert_eq!(said.matches("skipped: ").count(), 1, "{said}");
        // A part that is measured is whole, and says which pictures are copies.
        let part = part(folder.path(), Split::Valid).unwrap();
        assert_eq!(part.samples.len(), valid.len());
        assert_eq!(part.copies, part.samples.iter().map(|sample| sample.name == valid[0]).collect::<Vec<_>>());
    }

    #[test]
    fn a_clone_without_its_pictures_is_refused_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join(TABLE),
            format!("{}\nTraining,fer0.png,9,0,0,0,0,0,0,0,1,0\n", votes::COLUMNS.join(",")),
        )
        .unwrap();
        let refused = || {
            assert_refused(
                part(folder.path(), Split::Train),
                &["FER2013Train: no pictures", "generate_training_data.py"],
            )
        };
        refused();
        let pictures = folder.path().join("data/FER2013Train");
        std::fs::create_dir_all(&pictures).unwrap();
        refused();
        // Pictures of other names are not those of the table.
        image::GrayImage::new(8, 8).save(pictures.join("fer0.bmp")).unwrap();
        refused();
    }
}
