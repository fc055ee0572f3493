//! What is promised of every layout, and a drawn one for the readers' tests.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use tempfile::TempDir;
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

use super::super::{ClassNames, Collection, Protocol, Request, Source, collect};
use super::*;

pub const REQUEST: Request = Request { rendered: 0, limit: None, calibration: 32, seed: 1 };

/// A layout of so many subjects, in pictures of so many pixels a side.
pub fn drawn(layout: Layout, subjects: impl Into<Option<usize>>, size: u32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(layout, folder.path(), Plan { seed: 1, subjects: subjects.into(), size: Some(size) }).unwrap();
    folder
}

/// How many samples have each label.
pub fn counts(set: &Collection) -> [usize; Label::COUNT] {
    Label::ALL.map(|label| set.samples.iter().filter(|sample| sample.label == label).count())
}

/// Every sample is tested once, and no subject is in two parts of a fold.
pub fn assert_subject_disjoint(set: &Collection) {
    let mut tested = vec![0; set.samples.len()];
    for fold in &set.folds {
        let subjects = |part: &[usize]| -> BTreeSet<_> {
            part.iter().map(|number| set.samples[*number].subject.clone().unwrap()).collect()
        };
        assert!(subjects(&fold.train).is_disjoint(&subjects(&fold.test)));
        fold.test.iter().for_each(|number| tested[*number] += 1);
    }
    assert!(tested.iter().all(|count| *count == 1), "{tested:?}");
}

/// `result` is bad input by a line with all of `parts` in it.
pub fn assert_refused<T>(result: crate::Result<T>, parts: &[&str]) {
    let error = result.err().expect("refused");
    let line = error.to_string().replace('\n', " ");
    assert_eq!(expression_engine::error::Classify::kind(&error), expression_engine::ErrorKind::BadInput, "{line}");
    assert!(parts.iter().all(|part| line.contains(part)) && !line.contains('\n'), "{line}");
}

/// What is logged while `run` runs.
pub fn logged(run: impl FnOnce()) -> String {
    // As long as there is one subscriber in the process, a line that another thread reaches first is asked about of that thread's own,
    // and without one it is off for all threads (`has_just_one` in tracing-core 0.1.36). Two that stay prevent that.
    static KEPT: LazyLock<[Dispatch; 2]> =
        LazyLock::new(|| std::array::from_fn(|_| Dispatch::new(NoSubscriber::new())));
    LazyLock::force(&KEPT);
    let file = tempfile::NamedTempFile::new().unwrap();
    let writer = std::sync::Arc::new(file.reopen().unwrap());
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(writer).finish();
    tracing::subscriber::with_default(subscriber, run);
    fs::read_to_string(file.path()).unwrap()
}

#[test]
fn a_folder_that_holds_something_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine"), "kept").unwrap();
    let plan = Plan { seed: 1, subjects: Some(1), size: Some(32) };
    for out in [folder.path().to_owned(), folder.path().join("mine")] {
        assert_refused(write(Layout::Folder, &out, plan), &["not an empty folder"]);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_same_seed_draws_the_same_layout_and_nothing_lies_beside_it() {
    let parent = tempfile::tempdir().unwrap();
    let digest = |name: &str, seed| {
        let out = parent.path().join(name);
        write(Layout::Ferplus, &out, Plan { seed, subjects: Some(2), size: Some(32) }).unwrap();
        let source = Source::FerPlus(out);
        super::super::load(&source, REQUEST).unwrap().sha256()
    };
    assert_eq!(digest("a", 1), digest("b", 1));
    assert_ne!(digest("c", 1), digest("d", 2));
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 4);
}

#[test]
fn only_the_expression_changes_in_a_sequence() {
    let renderer = rendered::open().unwrap();
    let frame = |share| renderer.draw_frame([1, 2, Label::Surprise as u64, 0], share, 0.6, 96);
    let [neutral, half, apex] = [0.0, 0.5, 1.0].map(frame);
    assert!(neutral.strength == 0.0 && half.strength < apex.strength);
    // The ears and the eyes stay, the mouth opens.
    for point in [0, 1, 4, 5] {
        let moved = [0, 1].map(|axis| (neutral.key_points[point][axis] - apex.key_points[point][axis]).abs());
        assert!(moved[0] < 0.5 && moved[1] < 0.5, "point {point} moved by {moved:?}");
    }
    let opened = |face: &Face| face.key_points[3][1] - neutral.key_points[3][1];
    assert!(opened(&half) > 0.5 && opened(&apex) > opened(&half), "{} {}", opened(&half), opened(&apex));
    // The corner shows the background.
    assert_eq!(neutral.image.get_pixel(0, 0), apex.image.get_pixel(0, 0));
}

#[test]
fn ferplus_and_folder_layouts_are_read_back() {
    let folder = drawn(Layout::Ferplus, 4, 32);
    let set = collect(&Source::FerPlus(folder.path().into()), Protocol::FerPlus, REQUEST).unwrap();
    assert_eq!((set.folds.len(), set.folds[0].train.len(), set.folds[0].test.len()), (1, 32, 8));
    assert!(set.samples.iter().any(|sample| sample.distribution[sample.label as usize] < 1.0));
    let data = set.fold(0, REQUEST).unwrap();
    assert_eq!((data.train.len() + data.calibration.len(), data.test.len()), (32, 8));
    let folder = drawn(Layout::Folder, 1, 32);
    let set = collect(&Source::Folder(folder.path().into(), ClassNames::Common), Protocol::Folds(4), REQUEST).unwrap();
    assert_eq!((set.folds.len(), counts(&set)), (4, [16; 8]));
}

#[test]
fn a_protocol_of_another_set_is_refused() {
    let source = Source::Folder("anywhere".into(), ClassNames::Common);
    assert_refused(collect(&source, Protocol::CkPlus8, REQUEST), &["ck-plus-8", "folder:anywhere", "folds:10"]);
    let source = Source::FerPlus("anywhere".into());
    assert_refused(collect(&source, Protocol::Tfd, REQUEST), &["take ferplus"]);
}

#[test]
fn sources_and_protocols_are_read_as_they_are_written() {
    let texts =
        ["rendered", "rendered:64", "ferplus:a", "folder:a", "ck-plus:a", "oulu-casia:a", "tfd:a.mat", "sfew:a"];
    for text in texts {
        assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
    }
    for text in ["folds:5", "ck-plus-8", "ck-plus-6", "oulu-casia", "tfd", "sfew", "ferplus"] {
        assert_eq!(text.parse::<Protocol>().unwrap().to_string(), text);
    }
    assert!("tfd:".parse::<Source>().is_err() && "ck+:a".parse::<Source>().is_err());
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().to_str().unwrap().parse::<Source>().unwrap_err();
    assert!(told.contains(&format!("write folder:{} if", folder.path().display())), "{told}");
    assert!("ck-plus".parse::<Protocol>().is_err() && "folds:1".parse::<Protocol>().is_err());
}
