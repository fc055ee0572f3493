//! TFD, on a file of the set's size and on damaged ones.

use std::fs;

use super::super::layout::Layout;
use super::super::layout::tests::{assert_refused, counts, drawn};
use super::super::mat::{Values, header, write};
use super::*;

/// Faces of 3x2 pixels (rows, columns): `labelled` ones and `more` without a label. Pixel `(x, y)` of face `n` is
/// `n + 10 y + 100 x`, modulo 256.
struct Set {
    images: (Vec<usize>, Vec<u8>),
    labels: Vec<f64>,
    identities: Vec<f64>,
    folds: (Vec<usize>, Vec<f64>),
}

impl Set {
    fn new(labelled: usize, more: usize) -> Set {
        let count = labelled + more;
        let mut images = Vec::new();
        for (x, y) in (0..2).flat_map(|x| (0..3).map(move |y| (x, y))) {
            images.extend((0..count).map(|face| (face + 10 * y + 100 * x) as u8));
        }
        let label = |face: usize| if face < labelled { (1 + face % 7) as f64 } else { NONE };
        let part = |face: usize, fold: usize| match (face + fold) % 5 {
            _ if face >= labelled => 0.0,
            0 => 3.0,
            1 => 2.0,
            _ => 1.0,
        };
        Set {
            images: (vec![count, 3, 2], images),
            labels: (0..count).map(label).collect(),
            identities: (0..count).map(|face| (face / 2) as f64).collect(),
            folds: (vec![count, 5], (0..5).flat_map(|fold| (0..count).map(move |face| part(face, fold))).collect()),
        }
    }

    fn bytes(self) -> Vec<u8> {
        let mut file = header().to_vec();
        let row = |values: &[f64]| vec![1, values.len()];
        write(&mut file, "images", &self.images.0, &Values::Bytes(self.images.1)).unwrap();
        write(&mut file, "labs_ex", &row(&self.labels), &Values::Doubles(self.labels)).unwrap();
        write(&mut file, "labs_id", &row(&self.identities), &Values::Doubles(self.identities)).unwrap();
        write(&mut file, "folds", &self.folds.0, &Values::Doubles(self.folds.1)).unwrap();
        file
    }
}

fn read(bytes: &[u8]) -> crate::Result<Collection> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILES[0]), bytes).unwrap();
    collect(folder.path())
}

#[test]
fn the_labelled_faces_come_in_five_official_folds() {
    let set = read(&Set::new(4178, 500).bytes()).unwrap();
    assert_eq!((set.samples.len(), set.folds.len()), (4178, 5));
    for (number, fold) in set.folds.iter().enumerate() {
        assert_eq!(fold.train.len() + fold.validation.len() + fold.test.len(), 4178);
        assert!(fold.test.iter().all(|sample| (sample + number) % 5 == 0));
        assert!(fold.validation.iter().all(|sample| (sample + number) % 5 == 1));
        assert!(fold.train.iter().all(|sample| (sample + number) % 5 > 1));
    }
    let request = super::super::layout::tests::REQUEST;
    let data = set.fold(2, request).unwrap();
    assert_eq!(data.calibration.len(), set.folds[2].validation.len());
}

#[test]
fn pixels_labels_and_identities_are_those_of_the_face() {
    let mut file = Set::new(20, 1);
    file.labels[4] = NONE;
    let set = read(&file.bytes()).unwrap();
    assert_eq!(set.samples.len(), 19);
    // The face after the one without a label.
    let sample = &set.samples[4];
    assert_eq!((sample.name.as_str(), sample.subject.as_deref()), ("face 6", Some("2")));
    assert_eq!(sample.label, Label::Surprise);
    assert_eq!((sample.picture.width, sample.picture.height), (2, 3));
    assert_eq!(sample.picture.data, [5, 105, 15, 115, 25, 125]);
    let labels: Vec<&str> = set.samples[..4].iter().map(|sample| sample.label.name()).collect();
    assert_eq!(labels, ["anger", "disgust", "fear", "happiness"]);
}

#[test]
fn a_drawn_file_is_read_back() {
    let folder = drawn(Layout::Tfd, 20, 48);
    let set = collect(folder.path()).unwrap();
    assert_eq!((set.samples.len(), set.folds.len()), (209, 5));
    assert!(counts(&set)[..7].iter().all(|count| *count >= 20), "{:?}", counts(&set));
    assert_eq!((set.samples[0].picture.width, set.samples[0].picture.height), (48, 48));
}

#[test]
fn what_does_not_fit_is_refused() {
    let changed = |change: fn(&mut Set), parts: &[&str]| {
        let mut set = Set::new(20, 1);
        change(&mut set);
        assert_refused(read(&set.bytes()), parts);
    };
    changed(|set| set.labels[3] = 8.0, &["unknown code 8"]);
    changed(|set| set.labels[3] = 1.5, &["unknown code 1.5"]);
    changed(|set| set.labels[3] = f64::NAN, &["unknown code NaN"]);
    changed(|set| set.folds.1[3] = 4.0, &["folds", "unknown code 4"]);
    changed(|set| set.folds.0.reverse(), &["folds has shape [5, 21], not [21, 5]"]);
    changed(|set| set.folds.1[..21].fill(1.0), &["lacks its training, validation or test"]);
    changed(|set| set.images.0 = vec![21, 6], &["images has shape [21, 6]"]);
    changed(|set| set.images.0 = vec![3, 21, 2], &["images has shape [3, 21, 2]"]);
    changed(|set| _ = set.identities.pop(), &["labs_id has 20 values, labs_ex 21"]);
    changed(|set| set.images.0 = vec![21, 6, 2], &["images", "do not fit its shape"]);
    let folder = tempfile::tempdir().unwrap();
    assert_refused(collect(folder.path()), &["neither TFD_48x48.mat nor TFD_96x96.mat"]);
    assert_refused(collect(&folder.path().join("no.mat")), &["no.mat"]);
}

#[test]
fn a_file_cut_short_or_without_a_variable_is_refused() {
    let bytes = Set::new(20, 1).bytes();
    read(&bytes).unwrap();
    for length in (0..bytes.len()).step_by(7) {
        assert_refused(read(&bytes[..length]), &["TFD_48x48.mat"]);
    }
    for name in ["images", "labs_ex", "labs_id", "folds"] {
        let place = bytes.windows(name.len()).position(|window| window == name.as_bytes()).unwrap();
        let mut renamed = bytes.clone();
        renamed[place] = b'X';
        assert_refused(read(&renamed), &["no variable", name]);
    }
}
