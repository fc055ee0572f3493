//! Folders as people have them.

use std::fs;

use tempfile::TempDir;

use super::super::layout::tests::{REQUEST, assert_refused, assert_subject_disjoint, logged};
use super::super::{Protocol, Source, collect, copies};
use super::*;

/// A folder with a picture for each of the paths, each another; what a path is named decides its format.
fn set(paths: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, path) in paths.iter().enumerate() {
        let file = folder.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        match path.rsplit_once('.').map(|(_, extension)| extension) {
            Some("png" | "jpg" | "bmp" | "webp" | "tiff" | "gif") => {
                let [coarse, fine] = [number / 16 * 16, number % 16 * 16].map(|shade| shade as u8);
                image::RgbImage::from_fn(8, 8, |x, _| image::Rgb([if x < 4 { coarse } else { fine }; 3]))
                    .save(file)
                    .unwrap();
            }
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
        "System Volume Information/a.png",
        "sad/e.jpg",
        "unknown/f.bmp",
    ]);
    // A picture with a wrong name, and one with none.
    fs::copy(folder.path().join("happy/a.png"), folder.path().join("sad/g.txt")).unwrap();
    fs::copy(folder.path().join("happy/a.png"), folder.path().join("sad/h")).unwrap();
    fs::write(folder.path().join("happy/raw.heic"), b"\0\0\0\x18ftypheic\0\0\0\0").unwrap();
    let items = read_parts(folder.path(), &ClassNames::Common).unwrap().train;
    let of = |label| items.iter().filter(|(_, known)| *known == label).count();
    assert_eq!((items.len(), of(Label::Happiness), of(Label::Sadness)), (7, 4, 3));
    let (_, left_out) = listing::pictures_below(&folder.path().join("happy")).unwrap();
    assert_eq!(left_out.to_string(), "2 files left out: 1 .txt, 1 HEIC (convert them to JPEG)");
}

