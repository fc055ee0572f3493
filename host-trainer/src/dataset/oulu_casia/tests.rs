//! Oulu-CASIA, on drawn faces and on folders of empty files.

use std::fs;

use tempfile::TempDir;

use super::super::layout::Layout;
use super::super::layout::tests::{assert_refused, assert_subject_disjoint, counts, drawn};
use super::*;

/// Empty files in the layout below `way`: enough to choose frames from.
fn empty(way: &str, subjects: usize, frames: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for subject in 1..=subjects {
        for name in ["Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise"] {
            let place = folder.path().join(way).join(format!("P{subject:03}")).join(name);
            fs::create_dir_all(&place).unwrap();
            (0..frames).for_each(|frame| fs::write(place.join(format!("{frame:03}.jpeg")), "").unwrap());
        }
    }
    folder
}

#[test]
fn the_last_three_frames_of_every_sequence_count() {
    let folder = empty("OriginalImg/VL/Strong", 80, 5);
    let chosen = frames(folder.path()).unwrap();
    assert_eq!(chosen.len(), 1440);
    let of = |label| chosen.iter().filter(|frame| frame.label == label).count();
    assert_eq!(EXPRESSIONS.map(of), [240; 6]);
    assert!(chosen.iter().all(|frame| !frame.name.ends_with("001.jpeg") && frame.path.is_file()));
    assert_eq!((chosen[0].name.as_str(), chosen[0].subject.as_str()), ("P001/Anger/002.jpeg", "P001"));
}

#[test]
fn the_subjects_folder_is_found() {
    for way in ["", "Strong", "VIS/Strong", "B_OriginalImg/VL/Strong", "B_OriginalImg/OriginalImg/VL/Strong"] {
        assert_eq!(frames(empty(way, 1, 3).path()).unwrap().len(), 18, "{way}");
    }
    assert_refused(frames(empty("OriginalImg/VL/Weak", 1, 3).path()), &["no folder of a subject"]);
    assert_refused(frames(empty("OriginalImg/NI/Strong", 1, 3).path()), &["no folder of a subject"]);
}

#[test]
fn damaged_sets_are_refused() {
    let folder = empty("VL/Strong", 2, 3);
    let at = |name: &str| folder.path().join("VL/Strong").join(name);
    fs::remove_file(at("P002/Fear/001.jpeg")).unwrap();
    assert_refused(frames(folder.path()), &["P002/Fear", "2 frames, fewer than the 3"]);
    fs::remove_dir_all(at("P002/Fear")).unwrap();
    assert_refused(frames(folder.path()), &["P002", "no sequence of fear"]);
    fs::create_dir(at("P002/Contempt")).unwrap();
    assert_refused(frames(folder.path()), &["unknown expression", "Contempt"]);
    fs::rename(at("P002/Contempt"), at("P002/Happy")).unwrap();
    assert_refused(frames(folder.path()), &["the same expression as", "Happiness"]);
    fs::rename(at("P002"), at("p001")).unwrap();
    assert_refused(frames(folder.path()), &["the same name", "but for case"]);
    fs::rename(at("p001"), at("Copy")).unwrap();
    assert_refused(frames(folder.path()), &["Copy", "no subject's name"]);
}

#[test]
fn faces_are_found_in_drawn_pictures() {
    let folder = drawn(Layout::OuluCasia, 10, 128);
    let set = collect(folder.path(), folds::USUAL).unwrap();
    assert_eq!((set.samples.len(), set.skipped.len()), (180, 0), "{:?}", set.skipped);
    assert_eq!(counts(&set), [0, 30, 30, 30, 30, 30, 30, 0]);
    assert_eq!(set.folds.len(), 10);
    assert_subject_disjoint(&set);
    // The face takes six tenths of the picture, and the cut has no more pixels than it had.
    assert!(
        set.samples.iter().all(|sample| (64..=100).contains(&sample.picture.width) && sample.picture.channels == 3)
    );
}
