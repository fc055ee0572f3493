//! FER2013: Goodfellow et al., "Challenges in Representation Learning: A report on three machine learning contests", ICONIP
//! 2013: one CSV file with the columns `emotion` (0 to 6), `pixels` (grey values, row by row) and `Usage`.

use std::path::Path;

use expression_core::Label;
use expression_engine::Picture;

use super::class_names::Numbering;
use super::listing::LeftOut;
use super::{DataSet, Part, Request, SPLIT_SEED, Sample, Split, copies, folder, shuffled, table};
use crate::error::{Context, Error};

/// Name of the data set and where it comes from.
const NAME: &str = "FER2013";
const SOURCE: &str = "FER2013 (Goodfellow et al. 2013); pictures for research only";
/// Larger pictures than this, in pixels a side, are refused.
const MAX_SIDE: usize = 512;

/// The parts by their name in the column `Usage`. Other releases call the validation part differently.
pub(super) fn split_named(usage: &str) -> Option<Split> {
    Some(match usage.to_lowercase().split_whitespace().collect::<String>().as_str() {
        "training" | "train" => Split::Train,
        "publictest" | "validation" | "valid" | "val" => Split::Valid,
        "privatetest" | "test" => Split::Test,
        _ => return None,
    })
}

/// Loads FER2013: the training part for training and calibration, the validation part (`PublicTest`) for test, or the test
/// part if there is no validation part. A file without the column `Usage` is split by class, a fifth for test, the same one with
/// every seed. Training pictures that are in another part too, pixel by pixel, are left out, so that no picture is both trained on and
/// reported on.
///
/// # Errors
/// Returns [`Error::BadInput`] if the file is missing, a row does not parse, or there is nothing to train or to report on.
pub fn load(file: &Path, request: Request) -> crate::Result<DataSet> {
    let rows = read(file)?;
    let mut parts = [Split::Train, Split::Valid, Split::Test].map(|split| samples(&rows, Some(split)));
    let mut whole = samples(&rows, None);
    let (train, test) = if whole.is_empty() {
        let reported = if parts[1].is_empty() { 2 } else { 1 };
        for (named, samples) in [("Training", &parts[0]), ("PublicTest or PrivateTest", &parts[reported])] {
            if samples.is_empty() {
                let advice =
                    "give the whole file, or remove the column Usage, so that a fifth of each class is reported on";
                return Err(Error::BadInput(format!("{}: no rows of {named}; {advice}", file.display())));
            }
        }
        (std::mem::take(&mut parts[0]), std::mem::take(&mut parts[reported]))
    } else {
        let mut seen = [0usize; Label::COUNT];
        whole = shuffled(whole, SPLIT_SEED);
        whole.into_iter().partition(|sample| {
            seen[sample.label as usize] += 1;
            seen[sample.label as usize] % 5 != 0
        })
    };
    let elsewhere: Vec<Sample> = test.iter().chain(parts.iter().flatten()).cloned().collect();
    let train_copies = copies::found_in(&train, &elsewhere);
    let mut left_out = LeftOut::default();
    left_out.add("training pictures that are in another part too", copies::count(&train_copies));
    left_out.warn(file);
    let mut train = shuffled(copies::without(train, &train_copies), request.seed);
    train.truncate(request.limit.unwrap_or(usize::MAX));
    let calibration = train.split_off(train.len() - request.held_out(train.len()));
    Ok(DataSet { name: NAME.into(), source: SOURCE.into(), train, calibration, test, skipped: Vec::new() })
}

/// One part of FER2013 in the order of the file; `None` if the file names no parts, so that it is one that [`load`] makes. Of the
/// validation and test part, it says which pictures are in the training part too.
///
/// # Errors
/// As [`load`].
pub fn part(file: &Path, split: Split) -> crate::Result<Option<Part>> {
    let rows = read(file)?;
    if rows.iter().all(|row| row.split.is_none()) {
        return Ok(None);
    }
    let of_part = samples(&rows, Some(split));
    let copies = match split {
        Split::Train => Vec::new(),
        Split::Valid | Split::Test => copies::found_in(&of_part, &samples(&rows, Some(Split::Train))),
    };
    Ok(Some(Part {
        name: format!("{NAME} {split}"),
        source: SOURCE.into(),
        samples: of_part,
        skipped: Vec::new(),
        copies,
    }))
}

/// All rows of FER2013, in the order of the file.
///
/// # Errors
/// As [`load`].
pub fn whole(file: &Path) -> crate::Result<Part> {
    let samples = read(file)?.into_iter().map(|row| row.sample).collect();
    let name = format!("{NAME} all");
    Ok(Part { name, source: SOURCE.into(), samples, skipped: Vec::new(), copies: Vec::new() })
}