#[test]
fn parts_by_their_usual_names_in_any_case() {
    for (train, valid, test) in [
        ("train", "val", "test"),
        ("Training Set", "Validation_data", "Testing"),
        ("TRAINING", "valid", "test-set"),
        ("Training", "PublicTest", "PrivateTest"),
        ("train_class", "val_class", "private test"),
    ] {
        let of = |part: &str, count| classes(&[&format!("{part}/happy"), &format!("{part}/sad")], count);
        let (train, valid, test) = (of(train, 20), of(valid, 4), of(test, 6));
        let make = |parts: &[&Vec<String>]| {
            let paths: Vec<&str> = parts.iter().flat_map(|part| part.iter().map(String::as_str)).collect();
            set(&paths)
        };
        assert_eq!(sizes(&make(&[&train, &valid, &test])), [40, 8, 12]);
        assert_eq!(sizes(&make(&[&train, &test])), [32, 8, 12]);
        let limited = Request { limit: Some(20), ..REQUEST };
        let set = load(make(&[&train, &valid, &test]).path(), &ClassNames::Common, limited).unwrap();
        assert_eq!([set.train.len(), set.calibration.len(), set.test.len()], [16, 4, 12]);
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
    let said = logged(|| drop(load(&strange, &"blorb=fear,smile=-".parse().unwrap()).unwrap()));
    assert!(said.contains("--classes names \"smile\", but no class folder is called that"), "{said}");
    let mixed = set_of(&["train/happy", "train/sad", "test/happy", "test/sad", "backup/happy"], 5);
    assert_refused(load(&mixed, &ClassNames::Common), &["\"backup\" is not a part"]);
    for unnamed in [&["anna/happy", "anna/sad", "berta/happy"][..], &["old/happy", "old/sad", "happy"]] {
        let told = ["is not a class but holds classes", "train, valid and test"];
        assert_refused(load(&set_of(unnamed, 5), &ClassNames::Common), &told);
    }
    let twice = set_of(&["train/happy", "val/happy", "validation/happy"], 5);
    assert_refused(load(&twice, &ClassNames::Common), &["the same part"]);
    let fetched = set_of(&["happy", "sad"], 5);
    std::os::unix::fs::symlink("../objects/9.png", fetched.path().join("sad/9.png")).unwrap();
    let told = ["1 of 11 pictures", "sad/9.png: a link to a file that is not here; fetch it"];
    assert_refused(load(&fetched, &ClassNames::Common).and_then(DataSet::checked), &told);
    let empty = set(&["happy/notes.txt"]);
    assert_refused(load(&empty, &ClassNames::Common), &["no pictures found"]);
    // As tools for labelling export them: the labels are in tables, or in files beside the pictures.
    let flat = set(&["train/a.png", "train/b.png", "train/_annotations.csv", "test/c.png"]);
    let told = ["train: no pictures found in class folders (3 files left out: 3 pictures outside", "labels in tables"];
    assert_refused(load(&flat, &ClassNames::Common), &told);
    let yolo = set(&["train/images/a.png", "train/labels/a.txt", "test/images/b.png", "test/labels/b.txt"]);
    assert_refused(
        load(&yolo, &ClassNames::Common),
        &["no class folders, only \"images\" and \"labels\"", "folder per class"],
    );
    let beside = set_of(&["data/train/happy", "data/train/sad", "data/test/happy", "data/test/sad", "scripts/x"], 5);
    let told = format!("give --data folder:{}", beside.path().join("data").display());
    assert_refused(load(&beside, &ClassNames::Common), &["not a class but a set with parts", &told]);
}

#[test]
fn numbered_classes_are_those_of_the_set_they_come_from() {
    let numbered = |part: &str, numbers: std::ops::Range<usize>| {
        let names: Vec<String> = numbers.map(|number| format!("{part}{number}")).collect();
        classes(&names.iter().map(String::as_str).collect::<Vec<_>>(), 2)
    };
    let make = |paths: &[Vec<String>]| set(&paths.iter().flatten().map(String::as_str).collect::<Vec<_>>());
    let read = |folder: &TempDir, classes: &ClassNames| read_parts(folder.path(), classes).unwrap();
    let folder = make(&[numbered("", 1..8)]);
    let items = read(&folder, &ClassNames::Common).train;
    assert_eq!((items[0].1, items[13].1), (Label::Surprise, Label::Neutral));
    let folder = make(&[numbered("", 0..7)]);
    assert_eq!(read(&folder, &ClassNames::Common).train[0].1, Label::Anger);
    assert_eq!(read(&folder, &"affectnet".parse().unwrap()).train[0].1, Label::Neutral);
    // A part that lacks a class has the numbering of the others.
    let lacking = [numbered("train/", 0..8), numbered("valid/", 1..8), numbered("test/", 0..7)];
    let Pictures { train, valid, test, .. } = read(&make(&lacking), &ClassNames::Common);
    let (valid, test) = (valid.unwrap(), test.unwrap());
    assert_eq!((train[0].1, valid[0].1, test[0].1), (Label::Neutral, Label::Happiness, Label::Neutral));
    assert_eq!((train[15].1, valid[13].1, test[13].1), (Label::Contempt, Label::Contempt, Label::Anger));
}

#[test]
fn parts_within_class_folders_are_parts() {
    let of = |folders: &[&str], count| classes(folders, count);
    for (train, valid, test) in [("train", "val", "test"), ("Training", "validation", "Testing")] {
        let parts = |class: &str| {
            [
                of(&[&format!("{class}/{train}")], 20),
                of(&[&format!("{class}/{valid}")], 4),
                of(&[&format!("{class}/{test}")], 6),
            ]
            .concat()
        };
        let mut paths = [parts("happy"), parts("sad")].concat();
        let make = |paths: &[String]| set(&paths.iter().map(String::as_str).collect::<Vec<_>>());
        let folder = make(&paths);
        assert_eq!(sizes(&folder), [40, 8, 12]);
        let measured = part(folder.path(), &ClassNames::Common, Split::Test).unwrap().unwrap();
        assert!(measured.samples.iter().all(|sample| sample.name.contains(&format!("/{test}/"))));
        // A class that lacks a part, and one without pictures.
        paths.extend(of(&[&format!("fear/{train}")], 3));
        let folder = make(&paths);
        fs::create_dir(folder.path().join("disgust")).unwrap();
        assert_eq!(sizes(&folder), [43, 8, 12]);
    }
    let refused = |more: &str, told: &[&str]| {
        let folders = ["happy/train", "happy/test", "sad/train", "sad/test", more];
        assert_refused(load(set_of(&folders, 5).path(), &ClassNames::Common, REQUEST), told);
    };
    refused("sad", &["sad: 5 pictures outside the parts", "\"happy\""]);
    refused("fear/anna", &["fear/anna: folder \"anna\" is not a part"]);
    refused("sad/training", &["the same part"]);
    let only_test = set_of(&["happy/test", "sad/test"], 5);
    assert_refused(load(only_test.path(), &ClassNames::Common, REQUEST), &["no folder train"]);
    // People may be called as parts are.
    assert_eq!(sizes(&set_of(&["happy/anna", "happy/val", "sad/anna"], 10)), [20, 4, 6]);
    for folders in [
        &["happy/dev", "sad/anna", "sad/x"][..],
        &["happy/dev", "sad", "sad/x"],
        &["happy/Anna", "happy/anna", "sad/x"],
    ] {
        assert_eq!(sizes(&set_of(folders, 10)).iter().sum::<usize>(), 30, "{folders:?}");
    }
}

#[test]
fn files_that_are_in_two_parts_are_not_trained_on() {
    let folder = set_of(&["train/happy", "train/sad", "valid/happy", "valid/sad", "test/happy", "test/sad"], 10);
    let copy = |from: &str, to: &str| fs::copy(folder.path().join(from), folder.path().join(to)).map(|_| ()).unwrap();
    assert_eq!(sizes(&folder), [20, 20, 20]);
    copy("test/happy/0.png", "train/happy/copy.png");
    copy("test/happy/1.png", "train/sad/in another class.png");
    copy("valid/happy/0.png", "train/happy/valid.png");
    copy("test/sad/0.png", "valid/sad/copy.png");
    copy("train/sad/3.png", "train/sad/again.png");
    let set = load(folder.path(), &ClassNames::Common, REQUEST).unwrap();
    assert_eq!([set.train.len(), set.calibration.len(), set.test.len()], [21, 20, 20]);
    // Measured parts are whole, and say which pictures are trained on.
    let test = part(folder.path(), &ClassNames::Common, Split::Test).unwrap().unwrap();
    assert_eq!((test.samples.len(), copies::count(&test.copies)), (20, 2));
    assert!(test.copies[0] && test.copies[1], "{:?}", test.copies);
    let whole = whole(folder.path(), &ClassNames::Common).unwrap();
    assert_eq!((whole.samples.len(), copies::count(&whole.copies)), (65, 3));

    let same = set_of(&["train/happy", "train/sad"], 3);
    fs::rename(same.path().join("train"), same.path().join("test")).unwrap();
    for class in ["happy", "sad"] {
        fs::create_dir_all(same.path().join("train").join(class)).unwrap();
        for file in ["0.png", "1.png", "2.png"] {
            let of = |part: &str| same.path().join(part).join(class).join(file);
            fs::copy(of("test"), of("train")).unwrap();
        }
    }
    let told = ["every training picture is also in valid/ or test/"];
    assert_refused(load(same.path(), &ClassNames::Common, REQUEST), &told);
    // A validation part that is a copy of the test part: training samples are held out.
    let copied = set_of(&["train/happy", "train/sad", "test/happy", "test/sad"], 10);
    for class in ["happy", "sad"] {
        fs::create_dir_all(copied.path().join("valid").join(class)).unwrap();
        for number in 0..10 {
            let of = |part: &str| copied.path().join(format!("{part}/{class}/{number}.png"));
            fs::copy(of("test"), of("valid")).unwrap();
        }
    }
    let [train, calibration, test] = sizes(&copied);
    assert_eq!((train + calibration, test), (20, 20));
    assert!(calibration > 0);
}

#[test]
fn faces_of_one_track_are_not_both_trained_on_and_tested_on() {
    let names = |class: &str| -> Vec<String> {
        let name = |number: usize| format!("{class}/t_session-1_track-{}_{number}.png", number / 4);
        (0..40).map(name).collect()
    };
    let paths = [names("happy"), names("sad")].concat();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let (folder, few) = (set(&paths), set(&paths[..16]));
    let told = ["0 samples for the test part", "pictures of more tracks or people than 4"];
    assert_refused(load(few.path(), &ClassNames::Common, REQUEST).and_then(DataSet::checked), &told);
    let set = load(folder.path(), &ClassNames::Common, REQUEST).unwrap();
    let tracks = |samples: &[Sample]| -> BTreeSet<String> {
        samples.iter().map(|sample| sample.subject.clone().unwrap()).collect()
    };
    let (trained, calibrating) = (tracks(&set.train), tracks(&set.calibration));
    assert!(trained.is_disjoint(&tracks(&set.test)) && trained.is_disjoint(&calibrating));
    assert_eq!((trained.len(), calibrating.len(), set.calibration.len(), set.test.len()), (6, 2, 16, 16));
    let source: Source = format!("folder:{}", folder.path().display()).parse().unwrap();
    assert_subject_disjoint(&collect(&source, Protocol::Folds(5), REQUEST).unwrap());
}

#[test]
fn what_one_seed_trains_on_no_other_seed_tests_on() {
    let folder = set_of(&["happy", "sad"], 20);
    let of_seed = |seed| load(folder.path(), &ClassNames::Common, Request { seed, ..REQUEST }).unwrap();
    let names = |samples: &[Sample]| samples.iter().map(|sample| sample.name.clone()).collect::<Vec<_>>();
    let (one, other) = (of_seed(1), of_seed(2));
    assert_eq!(names(&one.test), names(&other.test));
    assert_ne!(names(&one.train), names(&other.train), "the order of training is that of the seed");
}

#[test]
fn what_calibrates_is_not_trained_on() {
    // One track has most of the faces; of the other pictures each has a copy.
    let mut paths: Vec<String> = (0..40).map(|number| format!("happy/t_session-1_track-1_{number}.png")).collect();
    paths.extend(classes(&["happy", "sad"], 15));
    let of_part = |part: &str, paths: &[String]| paths.iter().map(|path| format!("{part}/{path}")).collect::<Vec<_>>();
    let paths = [of_part("train", &paths), of_part("test", &classes(&["fear"], 4))].concat();
    let folder = set(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    for number in 0..15 {
        let of = |class: &str, name: &str| folder.path().join(format!("train/{class}/{number}{name}.png"));
        fs::copy(of("sad", ""), of("sad", " copy")).unwrap();
    }
    let set = load(folder.path(), &ClassNames::Common, REQUEST).unwrap();
    assert_eq!(set.train.len() + set.calibration.len(), 85);
    assert!((17..20).contains(&set.calibration.len()), "{}", set.calibration.len());
    assert!(set.calibration.iter().all(|sample| sample.subject.is_none()));
    assert_eq!(copies::count(&copies::found_in(&set.calibration, &set.train)), 0);
}

#[test]
fn folds_of_a_small_set_hold_every_picture_once_and_no_copy() {
    let folder = set_of(&["happy", "sad"], 4);
    fs::copy(folder.path().join("happy/0.png"), folder.path().join("happy/0 copy.png")).unwrap();
    let source: Source = format!("folder:{}", folder.path().display()).parse().unwrap();
    let mut set = None;
    let said = logged(|| set = Some(collect(&source, Protocol::Folds(4), REQUEST).unwrap()));
    assert!(said.contains("1 files left out: 1 copies of another picture"), "{said}");
    let set = set.unwrap();
    assert_eq!((set.samples.len(), set.folds.len()), (8, 4));
    let mut tested: Vec<usize> = set.folds.iter().flat_map(|fold| fold.test.clone()).collect();
    tested.sort_unstable();
    assert_eq!(tested, Vec::from_iter(0..8));
}

#[test]
fn what_a_set_lacks_or_has_twice_is_told_in_one_line_each() {
    let folder = set_of(&["happy", "sad"], 10);
    fs::create_dir(folder.path().join("fear")).unwrap();
    fs::create_dir(folder.path().join("anger")).unwrap();
    for number in 0..3 {
        let of = |class: &str| folder.path().join(class).join(format!("{number}.png"));
        fs::copy(of("happy"), of("sad")).unwrap();
    }
    let said = logged(|| drop(read_parts(folder.path(), &ClassNames::Common).unwrap()));
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains("class folders without pictures: anger, fear"), "{said}");
    assert!(said.contains("3 pictures are in two classes, such as happy/0.png and sad/0.png"), "{said}");
    // Also if a part is measured that has no folder of its own.
    let source: Source = format!("folder:{}", folder.path().display()).parse().unwrap();
    let said = logged(|| drop(super::super::part(&source, Split::Test, REQUEST).unwrap()));
    assert_eq!(said.matches("class folders without pictures").count(), 1, "{said}");
}

#[test]
fn pictures_without_labels_are_read_whatever_their_folders_are_called() {
    let read = |folder: &TempDir, count| unlabelled(folder.path(), count, 1).unwrap();
    let flat: Vec<String> = (0..12).map(|number| format!("{number}.png")).collect();
    let flat = set(&flat.iter().map(String::as_str).collect::<Vec<_>>());
    let people = set_of(&["Anna_Ito", "Bo_Berg/2024"], 6);
    let (joy, unsorted) = (set_of(&["anna", "joy"], 6), set_of(&["unsorted"], 12));
    for folder in [&flat, &people, &joy, &unsorted] {
        assert_eq!(read(folder, 100).unwrap().samples.len(), 12);
        assert_eq!(read(folder, 5).unwrap().samples.len(), 5);
    }
    // Of a set the test part is not for everybody.
    for folders in [
        &["happy", "sad"][..],
        &["happy", "sad", "bored"],
        &["happy"],
        &["train/happy", "test/happy"],
        &["0", "1", "2", "3", "4", "5", "6", "7"],
    ] {
        assert!(read(&set_of(folders, 2), 100).is_none(), "{folders:?}");
    }
}
