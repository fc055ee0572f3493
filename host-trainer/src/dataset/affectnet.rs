//! AffectNet: Mollahosseini, Hasani, Mahoor, "AffectNet: A Database for Facial Expression, Valence, and Arousal Computing in
//! the Wild", IEEE Transactions on Affective Computing 2017, in both forms that its owners distribute: the lists
//! `training.csv` and `validation.csv` with landmarks over the whole pictures, and the later `train_set/` and `val_set/` with
//! `images/0.jpg` and `annotations/0_exp.npy` beside each other, whose pictures are faces.

use std::path::{Path, PathBuf};

use expression_core::Label;

use super::class_names::Numbering;
use super::{Collection, Fold, Sample, cut, folder, listing, sample, table};
use crate::error::{Context, Error};

/// The lists of the first form, and where they may lie.
const LISTS: [&str; 2] = ["training.csv", "validation.csv"];
const LIST_FOLDERS: [&str; 3] =
    ["", "Manually_Annotated_file_lists", "Manually_Annotated/Manually_Annotated_file_lists"];
/// Where the pictures of the lists may lie.
const PICTURE_FOLDERS: [&str; 5] = [
    "Manually_Annotated/Manually_Annotated_Images",
    "Manually_Annotated_Images",
    "Manually_Annotated",
    "Manually_Annotated_compressed/Manually_Annotated_Images",
    "",
];
/// The parts of the second form.
const SETS: [&str; 2] = ["train_set", "val_set"];
/// Numbers from here on are no expression: none, uncertain, no face.
const FIRST_NO_EXPRESSION: usize = 8;
/// The highest number in use.
const LAST_NO_EXPRESSION: usize = 10;
/// Columns of a list.
const COLUMNS: usize = 9;
/// Annotation files are smaller than this, in bytes.
const MAX_ANNOTATION: usize = 4096;

/// A labelled picture, with the 68 landmarks of its face if the form has them.
struct Row {
    path: PathBuf,
    label: Label,
    landmarks: Option<Vec<[f32; 2]>>,
}