struct Row {
    split: Option<Split>,
    sample: Sample,
}

fn samples(rows: &[Row], split: Option<Split>) -> Vec<Sample> {
    rows.iter().filter(|row| row.split == split).map(|row| row.sample.clone()).collect()
}

/// The rows of the file, each with its part if the file names parts.
fn read(file: &Path) -> crate::Result<Vec<Row>> {
    let place = file.display();
    let advice = "give fer2013.csv or icml_face_data.csv with the columns emotion, pixels and Usage";
    if file.is_dir() {
        let advice = folder::advice(file, "give the table in it, such as fer2013.csv");
        return Err(Error::BadInput(format!("{place}: a folder and not a table; {advice}")));
    }
    let mut table = table::with_header(file).map_err(|error| Error::BadInput(format!("{place}: {error}; {advice}")))?;
    let unreadable = |error: csv::Error| Error::BadInput(format!("{place}: {}; {advice}", table::reason(&error)));
    let header = table.headers().map_err(unreadable)?.clone();
    let column = |name: &str| header.iter().position(|known| known.eq_ignore_ascii_case(name));
    let needed = |name: &str| {
        column(name).ok_or_else(|| {
            Error::BadInput(format!("{place}: no column {name}, separated by commas, semicolons or tabs; {advice}"))
        })
    };
    let (emotion, pixels, usage) = (needed("emotion")?, needed("pixels")?, column("usage"));
    let last = usage.into_iter().chain([emotion, pixels]).max().unwrap_or_default();
    let mut rows = Vec::new();
    for (number, record) in table.records().enumerate() {
        // The header is line 1.
        let line = || format!("{place}:{}", number + 2);
        let record = record.map_err(|error| Error::BadInput(table::reason(&error))).with_context(line)?;
        let field = |column: usize| record.get(column).unwrap_or_default().trim();
        let parsed = (|| {
            if record.len() <= last {
                return Err(format!("{} columns, too few; if the file is cut off, copy it again", record.len()));
            }
            let code = field(emotion);
            // As pandas writes them beside empty cells.
            let whole = code.strip_suffix(".0").unwrap_or(code);
            let label = whole.parse().ok().and_then(|code| Numbering::Fer2013.label(code));
            let label = label.ok_or_else(|| format!("emotion {} is not a number from 0 to 6", table::shown(code)))?;
            let split = usage.map(|usage| {
                let named = field(usage);
                let wrong = || format!("Usage {} is not Training, PublicTest or PrivateTest", table::shown(named));
                split_named(named).ok_or_else(wrong)
            });
            let name = format!("row {}", number + 1);
            Ok(Row { split: split.transpose()?, sample: Sample::labelled(name, None, picture(field(pixels))?, label) })
        })();
        rows.push(parsed.map_err(Error::BadInput).with_context(line)?);
    }
    if rows.is_empty() {
        return Err(Error::BadInput(format!("{place}: no rows; {advice}")));
    }
    Ok(rows)
}

