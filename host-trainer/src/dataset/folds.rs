//! Folds: how a protocol splits a labelled set into training and test, again and again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{DataSet, Request, Sample, shuffled};
use crate::error::Error;

/// Folds of the usual protocols of sets whose subjects are known.
pub const USUAL: usize = 10;

/// A whole labelled set with the folds of its protocol.
#[derive(Debug, Clone)]
pub struct Collection {
    /// Data set and protocol, for reports.
    pub name: String,
    /// Where the pictures come from and under which terms.
    pub source: String,
    /// All samples that the protocol uses.
    pub samples: Vec<Sample>,
    /// Pictures that could not be read: file and reason.
    pub skipped: Vec<String>,
    /// At least one.
    pub folds: Vec<Fold>,
}

/// One split of a collection; the numbers are places in [`Collection::samples`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fold {
    /// Trained on.
    pub train: Vec<usize>,
    /// Held out for calibration and choices where the protocol names such samples; else some of `train` are.
    pub validation: Vec<usize>,
    /// Reported on.
    pub test: Vec<usize>,
}

impl Collection {
    /// A data set that is split already, as the one fold of a collection. Its calibration samples count as trained on:
    /// [`Collection::fold`] holds some out again.
    pub fn whole(set: DataSet) -> Collection {
        let DataSet { name, source, train, calibration, test, skipped } = set;
        let (trained, all) = (train.len() + calibration.len(), train.len() + calibration.len() + test.len());
        let fold = Fold { train: (0..trained).collect(), validation: Vec::new(), test: (trained..all).collect() };
        let samples = [train, calibration, test].into_iter().flatten().collect();
        Collection { name, source, samples, skipped, folds: vec![fold] }
    }

    /// The data set of fold `fold` (from 0) for one run. Where the fold names no validation samples, `request` decides how
    /// many of its training samples calibrate: whole subjects, where subjects are known.
    ///
    /// # Errors
    /// [`Error::BadInput`] where there is no such fold, or as [`DataSet::checked`].
    pub fn fold(&self, fold: usize, request: Request) -> crate::Result<DataSet> {
        let count = self.folds.len();
        let chosen = self
            .folds
            .get(fold)
            .ok_or_else(|| Error::BadInput(format!("{}: no fold {}; there are 1 to {count}", self.name, fold + 1)))?;
        let mut train = shuffled(chosen.train.clone(), request.seed);
        train.truncate(request.limit.unwrap_or(usize::MAX));
        let (train, calibration) = match chosen.validation.is_empty() {
            true => self.hold_out(train, request),
            false => (train, chosen.validation.clone()),
        };
        let take = |numbers: &[usize]| numbers.iter().map(|number| self.samples[*number].clone()).collect();
        let set = DataSet {
            name: format!("{}, fold {} of {count}", self.name, fold + 1),
            source: self.source.clone(),
            train: take(&train),
            calibration: take(&calibration),
            test: take(&chosen.test),
            skipped: self.skipped.clone(),
        };
        set.checked()
    }

    /// Training samples, and those of them that are held out for calibration.
    fn hold_out(&self, train: Vec<usize>, request: Request) -> (Vec<usize>, Vec<usize>) {
        let of_subject = |number: &usize| self.samples[*number].subject.as_deref();
        if train.iter().any(|number| of_subject(number).is_none()) {
            return request.hold_out(train, |number| of_subject(number).map(str::to_owned));
        }
        let wanted = request.held_out(train.len());
        // In the order of `train`, which is shuffled: the subjects that come first are held out.
        let mut held_out: BTreeSet<&str> = BTreeSet::new();
        let mut count = 0;
        for subject in train.iter().filter_map(of_subject) {
            if count < wanted && held_out.insert(subject) {
                count += train.iter().filter(|number| of_subject(number) == Some(subject)).count();
            }
        }
        train.into_iter().partition(|number| !of_subject(number).is_some_and(|subject| held_out.contains(subject)))
    }
}

