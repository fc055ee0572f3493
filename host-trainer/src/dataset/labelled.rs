//! Faces that people labelled with `host-trainer label`: a folder of pictures and `votes.csv`, a table in FER+'s columns.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Component, Path, PathBuf};

use expression_core::Label;

use super::listing::{self, LeftOut};
use super::votes::{self, ANSWERS, Counts};
use super::{DataSet, Part, Request, SPLIT_SEED, Sample, Split, sample, shuffled, track};
use crate::error::Error;

/// The table of votes.
pub const TABLE: &str = "votes.csv";
/// The `Usage` of rows whose part [`load`] chooses.
pub const TRAINING: &str = "Training";

/// Every fifth track is tested on.
const MIN_TRACKS: usize = 5;

const TERMS: &str = "pictures of the user's own, labelled by people; their terms apply";

#[derive(Debug)]
struct Row {
    split: Split,
    name: String,
    distribution: [f32; Label::COUNT],
    label: Label,
    majority: bool,
}

/// Loads the faces that have a label.
///
/// Rows whose usage is `PublicTest` calibrate and those of `PrivateTest` are tested on, as in FER+. If rows have only one of
/// these usages, they are tested on, and training samples are held out for calibration. If no row has such a usage, which is what
/// `host-trainer label` writes, every fifth track is tested on, the same ones with every seed, and samples are held out for
/// calibration by track as well: pictures of one track are almost the same, so no track is in two parts. Every vote counts. A face
/// is left out if more than half of its votes say that it is none, if no vote is for a label, or if its picture is gone: whoever is
/// in it may have asked for that. One line says how many, and how many pictures have no votes.
///
/// # Errors
/// Returns [`Error::BadInput`] if the table is missing or a row does not parse.
pub fn load(folder: &Path, request: Request) -> crate::Result<DataSet> {
    let rows = rows(folder)?;
    let parts = match by_usage(rows) {
        [train, valid, test] if valid.is_empty() && test.is_empty() => {
            let parts = by_track(train, request);
            enough_tracks(folder, &parts)?;
            parts
        }
        [train, valid, test] if valid.is_empty() || test.is_empty() => {
            let [train, calibration] = held_out(train, request);
            [train, calibration, if test.is_empty() { valid } else { test }]
        }
        parts => parts,
    };
    let mut skipped = Vec::new();
    let [mut train, mut calibration, test] = parts;
    if request.limit.is_some() {
        // They may be in the order of their labels, and the limit should leave some of each.
        [train, calibration] = [train, calibration].map(|rows| shuffled(rows, request.seed));
        request.cut(&mut train, &mut calibration);
    }
    let [train, calibration, test] = [train, calibration, test].map(|rows| {
        let (samples, unreadable) = read(folder, &rows);
        skipped.extend(unreadable);
        samples
    });
    Ok(DataSet { name: title(folder), source: TERMS.into(), train, calibration, test, skipped })
}

/// All faces that have a label, in the order of the table.
///
/// # Errors
/// As [`load`].
pub fn whole(folder: &Path) -> crate::Result<Part> {
    let (samples, skipped) = read(folder, &rows(folder)?);
    let name = format!("{} all", title(folder));
    Ok(Part { name, source: TERMS.into(), samples, skipped, copies: Vec::new() })
}

fn title(folder: &Path) -> String {
    format!("labelled {}", listing::folder_name(folder))
}

/// Training, calibration and test: every fifth track for test, as many as wanted of the others for calibration.
fn by_track(rows: Vec<Row>, request: Request) -> [Vec<Row>; 3] {
    let held_out = request.held_out(rows.len());
    let mut parts: [Vec<Row>; 3] = Default::default();
    for (number, rows) in tracks(rows, SPLIT_SEED).into_iter().enumerate() {
        let part = match number % 5 {
            4 => 2,
            2 if parts[1].len() < held_out => 1,
            _ => 0,
        };
        parts[part].extend(rows);
    }
    let [train, calibration, test] = parts;
    [shuffled(train, request.seed), calibration, test]
}