/// Reads AffectNet's manually annotated part in one fold of eight classes: trained on its training part, reported on its
/// validation part, since its test part is not public. Pictures without an expression are left out. Faces are aligned by the
/// landmarks of the lists; pictures of the later form are taken as they are.
///
/// # Errors
/// Returns [`Error::BadInput`] if a part is missing or a line or an annotation does not parse.
pub fn collect(folder: &Path) -> crate::Result<Collection> {
    let parts = match lists(folder) {
        Some(lists) => {
            let mut left_out = listing::LeftOut::default();
            let parts = [list(folder, &lists[0], &mut left_out)?, list(folder, &lists[1], &mut left_out)?];
            left_out.warn(folder);
            parts
        }
        None if SETS.iter().all(|set| folder.join(set).is_dir()) => {
            let mut left_out = listing::LeftOut::default();
            let parts = [set(&folder.join(SETS[0]), &mut left_out)?, set(&folder.join(SETS[1]), &mut left_out)?];
            left_out.warn(folder);
            parts
        }
        None => {
            let advice = "give the folder that holds training.csv and validation.csv, or train_set and val_set";
            let advice = folder::advice(folder, advice);
            return Err(Error::BadInput(format!("{}: no AffectNet here; {advice}", folder.display())));
        }
    };
    let (mut samples, mut skipped, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for rows in &parts {
        let (read, unusable) = sample::read_all(
            rows,
            |row| row.path.clone(),
            |row, path, picture| {
                let face = match &row.landmarks {
                    Some(points) => {
                        let points = cut::key_points(points).ok_or("landmarks far outside a picture")?;
                        cut::face(&picture, &points)?
                    }
                    None => picture,
                };
                let name = path.strip_prefix(folder).unwrap_or(path).display().to_string();
                Ok(Sample::labelled(name, None, face, row.label))
            },
        );
        samples.extend(read);
        skipped.extend(unusable);
        ends.push(samples.len());
    }
    let fold = Fold { train: (0..ends[0]).collect(), validation: Vec::new(), test: (ends[0]..ends[1]).collect() };
    let source = "AffectNet (Mollahosseini et al. 2017); for research, by agreement with its owners".into();
    Ok(Collection { name: "AffectNet".into(), source, samples, skipped, folds: vec![fold] })
}

/// The label of a class number, `None` if it is no expression.
fn label(code: &str) -> Result<Option<Label>, String> {
    match code.trim().parse::<usize>() {
        Ok(FIRST_NO_EXPRESSION..=LAST_NO_EXPRESSION) => Ok(None),
        Ok(code) if code < FIRST_NO_EXPRESSION => Ok(Numbering::AffectNet.label(code)),
        _ => Err(format!("expression {} is not a number from 0 to {LAST_NO_EXPRESSION}", table::shown(code))),
    }
}

fn lists(folder: &Path) -> Option<[PathBuf; 2]> {
    let places = LIST_FOLDERS.iter().map(|place| LISTS.map(|list| folder.join(place).join(list)));
    places.into_iter().find(|lists| lists.iter().all(|list| list.is_file()))
}

/// The rows of a list whose pictures show an expression.
fn list(folder: &Path, list: &Path, left_out: &mut listing::LeftOut) -> crate::Result<Vec<Row>> {
    let mut table = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(table::open(list).map_err(|error| Error::BadInput(format!("{}: {error}", list.display())))?);
    let (mut rows, mut root) = (Vec::new(), None);
    for (number, record) in (1..).zip(table.records()) {
        let line = || format!("{}:{number}", list.display());
        let record = record.map_err(|error| Error::BadInput(table::reason(&error))).with_context(line)?;
        if number == 1 && record.get(0).is_some_and(|first| first.eq_ignore_ascii_case("subDirectory_filePath")) {
            continue;
        }
        if record.len() < COLUMNS {
            return Err(Error::BadInput(format!(
                "{}: {} columns separated by commas, not {COLUMNS}",
                line(),
                record.len()
            )));
        }
        let name = &record[0];
        if Path::new(name).components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            return Err(Error::BadInput(format!("{}: {name:?} is not a path below the pictures' folder", line())));
        }
        let Some(label) = label(&record[6]).map_err(Error::BadInput).with_context(line)? else {
            left_out.add("without an expression", 1);
            continue;
        };
        let landmarks = landmarks(&record[5]).map_err(Error::BadInput).with_context(line)?;
        let root = match &root {
            Some(root) => root,
            None => root.insert(pictures_root(folder, name)?),
        };
        rows.push(Row { path: root.join(name), label, landmarks: Some(landmarks) });
    }
    Ok(rows)
}

/// The folder that the paths of the lists begin in.
fn pictures_root(folder: &Path, first: &str) -> crate::Result<PathBuf> {
    let places = PICTURE_FOLDERS.iter().map(|place| folder.join(place));
    places.into_iter().find(|place| place.join(first).is_file()).ok_or_else(|| {
        let advice = format!("unpack the pictures to {}", folder.join(PICTURE_FOLDERS[0]).display());
        Error::BadInput(format!("{}: no picture {first}; {advice}", folder.display()))
    })
}

/// x and y of 68 points in pixels, separated by semicolons.
fn landmarks(text: &str) -> Result<Vec<[f32; 2]>, String> {
    let values: Vec<f32> = text.split(';').map_while(|value| value.trim().parse().ok()).collect();
    let complete = values.len() == 2 * cut::LANDMARKS && values.iter().all(|value| value.is_finite());
    let points = || values.chunks_exact(2).map(|point| [point[0], point[1]]).collect();
    let found = values.len() / 2;
    complete.then(points).ok_or_else(|| format!("{found} landmarks that can be read, not {}", cut::LANDMARKS))
}

/// The most bytes of a file with one label.
const MAX_NPY: u64 = 1 << 16;