/// `count` subject-disjoint folds: subjects in ascending order are dealt to the folds in turn, as we understand the paper
/// (section IV) and the protocol that it follows (Liu et al., "Deeply Learning Deformable Facial Action Parts Model for
/// Dynamic Expression Analysis", ACCV 2014: "sampling in ID ascending order with step size equal to 10").
///
/// # Errors
/// [`Error::BadInput`] where a sample has no subject, or there are fewer subjects than folds.
pub fn by_subject(samples: &[Sample], count: usize) -> crate::Result<Vec<Fold>> {
    let mut of_subject: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, sample) in samples.iter().enumerate() {
        let subject = sample.subject.as_deref();
        let subject = subject.ok_or_else(|| Error::BadInput(format!("{}: its subject is not known", sample.name)))?;
        of_subject.entry(subject).or_default().push(number);
    }
    let found = of_subject.len();
    if found < count || count < 2 {
        let advice = match found {
            0 | 1 => "give a set with more of them".to_owned(),
            _ => format!("give more, or use crossval with --protocol folds:{found}"),
        };
        return Err(Error::BadInput(format!(
            "{count} folds that share no subject need at least {} subjects, and there are {found}; {advice}",
            count.max(2)
        )));
    }
    let groups: Vec<Vec<usize>> =
        deal(of_subject.into_values(), count).into_iter().map(|group| group.concat()).collect();
    Ok(one_against_the_rest(&groups))
}

/// `count` folds with each label's samples spread evenly, for sets that do not name the subject of each. Samples of a known subject
/// stay together.
///
/// # Errors
/// [`Error::BadInput`] where there are fewer samples than folds, those of a subject counting as one.
pub fn by_label(samples: &[Sample], count: usize, seed: u64) -> crate::Result<Vec<Fold>> {
    let mut together: Vec<Vec<usize>> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for number in shuffled((0..samples.len()).collect(), seed) {
        let next = together.len();
        let place = samples[number].subject.as_deref().map_or(next, |subject| *places.entry(subject).or_insert(next));
        match together.get_mut(place) {
            Some(numbers) => numbers.push(number),
            None => together.push(vec![number]),
        }
    }
    if together.len() < count || count < 2 {
        return Err(Error::BadInput(format!(
            "{count} folds of {} samples or tracks: give 2 folds or more, and more samples of different tracks",
            together.len()
        )));
    }
    together.sort_by_key(|numbers| numbers.first().map(|number| samples[*number].label as usize));
    let groups: Vec<Vec<usize>> = deal(together.into_iter(), count).into_iter().map(|group| group.concat()).collect();
    Ok(one_against_the_rest(&groups))
}

/// Items in turn to `count` groups.
fn deal<T>(items: impl Iterator<Item = T>, count: usize) -> Vec<Vec<T>> {
    let mut groups: Vec<Vec<T>> = (0..count).map(|_| Vec::new()).collect();
    for (number, item) in items.enumerate() {
        groups[number % count].push(item);
    }
    groups
}