/// Refuses faces of so few tracks that a part is empty: more pictures of the same tracks would not help.
fn enough_tracks(folder: &Path, parts: &[Vec<Row>; 3]) -> crate::Result<()> {
    let rows: Vec<&Row> = parts.iter().flatten().collect();
    let tracks: BTreeSet<String> = rows.iter().filter_map(|row| track::of(&row.name)).collect();
    if parts.iter().all(|part| !part.is_empty()) || tracks.is_empty() || tracks.len() == rows.len() {
        return Ok(());
    }
    let (place, faces, tracks) = (folder.display(), rows.len(), tracks.len());
    let advice = format!("label faces of more tracks, or write the parts into the first column of {TABLE}");
    Err(Error::BadInput(format!(
        "{place}: the {faces} labelled faces are of {tracks} tracks; at least {MIN_TRACKS} are needed, because no track is in two \
         parts; {advice}"
    )))
}

/// Training and calibration: every fifth track for calibration, until there are as many samples as wanted.
fn held_out(rows: Vec<Row>, request: Request) -> [Vec<Row>; 2] {
    let held_out = request.held_out(rows.len());
    let mut parts: [Vec<Row>; 2] = Default::default();
    for (number, rows) in tracks(rows, request.seed).into_iter().enumerate() {
        let part = usize::from(number % 5 == 2 && parts[1].len() < held_out);
        parts[part].extend(rows);
    }
    let [train, calibration] = parts;
    [shuffled(train, request.seed), calibration]
}

/// The rows of each track. By label first, so that each part has its share of each; the label of a track is that of its first
/// face.
fn tracks(rows: Vec<Row>, seed: u64) -> Vec<Vec<Row>> {
    let mut tracks: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in rows {
        tracks.entry(track::of(&row.name).unwrap_or_else(|| row.name.clone())).or_default().push(row);
    }
    let mut tracks = shuffled(tracks.into_values().collect(), seed);
    tracks.sort_by_key(|rows: &Vec<Row>| rows.first().map(|row| row.label as usize));
    tracks
}

fn by_usage(rows: Vec<Row>) -> [Vec<Row>; 3] {
    let mut parts: [Vec<Row>; 3] = Default::default();
    for row in rows {
        let part = match row.split {
            Split::Train => 0,
            Split::Valid => 1,
            Split::Test => 2,
        };
        parts[part].push(row);
    }
    parts
}

/// The rows of the table whose face has a label.
fn rows(folder: &Path) -> crate::Result<Vec<Row>> {
    let path = folder.join(TABLE);
    let advice = format!("give a folder with {TABLE}; `host-trainer label` writes it");
    let (mut rows, mut left_out) = (Vec::new(), LeftOut::default());
    let table = votes::read(&path, 1_000_000, &advice)?;
    votes::refuse_repeated(&path, &table)?;
    left_out.add("pictures without votes", without_votes(folder, &table));
    for votes::Row { line, split, name, counts } in table {
        if !is_within(&name) {
            let reason = "is not the path of a file within the folder";
            return Err(Error::BadInput(format!("{}:{line}: {name:?} {reason}", path.display())));
        }
        match judge(counts) {
            Some((distribution, label, majority)) => rows.push(Row { split, name, distribution, label, majority }),
            None => left_out.add("faces that the votes give no label", 1),
        }
    }
    if rows.is_empty() {
        let advice = format!("label them with `host-trainer label {}`", folder.display());
        return Err(Error::BadInput(format!("{}: no face has a label yet; {advice}", path.display())));
    }
    let all = rows.len();
    rows.retain(|row: &Row| folder.join(&row.name).exists());
    if rows.is_empty() {
        let advice = "put them beside the table under the names it lists";
        let what = format!("{}: none of the {all} labelled pictures exists; {advice}", path.display());
        return Err(Error::BadInput(what));
    }
    left_out.add("labelled faces whose picture is gone", all - rows.len());
    left_out.warn(folder);
    Ok(rows)
}

/// How many pictures of the folder have no row; none if it cannot be listed.
fn without_votes(folder: &Path, table: &[votes::Row]) -> usize {
    let named: HashSet<PathBuf> = table.iter().map(|row| folder.join(&row.name)).collect();
    let pictures = listing::pictures_below(folder).map(|(pictures, _)| pictures).unwrap_or_default();
    pictures.iter().filter(|picture| !named.contains(*picture)).count()
}