/// The rows of a part of the later form.
fn set(folder: &Path, left_out: &mut listing::LeftOut) -> crate::Result<Vec<Row>> {
    let annotations = folder.join("annotations");
    let (mut rows, mut missing) = (Vec::new(), Vec::new());
    let pictures = listing::pictures(&folder.join("images"))?;
    let all = pictures.len();
    for path in pictures {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let file = annotations.join(format!("{stem}_exp.npy"));
        if !file.exists() {
            missing.push(file);
            continue;
        }
        let place = || file.display().to_string();
        let bytes = expression_engine::files::read_at_most(&file, MAX_NPY)
            .map_err(|error| Error::BadInput(error.to_string()))?;
        let code = npy_scalar(&bytes).map_err(Error::BadInput).with_context(place)?;
        match label(&code).map_err(Error::BadInput).with_context(place)? {
            Some(label) => rows.push(Row { path, label, landmarks: None }),
            None => left_out.add("without an expression", 1),
        }
    }
    if let Some(first) = missing.first().filter(|_| missing.len() * 100 > all) {
        let (count, first) = (missing.len(), first.display());
        let what = format!("{count} of {all} pictures have no annotation, more than 1 %; the first: {first}");
        return Err(Error::BadInput(format!("{}: {what}; unpack the annotations again", folder.display())));
    }
    left_out.add("without an annotation", missing.len());
    Ok(rows)
}

