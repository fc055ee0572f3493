//! KDEF and JAFFE: posed faces whose file names tell who shows what.
//!
//! KDEF: Lundqvist, Flykt, Öhman, "The Karolinska Directed Emotional Faces", Karolinska Institutet 1998: `AF01/AF01AFS.JPG`
//! is session A, female 01, afraid, straight. JAFFE: Lyons, Akamatsu, Kamachi, Gyoba, "Coding Facial Expressions with Gabor
//! Wavelets", FG 1998: `KA.AN1.39.tiff` is subject KA, angry, first picture, number 39.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use expression_core::Label;

use super::cut::Finder;
use super::{Collection, Sample, folder, folds, listing, sample};
use crate::error::Error;

/// A set of posed faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posed {
    /// 980 pictures that look straight into the camera, of 70 subjects in two sessions each.
    Kdef,
    /// 213 pictures of 10 subjects.
    Jaffe,
}

/// A picture that takes part.
struct Shot {
    path: PathBuf,
    subject: String,
    label: Label,
}

/// Reads KDEF or JAFFE in `count` subject-disjoint folds, from the folder given and those below it. Of KDEF only pictures that
/// look straight into the camera take part. Faces are found by the detector.
///
/// # Errors
/// Returns [`Error::BadInput`] if no file has a name of the set's, or there are fewer subjects than folds.
pub fn collect(folder: &Path, posed: Posed, count: usize) -> crate::Result<Collection> {
    let (paths, mut left_out) = listing::pictures_below(folder)?;
    let (mut shots, mut names) = (Vec::new(), HashSet::new());
    for path in paths {
        match posed.parse(&listing::name(&path)) {
            // Folders that were unpacked twice, and pictures that were converted.
            Some(Some(_)) if !names.insert(stem(&listing::name(&path))) => left_out.add("that are there twice", 1),
            Some(Some((subject, label))) => shots.push(Shot { path, subject, label }),
            Some(None) => left_out.add("that do not look straight into the camera", 1),
            None => left_out.add(format!("whose name is not one of {}'s", posed.name()), 1),
        }
    }
    if shots.is_empty() {
        let advice = folder::advice(folder, &format!("its files are named like {}", posed.example()));
        return Err(Error::BadInput(format!("{}: no picture of {}; {advice}", folder.display(), posed.name())));
    }
    left_out.warn(folder);
    let finder = Finder::open()?;
    let (samples, skipped) = sample::read_all(
        &shots,
        |shot| shot.path.clone(),
        |shot, path, picture| {
            let face = finder.face(&picture)?;
            Ok(Sample::labelled(listing::name(path), Some(shot.subject.clone()), face, shot.label))
        },
    );
    sample::few_skipped(posed.name(), &skipped, samples.len())?;
    let folds = folds::by_subject(&samples, count)?;
    Ok(Collection { name: posed.name().into(), source: posed.source().into(), samples, skipped, folds })
}

impl Posed {
    fn name(self) -> &'static str {
        match self {
            Posed::Kdef => "KDEF",
            Posed::Jaffe => "JAFFE",
        }
    }

    fn example(self) -> &'static str {
        match self {
            Posed::Kdef => "AF01AFS.JPG",
            Posed::Jaffe => "KA.AN1.39.tiff",
        }
    }

    fn source(self) -> &'static str {
        match self {
            Posed::Kdef => "KDEF (Lundqvist, Flykt, Öhman 1998); for research, by its owners' terms",
            Posed::Jaffe => "JAFFE (Lyons et al. 1998); for research, by its owners' terms",
        }
    }

    /// Who shows what by the name of a file: `Some(None)` for a picture of the set that does not take part.
    fn parse(self, name: &str) -> Option<Option<(String, Label)>> {
        let stem = stem(name);
        let stem = stem.as_str();
        if !stem.is_ascii() {
            return None;
        }
        match self {
            Posed::Kdef => {
                let (session, rest) = stem.split_at_checked(1)?;
                let (subject, rest) = rest.split_at_checked(3)?;
                let (code, view) = rest.split_at_checked(2)?;
                let (sex, number) = subject.split_at(1);
                let known = ["A", "B"].contains(&session)
                    && ["F", "M"].contains(&sex)
                    && number.bytes().all(|digit| digit.is_ascii_digit())
                    && ["S", "FL", "HL", "FR", "HR"].contains(&view);
                let label = label(code).filter(|_| known)?;
                Some((view == "S").then(|| (subject.to_owned(), label)))
            }
            Posed::Jaffe => {
                let (subject, rest) = stem.split_once('.')?;
                let (code, number) = rest.split_at_checked(2)?;
                let known = subject.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
                let label = label(code).filter(|_| known)?;
                Some(Some((subject.to_owned(), label)))
            }
        }
    }
}

