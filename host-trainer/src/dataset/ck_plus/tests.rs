//! CK+, on a drawn set of the paper's size and on damaged ones.

use std::fs;

use tempfile::TempDir;

use super::super::layout::Layout;
use super::super::layout::tests::{assert_refused, assert_subject_disjoint, counts, drawn};
use super::*;

#[test]
fn counts_labels_and_folds_are_the_papers() {
    let folder = drawn(Layout::CkPlus, None, 32);
    let eight = collect(folder.path(), Classes::Eight, folds::USUAL).unwrap();
    assert_eq!((eight.samples.len(), eight.skipped.len()), (1308, 0));
    // neutral, happiness, surprise, sadness, anger, disgust, fear, contempt: three frames of each sequence.
    assert_eq!(counts(&eight), [327, 3 * 69, 3 * 83, 3 * 28, 3 * 45, 3 * 59, 3 * 25, 3 * 18]);
    let six = collect(folder.path(), Classes::Six, folds::USUAL).unwrap();
    assert_eq!(six.samples.len(), 927);
    assert_eq!(counts(&six), [0, 3 * 69, 3 * 83, 3 * 28, 3 * 45, 3 * 59, 3 * 25, 0]);
    for set in [&eight, &six] {
        assert_eq!(set.folds.len(), 10);
        assert_subject_disjoint(set);
    }
    // Subjects are dealt in ascending order.
    let first: Vec<_> = eight.folds[3].test.iter().map(|number| eight.samples[*number].subject.clone()).collect();
    assert!(first.contains(&Some("S003".into())) && first.contains(&Some("S113".into())));
    let frames = |end: &str| eight.samples.iter().filter(|sample| sample.name.ends_with(end)).count();
    assert_eq!(["1.png", "2.png", "3.png", "5.png"].map(frames), [327, 0, 327, 327]);
}

#[test]
fn the_eyes_come_to_lie_where_alignment_puts_them() {
    // A picture that is black but for a white spot on each eye, turned and off the middle.
    let eyes = [[60f32, 80.0], [100.0, 90.0]];
    let mut picture = expression_engine::Picture { width: 200, height: 160, channels: 1, data: vec![0; 200 * 160] };
    for [x, y] in eyes.map(|eye| eye.map(|v| v as usize)) {
        for (x, y) in (x - 2..=x + 1).flat_map(|x| (y - 2..=y + 1).map(move |y| (x, y))) {
            picture.data[y * 200 + x] = 255;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("landmarks.txt");
    let mut points = [[0f32; 2]; cut::LANDMARKS];
    points[36..42].fill(eyes[0]);
    points[42..48].fill(eyes[1]);
    // 1.075 times the distance of the eyes below them, as in an aligned face.
    points[48..60].fill([80.0 - 0.25 * 43.0, 85.0 + 43.0]);
    fs::write(&file, points.iter().map(|[x, y]| format!("   {x:e}   {y:e}\n")).collect::<String>()).unwrap();
    let face = cut::face(&picture, &landmarks(&file).unwrap()).unwrap();
    assert!((100..110).contains(&face.width), "{}", face.width);
    for [x, y] in expression_core::align::EYES {
        let at = |thousandths: i32| (thousandths as usize * face.width) / 1000;
        assert!(face.data[at(y) * face.width + at(x)] > 200, "eye at {x} {y}");
    }
    let bright = face.data.iter().filter(|value| **value > 100).count();
    assert!((24..48).contains(&bright), "{bright} bright pixels");
}

/// A small set, and the path of one labelled sequence's landmark file, emotion file and frame.
fn small() -> (TempDir, [PathBuf; 3]) {
    let folder = drawn(Layout::CkPlus, 10, 32);
    let of = |path: &str| folder.path().join(path);
    let paths = [
        of("Landmarks/S003/001/S003_001_00000004_landmarks.txt"),
        of("Emotion/S003/001/S003_001_00000005_emotion.txt"),
        of("cohn-kanade-images/S003/001/S003_001_00000003.png"),
    ];
    (folder, paths)
}

fn read(folder: &TempDir) -> crate::Result<Collection> {
    collect(folder.path(), Classes::Eight, folds::USUAL)
}

#[test]
fn sequences_without_a_label_are_left_out() {
    let (folder, [_, emotion, _]) = small();
    let all = read(&folder).unwrap().samples.len();
    fs::remove_file(&emotion).unwrap();
    assert_eq!(read(&folder).unwrap().samples.len(), all - 4);
    fs::remove_dir(emotion.parent().unwrap()).unwrap();
    assert_eq!(read(&folder).unwrap().samples.len(), all - 4);
}

#[test]
fn missing_and_damaged_files_are_refused() {
    let (folder, [points, emotion, frame]) = small();
    let good = fs::read_to_string(&points).unwrap();
    for (text, parts) in [
        (
            good.lines().take(67).collect::<Vec<_>>().join("\n"),
            ["S003_001_00000004_landmarks.txt", "67 points, not 68"],
        ),
        (good.replacen('e', "x", 1), ["landmarks.txt:1", "not x and y"]),
        (good.replacen("\n", " 5\n", 1), ["landmarks.txt:1", "not x and y"]),
        (good.replacen("e", "e38", 1), ["landmarks.txt", ""]),
    ] {
        fs::write(&points, text).unwrap();
        assert_refused(read(&folder), &parts);
    }
    fs::remove_file(&points).unwrap();
    assert_refused(read(&folder), &["S003_001_00000004_landmarks.txt"]);
    fs::write(&points, good).unwrap();

    let code = fs::read(&emotion).unwrap();
    for text in ["8.0", "-1", "2.5", "nan", "anger", ""] {
        fs::write(&emotion, text).unwrap();
        assert_refused(read(&folder), &["emotion.txt", "no emotion code"]);
    }
    fs::write(&emotion, &code).unwrap();
    let second = emotion.with_file_name("second_emotion.txt");
    fs::write(&second, &code).unwrap();
    assert_refused(read(&folder), &["2 files, not one label"]);
    fs::remove_file(second).unwrap();

    let strange = frame.with_file_name("S004_001_00000003.png");
    fs::rename(&frame, &strange).unwrap();
    assert_refused(read(&folder), &["S004_001_00000003.png", "no frame of S003/001"]);
    fs::rename(&strange, &frame).unwrap();
    read(&folder).unwrap();

    let hidden = folder.path().join("hidden");
    for part in ["Emotion", "Landmarks", "cohn-kanade-images"] {
        fs::rename(folder.path().join(part), &hidden).unwrap();
        assert_refused(read(&folder), &["no folder", part]);
        fs::rename(&hidden, folder.path().join(part)).unwrap();
    }
}

#[test]
fn a_sequence_of_three_frames_is_refused() {
    let (folder, [_, _, frame]) = small();
    fs::remove_file(frame.with_file_name("S003_001_00000002.png")).unwrap();
    read(&folder).unwrap();
    fs::remove_file(&frame).unwrap();
    assert_refused(read(&folder), &["S003/001", "3 frames, fewer than 4"]);
}

#[test]
fn a_subject_or_sequence_that_comes_twice_is_refused() {
    for (original, copy) in [("S003", "s003"), ("S003/aB", "S003/Ab")] {
        let folder = tempfile::tempdir().unwrap();
        for part in ["Emotion", "Landmarks", "cohn-kanade-images"] {
            fs::create_dir(folder.path().join(part)).unwrap();
        }
        for name in [original, copy] {
            fs::create_dir_all(folder.path().join("cohn-kanade-images").join(name)).unwrap();
        }
        assert_refused(read(&folder), &["the same name", "but for case"]);
    }
}