/// A square grey picture from its values, row by row.
fn picture(text: &str) -> Result<Picture, String> {
    let values = text.split_ascii_whitespace().map(|value| {
        value.parse().map_err(|_| format!("pixel {} is not a grey value from 0 to 255", table::shown(value)))
    });
    let data = values.collect::<Result<Vec<u8>, String>>()?;
    let side = data.len().isqrt();
    if side == 0 || side > MAX_SIDE || side * side != data.len() {
        return Err(format!("{} pixels are not a square picture such as 48x48", data.len()));
    }
    Ok(Picture { width: side, height: side, channels: 1, data })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::layout::Layout;
    use super::super::layout::tests::{REQUEST, assert_refused, drawn};
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("fer2013.csv");
        fs::write(&file, text).unwrap();
        (folder, file)
    }

    #[test]
    fn a_drawn_file_is_read_back_by_its_parts() {
        let folder = drawn(Layout::Fer2013, 8, 48);
        let file = folder.path().join("fer2013.csv");
        let set = load(&file, REQUEST).unwrap();
        let sizes = |split| part(&file, split).unwrap().unwrap().samples.len();
        assert_eq!([Split::Train, Split::Valid, Split::Test].map(sizes), [56, 14, 14]);
        assert_eq!((set.train.len() + set.calibration.len(), set.test.len()), (56, 14));
        let test = part(&file, Split::Test).unwrap().unwrap();
        assert!(Label::ALL[..7].iter().all(|label| test.samples.iter().any(|sample| sample.label == *label)));
        let Picture { width, channels, ref data, .. } = test.samples[0].picture;
        assert_eq!((width, channels, data.len()), (48, 1, 48 * 48));
        assert!(data.iter().any(|value| *value != data[0]));
    }

    #[test]
    fn columns_are_found_by_name_and_parts_may_be_missing() {
        let (_folder, path) = file("emotion, Usage, pixels\n3,PrivateTest,1 2 3 4\n0,Training,0 0 0 255\n");
        let test = part(&path, Split::Test).unwrap().unwrap();
        assert_eq!((test.samples.len(), test.samples[0].label), (1, Label::Happiness));
        assert_eq!(test.samples[0].picture.data, [1, 2, 3, 4]);
        let (_folder, semicolons) = file("\u{feff}emotion;pixels;Usage\r\n3;1 2 3 4;PrivateTest\r\n");
        let (_folder_too, tabs) = file("Usage\temotion\tpixels\nPrivate Test\t3.0\t1 2 3 4\n");
        for path in [semicolons, tabs] {
            assert_eq!(part(&path, Split::Test).unwrap().unwrap().samples[0].picture.data, [1, 2, 3, 4]);
        }
        let rows: String = (0..70).map(|row| format!("{},\"0 0 0 {row}\"\n", row % 7)).collect();
        let (_folder, path) = file(&format!("emotion,pixels\n{rows}"));
        assert!(part(&path, Split::Test).unwrap().is_none());
        let set = load(&path, REQUEST).unwrap();
        assert_eq!((set.len(), set.test.len()), (70, 14));
        let other = load(&path, Request { seed: 2, ..REQUEST }).unwrap();
        let tested = |set: &DataSet| set.test.iter().map(|sample| sample.name.clone()).collect::<Vec<_>>();
        assert_eq!(tested(&other), tested(&set), "what another seed trains on is not tested on");
    }

    #[test]
    fn copies_are_not_both_trained_on_and_reported_on() {
        let row = |number: usize, pixel: usize, usage: &str| format!("{},0 0 0 {pixel},{usage}\n", number % 7);
        let rows: String = (0..60)
            .map(|number| row(number, number, if number < 40 { "Training" } else { "PublicTest" }))
            .chain([row(0, 7, "PublicTest"), row(1, 8, "PrivateTest"), row(2, 9, "PrivateTest")])
            .collect();
        let (_folder, path) = file(&format!("emotion,pixels,Usage\n{rows}"));
        let set = load(&path, REQUEST).unwrap();
        assert_eq!((set.train.len() + set.calibration.len(), set.test.len()), (37, 21));
        let copies = |split| copies::count(&part(&path, split).unwrap().unwrap().copies);
        assert_eq!([Split::Train, Split::Valid, Split::Test].map(copies), [0, 1, 2]);
    }

    #[test]
    fn what_does_not_parse_is_refused_with_its_line() {
        for (text, told) in [
            ("emotion,pixels\n7,0 0 0 0\n", "fer2013.csv:2: emotion \"7\""),
            ("emotion,pixels\n1,0 0 0\n", "3 pixels"),
            ("emotion,pixels\n1,0 0 0 256\n", "\"256\""),
            ("emotion,pixels\n1,\n", "0 pixels"),
            ("emotion,pixels,Usage\n1,0 0 0 0,Other\n", "Usage \"Other\""),
            ("emotion,pixels,Usage\n1,0 0 0 0\n", "fer2013.csv:2: 2 columns, too few; if the file is cut off"),
            ("emotion,pixels\n1.5,0 0 0 0\n", "emotion \"1.5\""),
            ("pixels,Usage\n", "no column emotion"),
            ("emotion,pixels\n", "no rows"),
            ("emotion,pixels,Usage\n1,0 0 0 0,Training\n", "no rows of PublicTest or PrivateTest"),
            ("emotion,pixels,Usage\n1,0 0 0 0,PublicTest\n", "no rows of Training"),
            ("emotion|pixels|Usage\n", "no column emotion, separated by commas, semicolons or tabs"),
            ("", "no column"),
        ] {
            assert_refused(load(&file(text).1, REQUEST), &[told]);
        }
        assert_refused(load(Path::new("nowhere.csv"), REQUEST), &["nowhere.csv", "give fer2013.csv"]);
        let folder = tempfile::tempdir().unwrap();
        assert_refused(load(folder.path(), REQUEST), &["a folder and not a table; give the table in it"]);
        for class in ["train/angry", "train/happy"] {
            fs::create_dir_all(folder.path().join(class)).unwrap();
        }
        let told = format!("its class folders are read with --data folder:{}", folder.path().display());
        assert_refused(load(folder.path(), REQUEST), &[&told]);
    }
}