/// Whether a path leads to a file within its folder.
fn is_within(name: &str) -> bool {
    let path = Path::new(name);
    !name.is_empty() && path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// The distribution of the votes over the labels, the label with most votes (the first of equals), and whether more than
/// half of all votes are for it; `None` if the face has no label.
fn judge(counts: Counts) -> Option<([f32; Label::COUNT], Label, bool)> {
    let all: u32 = counts.iter().sum();
    let labels = &counts[..Label::COUNT];
    let top = *labels.iter().max()?;
    if top == 0 || 2 * counts[ANSWERS - 1] > all {
        return None;
    }
    let label = Label::from_index(labels.iter().position(|count| *count == top)?)?;
    let total = labels.iter().sum::<u32>() as f32;
    Some((std::array::from_fn(|index| labels[index] as f32 / total), label, 2 * top > all))
}

fn read(folder: &Path, rows: &[Row]) -> (Vec<Sample>, Vec<String>) {
    let path = |row: &Row| -> PathBuf { folder.join(&row.name) };
    sample::read_all(rows, path, |row, _, picture| {
        let Row { name, distribution, label, majority, .. } = row;
        let subject = track::of(name);
        Ok(Sample {
            name: name.clone(),
            subject,
            picture,
            distribution: *distribution,
            label: *label,
            majority: *majority,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::{assert_refused, logged};
    use super::*;

    fn counts(votes: &[(usize, u32)]) -> Counts {
        let mut counts = Counts::default();
        votes.iter().for_each(|(answer, count)| counts[*answer] = *count);
        counts
    }

    #[test]
    fn every_vote_counts_and_a_face_needs_a_label() {
        let (distribution, label, majority) = judge(counts(&[(1, 1)])).unwrap();
        assert_eq!((distribution[1], label, majority), (1.0, Label::Happiness, true));
        let (distribution, label, majority) = judge(counts(&[(1, 1), (2, 1), (8, 1)])).unwrap();
        assert_eq!((distribution[1], distribution[2], label, majority), (0.5, 0.5, Label::Happiness, false));
        assert_eq!(judge(counts(&[(8, 3)])), None);
        assert_eq!(judge(counts(&[(0, 1), (9, 2)])), None);
        assert!(judge(counts(&[(0, 1), (9, 1)])).is_some());
    }

    fn row(name: String, label: Label) -> Row {
        Row { split: Split::Train, name, distribution: [0.125; Label::COUNT], label, majority: true }
    }

    #[test]
    fn no_track_is_in_two_parts_and_every_part_gets_some() {
        let rows = (0..60).map(|number| {
            let label = Label::from_index(number / 3 % 4).unwrap();
            row(format!("t_session-1_track-{}_{number}.png", number / 3), label)
        });
        let rows = || -> Vec<Row> { rows.clone().collect() };
        let request = Request { rendered: 0, limit: None, calibration: 100, seed: 7 };
        let parts = by_track(rows(), request);
        assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), 60);
        assert!(parts.iter().all(|part| part.len() >= 9), "{:?}", parts.each_ref().map(Vec::len));
        let tracks = parts.each_ref().map(|part| {
            part.iter().map(|row| track::of(&row.name).unwrap()).collect::<std::collections::BTreeSet<_>>()
        });
        assert!(tracks[0].is_disjoint(&tracks[1]) && tracks[0].is_disjoint(&tracks[2]));
        assert!(tracks[1].is_disjoint(&tracks[2]));

        // What another seed trains on is not tested on.
        let names = |rows: &Vec<Row>| rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>();
        let other = by_track(rows(), Request { seed: 8, ..request });
        assert_eq!(names(&other[2]), names(&parts[2]));
        assert_ne!(names(&other[0]), names(&parts[0]), "the order of training is that of the seed");
    }

    /// A folder with these pictures, and a table with these rows.
    fn folder(pictures: &[String], rows: &[String]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for picture in pictures {
            image::GrayImage::new(8, 8).save(folder.path().join(picture)).unwrap();
        }
        std::fs::write(folder.path().join(TABLE), [&[votes::COLUMNS.join(",")][..], rows].concat().join("\n")).unwrap();
        folder
    }

    #[test]
    fn what_is_not_used_is_counted() {
        let names = ["a.png", "b.png", "c.png", "d.png", "without-row.png"].map(String::from);
        let rows = ["a.png,1,0,0,0,0,0,0,0,0,0", "b.png,0,1,0,0,0,0,0,0,0,0", "c.png,0,0,0,0,0,0,0,0,0,1"];
        let more = ["d.png,0,0,0,0,0,0,0,0,0,0", "gone.png,1,0,0,0,0,0,0,0,0,0"];
        let rows = [&rows[..], &more].concat().into_iter().map(|row| format!("Training,{row}")).collect::<Vec<_>>();
        let folder = folder(&names, &rows);
        let mut count = 0;
        let said = logged(|| count = whole(folder.path()).unwrap().samples.len());
        assert_eq!(count, 2);
        let told = "4 files left out: 2 faces that the votes give no label, 1 labelled faces whose picture is gone, \
                    1 pictures without votes";
        assert!(said.contains(told), "{said}");
    }

    #[test]
    fn one_part_of_ones_own_is_the_test_part() {
        let names: Vec<String> = (0..24).map(|number| format!("{number:02}.png")).collect();
        for usage in ["PublicTest", "PrivateTest"] {
            let row = |(number, name): (usize, &String)| {
                let usage = if number % 6 == 0 { usage } else { TRAINING };
                format!("{usage},{name},{},{},0,0,0,0,0,0,0,0", number % 2, 1 - number % 2)
            };
            let rows: Vec<String> = names.iter().enumerate().map(row).collect();
            let folder = folder(&names, &rows);
            let request = Request { rendered: 0, limit: None, calibration: 8, seed: 1 };
            let set = load(folder.path(), request).and_then(DataSet::checked).unwrap();
            assert_eq!([set.train.len(), set.calibration.len(), set.test.len()], [16, 4, 4], "{usage}");
            assert_eq!(set.test[1].name, "06.png");
        }
    }

    #[test]
    fn faces_of_few_tracks_are_refused_with_what_helps() {
        let names: Vec<String> =
            (0..30).map(|number| format!("t_session-1_track-{}_{number}.png", number % 4)).collect();
        let row = |name: &String| format!("{TRAINING},{name},1,0,0,0,0,0,0,0,0,0");
        let folder = folder(&names, &names.iter().map(row).collect::<Vec<_>>());
        let request = Request { rendered: 0, limit: None, calibration: 8, seed: 1 };
        assert_refused(
            load(folder.path(), request),
            &["30 labelled faces are of 4 tracks; at least 5", "first column"],
        );
    }

    #[test]
    fn damaged_tables_are_refused_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let request = Request { rendered: 0, limit: None, calibration: 4, seed: 1 };
        assert_refused(load(folder.path(), request), &[TABLE, "host-trainer label"]);
        std::fs::write(folder.path().join("a.png"), []).unwrap();
        for (row, reason) in [
            ("Training,a.png,1,0", "columns"),
            ("Training,../a.png,1,0,0,0,0,0,0,0,0,0", "within the folder"),
            ("Training,/a.png,1,0,0,0,0,0,0,0,0,0", "within the folder"),
            ("Training,a.png,x,0,0,0,0,0,0,0,0,0", "not a number of votes"),
            ("Training,a.png,0,0,0,0,0,0,0,0,0,1", "no face has a label yet"),
            ("Trainig,a.png,1,0,0,0,0,0,0,0,0,0", "Trainig"),
            ("Training,gone.png,1,0,0,0,0,0,0,0,0,0", "none of the 1 labelled pictures exists"),
        ] {
            std::fs::write(folder.path().join(TABLE), format!("{}\n{row}\n", votes::COLUMNS.join(","))).unwrap();
            let set = load(folder.path(), request).and_then(DataSet::checked);
            assert_refused(set, &[reason]);
        }
        std::fs::write(folder.path().join(TABLE), "a\n").unwrap();
        assert_refused(load(folder.path(), request), &["not a table of votes"]);
    }
}
