//! Folders as people have them.

use std::fs;

use tempfile::TempDir;

use super::super::layout::tests::{REQUEST, assert_refused};
use super::*;

/// A folder with a picture for each of the paths; what a path is named decides its format.
fn set(paths: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for path in paths {
        let file = folder.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        match path.rsplit_once('.').map(|(_, extension)| extension) {
            Some("png" | "jpg" | "bmp" | "webp" | "tiff" | "gif") => image::RgbImage::new(8, 8).save(file).unwrap(),
            _ => fs::write(file, "text").unwrap(),
        }
    }
    folder
}

/// `count` pictures in each of the folders.
fn classes(folders: &[&str], count: usize) -> Vec<String> {
    let numbered = |folder: &&str| (0..count).map(|number| format!("{folder}/{number}.png")).collect::<Vec<_>>();
    folders.iter().flat_map(numbered).collect()
}

fn set_of(folders: &[&str], count: usize) -> TempDir {
    let paths = classes(folders, count);
    set(&paths.iter().map(String::as_str).collect::<Vec<_>>())
}

fn sizes(folder: &TempDir) -> [usize; 3] {
    let set = load(folder.path(), &ClassNames::Common, REQUEST).unwrap();
    [set.train.len(), set.calibration.len(), set.test.len()]
}

#[test]
fn pictures_of_every_format_and_depth_count_and_the_rest_is_told() {
    let folder = set(&[
        "happy/a.png",
        "happy/b.webp",
        "happy/more/c.tiff",
        "happy/more/still/d.gif",
        "happy/Thumbs.db",
        "happy/notes.txt",
        "happy/raw.heic",
        "__MACOSX/happy/a.png",
        "sad/e.jpg",
        "unknown/f.bmp",
    ]);
    // A picture with a wrong name, and one with none.
    fs::copy(folder.path().join("happy/a.png"), folder.path().join("sad/g.txt")).unwrap();
    fs::copy(folder.path().join("happy/a.png"), folder.path().join("sad/h")).unwrap();
    fs::write(folder.path().join("happy/raw.heic"), b"\0\0\0\x18ftypheic\0\0\0\0").unwrap();
    let items = pictures(folder.path(), &ClassNames::Common).unwrap();
    let of = |label| items.iter().filter(|(_, known)| *known == label).count();
    assert_eq!((items.len(), of(Label::Happiness), of(Label::Sadness)), (7, 4, 3));
    let (_, left_out) = listing::pictures_below(&folder.path().join("happy")).unwrap();
    assert_eq!(left_out.to_string(), "2 files left out: 1 .txt, 1 HEIC (convert them to JPEG)");
}

#[test]
fn parts_by_their_usual_names_in_any_case() {
    for (train, valid, test) in
        [("train", "val", "test"), ("Train", "Validation", "Testing"), ("TRAINING", "valid", "Test")]
    {
        let of = |part: &str, count| classes(&[&format!("{part}/happy"), &format!("{part}/sad")], count);
        let (train, valid, test) = (of(train, 20), of(valid, 4), of(test, 6));
        let make = |parts: &[&Vec<String>]| {
            let paths: Vec<&str> = parts.iter().flat_map(|part| part.iter().map(String::as_str)).collect();
            set(&paths)
        };
        assert_eq!(sizes(&make(&[&train, &valid, &test])), [40, 8, 12]);
        assert_eq!(sizes(&make(&[&train, &test])), [32, 8, 12]);
        let two = make(&[&train, &valid]);
        assert_eq!(sizes(&two), [32, 8, 8]);
        let measured = |split| part(two.path(), &ClassNames::Common, split).unwrap().map(|part| part.samples.len());
        assert_eq!([Split::Train, Split::Valid, Split::Test].map(measured), [Some(40), Some(8), Some(8)]);
        // A part alone, and a wrapper around the parts.
        assert_eq!(sizes(&make(&[&train])), [26, 6, 8]);
        let wrapped: Vec<String> = train.iter().chain(&test).map(|path| format!("archive/data/{path}")).collect();
        assert_eq!(sizes(&make(&[&wrapped])), [32, 8, 12]);
        assert_refused(load(make(&[&valid, &test]).path(), &ClassNames::Common, REQUEST), &["no folder train"]);
    }
}

#[test]
fn what_is_not_understood_is_refused_with_what_to_write() {
    let load = |folder: &TempDir, classes: &ClassNames| load(folder.path(), classes, REQUEST);
    let strange = set_of(&["happy", "Blorb", "sad"], 10);
    assert_refused(load(&strange, &ClassNames::Common), &["\"Blorb\"", "--classes"]);
    assert_eq!(load(&strange, &"Blorb=fear".parse().unwrap()).unwrap().len(), 30);
    assert_eq!(load(&strange, &"Blorb=-".parse().unwrap()).unwrap().len(), 20);
    let mixed = set_of(&["train/happy", "train/sad", "test/happy", "test/sad", "backup/happy"], 5);
    assert_refused(load(&mixed, &ClassNames::Common), &["\"backup\" is not a part"]);
    let twice = set_of(&["train/happy", "val/happy", "validation/happy"], 5);
    assert_refused(load(&twice, &ClassNames::Common), &["the same part"]);
    let empty = set(&["happy/notes.txt"]);
    assert_refused(load(&empty, &ClassNames::Common), &["no pictures found"]);
}

#[test]
fn numbered_classes_are_those_of_the_set_they_come_from() {
    let folder = set_of(&["1", "2", "3", "4", "5", "6", "7"], 2);
    let items = pictures(folder.path(), &ClassNames::Common).unwrap();
    assert_eq!((items[0].1, items[13].1), (Label::Surprise, Label::Neutral));
    let folder = set_of(&["0", "1", "2", "3", "4", "5", "6"], 2);
    assert_eq!(pictures(folder.path(), &ClassNames::Common).unwrap()[0].1, Label::Anger);
    let affectnet = "affectnet".parse().unwrap();
    assert_eq!(pictures(folder.path(), &affectnet).unwrap()[0].1, Label::Neutral);
}
