//! SFEW, on drawn faces and on pictures of few pixels.

use std::fs;

use expression_core::Label;
use tempfile::TempDir;

use super::super::layout::Layout;
use super::super::layout::tests::{REQUEST, assert_refused, counts, drawn};
use super::*;

/// Aligned faces of 8 pixels: as many as the set has.
fn aligned_set(places: [&str; 2]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (place, count) in places.into_iter().zip([958, 436]) {
        for number in 0..count {
            let class = ["Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"][number % 7];
            let file = folder.path().join(place).join(class).join(format!("{number}.png"));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            image::GrayImage::new(8, 8).save(file).unwrap();
        }
    }
    folder
}

#[test]
fn the_training_part_trains_and_the_validation_part_is_reported_on() {
    for places in
        [["Train_Aligned_Faces", "Val_Aligned_Faces"], ["Train/Train_Aligned_Faces", "Val/Val_Aligned_Faces_new"]]
    {
        let folder = aligned_set(places);
        let set = collect(folder.path()).unwrap();
        assert_eq!(set.folds.len(), 1);
        let fold = &set.folds[0];
        assert_eq!((fold.train.len(), fold.validation.len(), fold.test.len()), (958, 0, 436));
        assert!(fold.test.iter().all(|number| set.samples[*number].name.starts_with("Val")));
        let angry = set.samples.iter().filter(|sample| sample.name.contains("Angry"));
        assert!(angry.clone().count() == 200 && angry.clone().all(|sample| sample.label == Label::Anger));
        // Aligned faces stay as they are.
        assert!(set.samples.iter().all(|sample| sample.picture.width == 8));
    }
}

#[test]
fn faces_are_found_in_drawn_pictures_and_those_without_one_are_named() {
    let folder = drawn(Layout::Sfew, 5, 128);
    image::RgbImage::new(64, 64).save(folder.path().join("Val/Sad/nobody.png")).unwrap();
    let set = collect(folder.path()).unwrap();
    assert_eq!((set.folds[0].train.len(), set.folds[0].test.len()), (48, 22), "{:?}", set.skipped);
    assert_eq!(counts(&set)[Label::Contempt as usize], 0);
    assert!(set.samples.iter().all(|sample| (64..=100).contains(&sample.picture.width)));
    assert_eq!(set.skipped.len(), 1);
    assert!(set.skipped[0].contains("nobody.png") && set.skipped[0].contains("no face found"), "{:?}", set.skipped);
    // More than one in a hundred.
    let error = set.fold(0, REQUEST).unwrap_err().to_string();
    assert!(error.contains("1 of 71") && error.contains("nobody.png"), "{error}");
}

#[test]
fn missing_parts_and_unknown_classes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("Train/Angry")).unwrap();
    assert_refused(collect(folder.path()), &["a part of SFEW is missing", "Train and Val", "unpack both parts"]);
    fs::create_dir_all(folder.path().join("Train/Sad")).unwrap();
    assert_refused(collect(folder.path()), &["Train and Val", "if its pictures show just a face, its class folders"]);
    fs::create_dir_all(folder.path().join("Val/Bored")).unwrap();
    image::GrayImage::new(8, 8).save(folder.path().join("Train/Angry/a.png")).unwrap();
    assert_refused(collect(folder.path()), &["Val: unknown class \"Bored\""]);
}
