//! RAF-DB: Li, Deng, Du, "Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression Recognition in the
//! Wild", CVPR 2017, its basic part as its owners distribute it: `EmoLabel/list_patition_label.txt` with lines
//! `train_00001.jpg 5`, and `Image/aligned/train_00001_aligned.jpg` or `Image/original/train_00001.jpg`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use expression_core::Label;

use super::class_names::Numbering;
use super::cut::Finder;
use super::{Collection, Fold, Sample, folder, sample, table};
use crate::error::Error;

/// Where the list of labels may lie; the first spelling is that of the owners.
const LISTS: [&str; 4] = [
    "EmoLabel/list_patition_label.txt",
    "EmoLabel/list_partition_label.txt",
    "list_patition_label.txt",
    "list_partition_label.txt",
];
/// The most bytes of the list; the owners' takes half a MiB.
const MAX_LIST: u64 = 64 << 20;
/// Folder of the basic part in the whole distribution.
const BASIC: &str = "basic";

struct Row {
    name: String,
    label: Label,
    test: bool,
}

/// Reads RAF-DB's basic part in one fold: trained on its training part, reported on its test part (12,271 and 3,068
/// pictures). Aligned pictures are taken as they are; without them faces are found by the detector.
///
/// # Errors
/// Returns [`Error::BadInput`] if the list or the pictures are missing or a line does not parse.
pub fn collect(folder: &Path) -> crate::Result<Collection> {
    let roots = [folder.to_owned(), folder.join(BASIC)];
    let list =
        |root: &PathBuf| Some((root.clone(), LISTS.iter().map(|list| root.join(list)).find(|list| list.is_file())?));
    let (root, list) = roots.iter().find_map(list).ok_or_else(|| {
        let advice = folder::advice(folder, "give the folder basic of RAF-DB, with EmoLabel and Image");
        Error::BadInput(format!("{}: no {}; {advice}", folder.display(), LISTS[0]))
    })?;
    let rows = rows(&list)?;
    let (aligned, original) = (root.join("Image/aligned"), root.join("Image/original"));
    let finder = if aligned.is_dir() {
        None
    } else if original.is_dir() {
        Some(Finder::open()?)
    } else {
        let message =
            format!("{}: neither Image/aligned nor Image/original is there; unpack one of them", root.display());
        return Err(Error::BadInput(message));
    };
    let path = |row: &Row| match (&finder, row.name.rsplit_once('.')) {
        (None, Some((stem, ending))) => aligned.join(format!("{stem}_aligned.{ending}")),
        _ => original.join(&row.name),
    };
    let advice = "unpack the set's pictures there, under these names";
    sample::require_any(&list, rows.iter().map(path), advice)?;
    let (mut samples, mut skipped, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for test in [false, true] {
        let of_part: Vec<&Row> = rows.iter().filter(|row| row.test == test).collect();
        let (read, unusable) = sample::read_all(
            &of_part,
            |row| path(row),
            |row, _, picture| {
                let face = finder.as_ref().map_or(Ok(picture.clone()), |finder| finder.face(&picture))?;
                Ok(Sample::labelled(row.name.clone(), None, face, row.label))
            },
        );
        samples.extend(read);
        skipped.extend(unusable);
        ends.push(samples.len());
    }
    let fold = Fold { train: (0..ends[0]).collect(), validation: Vec::new(), test: (ends[0]..ends[1]).collect() };
    let source = "RAF-DB (Li et al. 2017); for research, by agreement with its owners".into();
    Ok(Collection { name: "RAF-DB".into(), source, samples, skipped, folds: vec![fold] })
}

/// The lines of the list of labels.
fn rows(list: &Path) -> crate::Result<Vec<Row>> {
    let text = table::text(list, MAX_LIST).map_err(|error| Error::BadInput(error.to_string()))?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let mut listed: HashMap<String, usize> = HashMap::new();
    let rows = lines.map(|(number, line)| -> crate::Result<Row> {
        let separators = |letter: char| letter.is_whitespace() || [',', ';'].contains(&letter);
        let words: Vec<&str> = line.split(separators).filter(|word| !word.is_empty()).collect();
        let row = match words[..] {
            [name, code] if !name.contains(['/', '\\']) => {
                let label = code.parse().ok().and_then(|code| Numbering::RafDb.label(code));
                let test = name.starts_with("test");
                label.filter(|_| test || name.starts_with("train")).map(|label| Row {
                    name: name.to_owned(),
                    label,
                    test,
                })
            }
            _ => None,
        };
        let expected = "a name that begins with train or test and a label from 1 to 7";
        let (list, line) = (list.display(), table::shown(line));
        let row = row.ok_or_else(|| Error::BadInput(format!("{list}:{number}: {line} is not {expected}")))?;
        match listed.insert(row.name.clone(), number) {
            None => Ok(row),
            Some(first) => {
                let name = &row.name;
                Err(Error::BadInput(format!("{list}:{number}: {name} is in line {first} too; keep one of the lines")))
            }
        }
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::layout::Layout;
    use super::super::layout::tests::{REQUEST, assert_refused, counts, drawn};
    use super::*;

    #[test]
    fn a_drawn_set_is_read_back_by_its_parts() {
        let folder = drawn(Layout::RafDb, 4, 100);
        for place in [folder.path().to_owned(), folder.path().join(BASIC)] {
            let set = collect(&place).unwrap();
            let fold = &set.folds[0];
            assert_eq!((fold.train.len(), fold.test.len()), (32, 8));
            assert!(fold.test.iter().all(|number| set.samples[*number].name.starts_with("test_")));
            assert!(counts(&set)[..7].iter().all(|count| *count >= 5), "{:?}", counts(&set));
            assert_eq!(set.samples[0].picture.width, 100);
            set.fold(0, REQUEST).unwrap();
        }
    }

    #[test]
    fn without_aligned_pictures_faces_are_found() {
        let folder = drawn(Layout::RafDb, 2, 128);
        let image = folder.path().join("basic/Image");
        fs::create_dir(image.join("original")).unwrap();
        for entry in fs::read_dir(image.join("aligned")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().replace("_aligned", "");
            fs::rename(&path, image.join("original").join(name)).unwrap();
        }
        fs::remove_dir(image.join("aligned")).unwrap();
        let set = collect(folder.path()).unwrap();
        assert!(set.samples.len() >= 18, "{:?}", set.skipped);
        assert!(set.samples.iter().all(|sample| sample.picture.width != 128));
        fs::remove_dir_all(image.join("original")).unwrap();
        assert_refused(collect(folder.path()), &["neither Image/aligned nor Image/original"]);
    }

    #[test]
    fn lists_are_read_as_editors_write_them_and_need_their_pictures() {
        let folder = drawn(Layout::RafDb, 2, 32);
        let list = folder.path().join("basic").join(LISTS[0]);
        let text = fs::read_to_string(&list).unwrap();
        let before = collect(folder.path()).unwrap();
        for text in [format!("\u{feff}{text}"), text.replace(' ', "\t"), text.replace(' ', ";").replace('\n', "\r\n")] {
            fs::write(&list, text).unwrap();
            assert_eq!(counts(&collect(folder.path()).unwrap()), counts(&before));
        }
        fs::write(&list, text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()).unwrap();
        assert_refused(collect(folder.path()), &["list_patition_label.txt: text in UTF-16"]);
        fs::write(&list, &text).unwrap();
        // One picture, then all of them, are gone.
        let aligned = folder.path().join("basic/Image/aligned");
        fs::remove_file(aligned.join("test_00000_aligned.jpg")).unwrap();
        let set = collect(folder.path()).unwrap().fold(0, REQUEST);
        assert_refused(
            set,
            &["1 of 20 pictures", "Image/aligned/test_00000_aligned.jpg: no such picture", "add the 1 missing"],
        );
        fs::remove_dir_all(&aligned).unwrap();
        fs::create_dir(&aligned).unwrap();
        let told = ["Image/aligned: no pictures", "none of the 20", "list_patition_label.txt", "unpack"];
        assert_refused(collect(folder.path()), &told);
    }

    #[test]
    fn lists_that_do_not_parse_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_refused(collect(folder.path()), &["list_patition_label.txt", "give the folder basic"]);
        let list = folder.path().join("list_patition_label.txt");
        for line in
            ["train_1.jpg 8", "train_1.jpg 0", "train_1.jpg", "other.jpg 1", "test/../x.jpg 1", "train_1.jpg 1 2"]
        {
            fs::write(&list, format!("train_0.jpg 1\n{line}\n")).unwrap();
            assert_refused(collect(folder.path()), &["list_patition_label.txt:2", line]);
        }
        fs::write(&list, "train_0.jpg 1\n\ntrain_0.jpg 2\n").unwrap();
        assert_refused(collect(folder.path()), &["list_patition_label.txt:3: train_0.jpg is in line 1 too"]);
    }
}