/// The name of a file without its ending, in upper case.
fn stem(name: &str) -> String {
    let name = name.to_uppercase();
    name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem).to_owned()
}

/// The label of a two-letter code, of which the two sets use almost the same.
fn label(code: &str) -> Option<Label> {
    Some(match code {
        "AF" | "FE" => Label::Fear,
        "AN" => Label::Anger,
        "DI" => Label::Disgust,
        "HA" => Label::Happiness,
        "NE" => Label::Neutral,
        "SA" => Label::Sadness,
        "SU" => Label::Surprise,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::layout::Layout;
    use super::super::layout::tests::{assert_refused, assert_subject_disjoint, counts, drawn, logged};
    use super::*;

    #[test]
    fn names_tell_subject_and_label() {
        let told = |posed: Posed, name: &str| posed.parse(name);
        let some = |subject: &str, label| Some(Some((subject.to_owned(), label)));
        assert_eq!(told(Posed::Kdef, "AF01AFS.JPG"), some("F01", Label::Fear));
        assert_eq!(told(Posed::Kdef, "bm35sus.jpg"), some("M35", Label::Surprise));
        assert_eq!(told(Posed::Kdef, "AF01AFHL.JPG"), Some(None));
        assert_eq!(told(Posed::Jaffe, "KA.AN1.39.tiff"), some("KA", Label::Anger));
        assert_eq!(told(Posed::Jaffe, "YM.SA2.12.tiff"), some("YM", Label::Sadness));
        for name in ["AF01XXS.JPG", "CF01AFS.JPG", "AF0.JPG", "AFéäAFS.JPG", "x.png", ""] {
            assert_eq!(told(Posed::Kdef, name), None, "{name}");
        }
        for name in ["KA.XX1.39.tiff", "K.AN1.39.tiff", "KA.ANx.tiff", "KA.tiff"] {
            assert_eq!(told(Posed::Jaffe, name), None, "{name}");
        }
    }

    #[test]
    fn drawn_sets_are_read_in_ten_subject_disjoint_folds() {
        for (layout, posed, pictures) in [(Layout::Kdef, Posed::Kdef, 10 * 14), (Layout::Jaffe, Posed::Jaffe, 10 * 21)]
        {
            let folder = drawn(layout, 10, 128);
            fs::write(folder.path().join("README"), "text").unwrap();
            let first = listing::pictures_below(folder.path()).unwrap().0.swap_remove(0);
            fs::create_dir(folder.path().join("again")).unwrap();
            fs::copy(&first, folder.path().join("again").join(listing::name(&first).to_lowercase())).unwrap();
            let mut set = None;
            let said = logged(|| set = Some(collect(folder.path(), posed, folds::USUAL).unwrap()));
            assert!(said.contains("1 that are there twice"), "{said}");
            let set = set.unwrap();
            assert!(
                ((pictures * 99_usize).div_ceil(100)..=pictures).contains(&set.samples.len()),
                "{posed:?}: {:?}",
                set.skipped
            );
            assert_eq!(set.folds.len(), 10);
            assert_subject_disjoint(&set);
            assert!(counts(&set)[..7].iter().all(|count| *count >= 18), "{:?}", counts(&set));
        }
    }

    #[test]
    fn files_that_hold_no_picture_are_refused_before_folds_are_made_and_folds_fit_the_subjects() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["AF01AFS.JPG", "AF01HAS.JPG", "AM02AFS.JPG"] {
            fs::write(folder.path().join(name), []).unwrap();
        }
        let told = ["KDEF: 3 of 3 pictures could not be read", "AF01AFS.JPG", "repair or remove them"];
        assert_refused(collect(folder.path(), Posed::Kdef, folds::USUAL), &told);
        let folder = drawn(Layout::Kdef, 2, 128);
        assert_refused(collect(folder.path(), Posed::Kdef, folds::USUAL), &["there are 2; give more"]);
        assert_eq!(collect(folder.path(), Posed::Kdef, 2).unwrap().folds.len(), 2);
    }

    #[test]
    fn a_folder_without_such_names_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        image::RgbImage::new(8, 8).save(folder.path().join("me.png")).unwrap();
        assert_refused(collect(folder.path(), Posed::Kdef, folds::USUAL), &["no picture of KDEF", "AF01AFS.JPG"]);
        assert_refused(collect(&folder.path().join("none"), Posed::Jaffe, folds::USUAL), &["none"]);
    }
}