/// The one value of a NumPy file (format versions 1 and 2): a text or a number, as text.
fn npy_scalar(bytes: &[u8]) -> Result<String, String> {
    let refused = || "not a NumPy file of one value; copy the file again".to_owned();
    if bytes.len() > MAX_ANNOTATION || !bytes.starts_with(b"\x93NUMPY") {
        return Err(refused());
    }
    let (length, start): (usize, usize) = match bytes.get(6).ok_or_else(refused)? {
        1 => (usize::from(u16::from_le_bytes(array(bytes, 8).ok_or_else(refused)?)), 10),
        2 => (u32::from_le_bytes(array(bytes, 8).ok_or_else(refused)?) as usize, 12),
        _ => return Err(refused()),
    };
    let header = bytes.get(start..start.saturating_add(length)).ok_or_else(refused)?;
    let header = std::str::from_utf8(header).map_err(|_| refused())?;
    let kind = header.split("'descr':").nth(1).and_then(|rest| rest.split('\'').nth(1)).ok_or_else(refused)?;
    let data = &bytes[start + length..];
    let value = match kind.trim_start_matches(['<', '|', '=']) {
        text if text.starts_with('U') => {
            let letters =
                data.chunks_exact(4).map(|letter| u32::from_le_bytes([letter[0], letter[1], letter[2], letter[3]]));
            letters.take_while(|letter| *letter != 0).map(char::from_u32).collect()
        }
        text if text.starts_with('S') => {
            let letters = data.iter().take_while(|letter| **letter != 0).copied().collect();
            String::from_utf8(letters).ok()
        }
        "u1" => data.first().map(u8::to_string),
        "i1" => data.first().map(|value| value.cast_signed().to_string()),
        "i2" => array(data, 0).map(|value| i16::from_le_bytes(value).to_string()),
        "i4" => array(data, 0).map(|value| i32::from_le_bytes(value).to_string()),
        "i8" => array(data, 0).map(|value| i64::from_le_bytes(value).to_string()),
        "f4" => array(data, 0).map(|value| f32::from_le_bytes(value).to_string()),
        "f8" => array(data, 0).map(|value| f64::from_le_bytes(value).to_string()),
        _ => None,
    };
    value.ok_or_else(refused)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::layout::Layout;
    use super::super::layout::tests::{REQUEST, assert_refused, counts, drawn};
    use super::*;

    /// A NumPy file of one value.
    fn npy(kind: &str, value: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': (), }}\n");
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), value].concat()
    }

    #[test]
    fn the_drawn_first_form_is_read_back_and_aligned_by_landmarks() {
        let folder = drawn(Layout::Affectnet, 4, 128);
        let set = collect(folder.path()).unwrap();
        assert_eq!((set.folds[0].train.len(), set.folds[0].test.len()), (32, 16), "{:?}", set.skipped);
        assert!(counts(&set).iter().all(|count| *count == 6), "{:?}", counts(&set));
        assert!(set.samples.iter().all(|sample| sample.picture.width < 128));
        set.fold(0, REQUEST).unwrap();
        fs::remove_dir_all(folder.path().join("Manually_Annotated")).unwrap();
        assert_refused(collect(folder.path()), &["no picture", "unpack the pictures"]);
    }

    #[test]
    fn the_later_form_is_read_with_its_annotations() {
        let folder = tempfile::tempdir().unwrap();
        for (part, count) in [("train_set", 24), ("val_set", 9)] {
            let [images, annotations] = ["images", "annotations"].map(|name| folder.path().join(part).join(name));
            fs::create_dir_all(&images).unwrap();
            fs::create_dir_all(&annotations).unwrap();
            for number in 0..count {
                image::RgbImage::new(8, 8).save(images.join(format!("{number}.jpg"))).unwrap();
                let code = [b'0' + (number % 9) as u8, 0, 0, 0];
                fs::write(annotations.join(format!("{number}_exp.npy")), npy("<U1", &code)).unwrap();
            }
        }
        let set = collect(folder.path()).unwrap();
        assert_eq!((set.folds[0].train.len(), set.folds[0].test.len()), (22, 8));
        let seven = set.samples.iter().find(|sample| sample.name.ends_with("val_set/images/7.jpg")).unwrap();
        assert_eq!(seven.label, Label::Contempt);
        fs::write(folder.path().join("val_set/annotations/3_exp.npy"), "3").unwrap();
        assert_refused(collect(folder.path()), &["3_exp.npy", "NumPy"]);
        fs::remove_file(folder.path().join("val_set/annotations/3_exp.npy")).unwrap();
        let told = ["val_set: 1 of 9 pictures have no annotation", "3_exp.npy", "unpack the annotations again"];
        assert_refused(collect(folder.path()), &told);
    }

    #[test]
    fn one_value_of_every_usual_type_is_read_and_nothing_else() {
        for (kind, value) in [
            ("<i8", 5i64.to_le_bytes().to_vec()),
            ("<i4", 5i32.to_le_bytes().to_vec()),
            ("|u1", vec![5]),
            ("<f8", 5f64.to_le_bytes().to_vec()),
            ("|S1", b"5".to_vec()),
            ("<U2", [u32::from('5').to_le_bytes(), [0; 4]].concat()),
        ] {
            assert_eq!(npy_scalar(&npy(kind, &value)).as_deref(), Ok("5"), "{kind}");
        }
        let whole = npy("<i8", &5i64.to_le_bytes());
        for length in 0..whole.len() {
            assert!(npy_scalar(&whole[..length]).is_err(), "{length}");
        }
        assert!(npy_scalar(&npy("<c16", &[0; 16])).is_err());
    }

    #[test]
    fn lists_that_do_not_parse_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_refused(collect(folder.path()), &["no AffectNet here", "train_set"]);
        let points = vec!["1.0"; 136].join(";");
        let row = |name: &str, points: &str, code: &str| format!("{name},0,0,9,9,{points},{code},0.1,0.1\n");
        fs::write(folder.path().join("validation.csv"), "").unwrap();
        for (line, told) in [
            (row("1/a.jpg", &points, "11"), "expression \"11\""),
            (row("1/a.jpg", "1;2;3", "1"), "1 landmarks"),
            (row("../a.jpg", &points, "1"), "not a path below"),
            ("1/a.jpg,0,0\n".into(), "3 columns"),
            (row("1/a.jpg", &points, "1"), "no picture 1/a.jpg"),
        ] {
            fs::write(folder.path().join("training.csv"), line).unwrap();
            assert_refused(collect(folder.path()), &[told]);
        }
    }
}