/// Each group is the test part once, the others the training part.
fn one_against_the_rest(groups: &[Vec<usize>]) -> Vec<Fold> {
    (0..groups.len())
        .map(|fold| {
            let (test, train): (Vec<_>, Vec<_>) = groups.iter().enumerate().partition(|(group, _)| *group == fold);
            let mut train: Vec<usize> = train.into_iter().flat_map(|(_, group)| group.clone()).collect();
            let mut test: Vec<usize> = test.into_iter().flat_map(|(_, group)| group.clone()).collect();
            train.sort_unstable();
            test.sort_unstable();
            Fold { train, validation: Vec::new(), test }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use expression_core::Label;
    use expression_engine::Picture;

    use super::*;

    fn collection(subjects: usize, each: usize) -> Collection {
        let samples: Vec<Sample> = (0..subjects * each)
            .map(|number| {
                let picture = Picture { width: 1, height: 1, channels: 1, data: vec![0] };
                let subject = format!("S{:03}", number % subjects);
                Sample::labelled(format!("{number}"), Some(subject), picture, Label::ALL[number % Label::COUNT])
            })
            .collect();
        let folds = by_subject(&samples, 10).unwrap();
        Collection { name: "a set".into(), source: "nowhere".into(), samples, skipped: Vec::new(), folds }
    }

    const REQUEST: Request = Request { rendered: 0, limit: None, calibration: 40, seed: 3 };

    #[test]
    fn no_subject_is_in_two_parts_of_a_fold_and_each_sample_is_tested_once() {
        let set = collection(118, 7);
        let mut tested = vec![0; set.samples.len()];
        for fold in 0..10 {
            set.folds[fold].test.iter().for_each(|number| tested[*number] += 1);
            let data = set.fold(fold, REQUEST).unwrap();
            assert_eq!(data.len(), set.samples.len());
            let subjects = |part: &[Sample]| part.iter().filter_map(|s| s.subject.clone()).collect::<BTreeSet<_>>();
            let parts = [&data.train, &data.calibration, &data.test].map(|part| subjects(part));
            assert!(
                parts[0].is_disjoint(&parts[1]) && parts[0].is_disjoint(&parts[2]) && parts[1].is_disjoint(&parts[2])
            );
            assert!((40..47).contains(&data.calibration.len()), "{}", data.calibration.len());
        }
        assert!(tested.iter().all(|count| *count == 1));
    }

    #[test]
    fn subjects_are_dealt_in_ascending_order() {
        let set = collection(23, 2);
        let of = |fold: usize| -> BTreeSet<_> {
            set.folds[fold].test.iter().filter_map(|number| set.samples[*number].subject.clone()).collect()
        };
        assert_eq!(of(0), ["S000", "S010", "S020"].map(String::from).into());
        assert_eq!(of(9), ["S009", "S019"].map(String::from).into());
    }

    #[test]
    fn labels_are_spread_where_there_are_no_subjects() {
        let mut set = collection(100, 8);
        set.samples.iter_mut().for_each(|sample| sample.subject = None);
        for fold in by_label(&set.samples, 5, 1).unwrap() {
            let counts =
                Label::ALL.map(|label| fold.test.iter().filter(|number| set.samples[**number].label == label).count());
            assert!(counts.iter().all(|count| *count == 20), "{counts:?}");
        }
    }

    #[test]
    fn what_cannot_be_split_is_refused() {
        let mut set = collection(12, 3);
        assert!(by_subject(&set.samples, 13).is_err() && by_subject(&set.samples, 1).is_err());
        for (subjects, told) in [
            (0, "10 folds that share no subject need at least 10 subjects, and there are 0; give a set with more"),
            (1, "there are 1; give a set with more"),
            (2, "there are 2; give more, or use crossval with --protocol folds:2"),
        ] {
            let error = by_subject(&set.samples[..subjects], 10).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        // No fold would be without a test.
        let error = by_label(&set.samples, 13, 1).unwrap_err().to_string();
        assert!(error.contains("13 folds of 12 samples or tracks"), "{error}");
        assert!(set.fold(10, REQUEST).unwrap_err().to_string().contains("there are 1 to 10"));
        set.samples[5].subject = None;
        assert!(by_subject(&set.samples, 3).unwrap_err().to_string().starts_with("5: "));
    }

    /// A folder may hold faces of a board, whose tracks are known, and other pictures.
    #[test]
    fn samples_of_one_subject_among_others_without_one_do_not_calibrate_alone() {
        let mut set = collection(100, 2);
        set.samples[1..].iter_mut().for_each(|sample| sample.subject = None);
        set.folds = by_label(&set.samples, 5, 1).unwrap();
        for fold in 0..5 {
            assert_eq!(set.fold(fold, REQUEST).unwrap().calibration.len(), 32, "a fifth of 160");
        }
    }

    #[test]
    fn a_track_is_on_one_side_also_if_others_have_none() {
        let mut set = collection(40, 5);
        set.samples.iter_mut().skip(150).for_each(|sample| sample.subject = None);
        set.folds = by_label(&set.samples, 5, 1).unwrap();
        let mut tested = vec![0; set.samples.len()];
        for fold in 0..5 {
            set.folds[fold].test.iter().for_each(|number| tested[*number] += 1);
            let data = set.fold(fold, REQUEST).unwrap();
            let tracks = |part: &[Sample]| part.iter().filter_map(|s| s.subject.clone()).collect::<BTreeSet<_>>();
            let [train, calibration, test] = [&data.train, &data.calibration, &data.test].map(|part| tracks(part));
            assert!(train.is_disjoint(&calibration) && train.is_disjoint(&test) && calibration.is_disjoint(&test));
            assert!(!train.is_empty() && !calibration.is_empty() && !test.is_empty());
        }
        assert!(tested.iter().all(|count| *count == 1), "{tested:?}");
    }
}
