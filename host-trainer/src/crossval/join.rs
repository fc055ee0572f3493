//! The folds of a cross-validation joined to one table. It depends on what the folds wrote alone, and holds no times: it is
//! the same however the folds were run.

use std::fs;
use std::path::Path;

use expression_core::Label;
use expression_engine::files;
use serde::{Deserialize, Serialize};

use super::folder_of;
use crate::error::Error;
use crate::evaluate::{Metrics, metrics};
use crate::outcome::{Answer, MetricsFile};
use crate::run::{self, FoldOf, Identity};

/// What all folds gave together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    /// Name of the cross-validation: its folder's.
    pub name: String,
    /// The data set and how it is split.
    pub data: String,
    /// Where the pictures come from and under which terms.
    pub source: String,
    /// `--protocol`.
    pub protocol: String,
    /// Of names, subjects, labels and pictures of the whole set.
    pub data_sha256: String,
    /// `--seed`.
    pub seed: u64,
    /// How many folds the protocol has.
    pub count: usize,
    /// Numbers of the folds that are not finished.
    pub missing: Vec<usize>,
    /// A fold each, in ascending order.
    pub folds: Vec<FoldFigures>,
    /// Over folds: accuracy of the int8 and of the float net, and their macro recalls.
    pub int8_accuracy: Spread,
    /// See above.
    pub float_accuracy: Spread,
    /// See above.
    pub int8_macro_recall: Spread,
    /// See above.
    pub float_macro_recall: Spread,
    /// The int8 nets on the test samples of all folds together.
    pub int8: Metrics,
    /// The float nets on the same.
    pub float: Metrics,
    /// Share of these samples to which int8 and float give the same class.
    pub agreement: f64,
    /// The whole configuration, as TOML.
    pub config: String,
}

/// What one fold gave. Shares are of its test samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoldFigures {
    /// Its number, from 1.
    pub number: usize,
    /// How many samples: training, calibration, test.
    pub samples: [usize; 3],
    /// Right answers of the int8 net.
    pub int8_accuracy: f64,
    /// Right answers of the float net.
    pub float_accuracy: f64,
    /// Mean of the recalls of the labels that occur, by the int8 net.
    pub int8_macro_recall: f64,
    /// The same, by the float net.
    pub float_macro_recall: f64,
    /// Same answers of both.
    pub agreement: f64,
    /// Rungs of the parity ladder that do not hold.
    pub failing_rungs: Vec<u32>,
}

/// A figure over folds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The mean, each fold counting the same.
    pub mean: f64,
    /// The sample deviation (n - 1 below the line); none of a single fold.
    pub deviation: Option<f64>,
}

impl Spread {
    /// Returns the spread of one value per fold.
    pub fn of(values: &[f64]) -> Spread {
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt());
        Spread { mean, deviation }
    }
}

/// A sample's label and the classes that int8 and float answered, and whether its label has a majority.
type Line = (Label, [usize; 2], bool);

impl Joined {
    /// Joins the finished folds that lie in `folder`.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if there are none, a file is damaged, or folds were made with different configuration, data, seed or
    /// protocol.
    pub fn open(folder: &Path) -> crate::Result<Joined> {
        let begun = begun(folder)?;
        let (identity, fold) = begun.first().ok_or_else(|| {
            let advice = "give the folder RUNS/NAME of `host-trainer crossval`";
            Error::BadInput(format!("{}: no folds of a cross-validation here; {advice}", folder.display()))
        })?;
        for (other, of) in &begun[1..] {
            if let Some(what) = difference((identity, fold), (other, of)) {
                let [one, two] = [fold.number, of.number].map(folder_of);
                let advice = "train one of them again, or keep them under two names";
                let place = folder.display();
                return Err(Error::BadInput(format!("{place}: {one} and {two} differ in their {what}; {advice}")));
            }
        }
        let (mut missing, mut folds, mut lines, mut source) = (Vec::new(), Vec::new(), Vec::new(), None);
        for number in 1..=fold.count {
            let place = folder.join(folder_of(number));
            if place.join(run::METRICS).exists() && begun.iter().any(|(_, of)| of.number == number) {
                let (figures, of_fold, terms) = read(&place, number)?;
                folds.push(figures);
                lines.extend(of_fold);
                source.get_or_insert(terms);
            } else {
                missing.push(number)
            }
        }
        if folds.is_empty() {
            return Err(Error::BadInput(format!("{}: no fold is finished; go on by --resume", folder.display())));
        }
        let over = |figure: fn(&FoldFigures) -> f64| Spread::of(&folds.iter().map(figure).collect::<Vec<_>>());
        let ([int8, float], agreement) = figures(&lines);
        let name = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        Ok(Joined {
            name: name.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            data: fold.collection.clone(),
            source: source.unwrap_or_default(),
            protocol: fold.protocol.clone(),
            data_sha256: fold.collection_sha256.clone(),
            seed: identity.seed,
            count: fold.count,
            missing,
            int8_accuracy: over(|fold| fold.int8_accuracy),
            float_accuracy: over(|fold| fold.float_accuracy),
            int8_macro_recall: over(|fold| fold.int8_macro_recall),
            float_macro_recall: over(|fold| fold.float_macro_recall),
            folds,
            int8,
            float,
            agreement,
            config: toml::to_string(&identity.config)?,
        })
    }

    /// Which folds are missing, in words.
    pub fn missing_folds(&self) -> String {
        let numbers: Vec<String> = self.missing.iter().map(usize::to_string).collect();
        if numbers.is_empty() {
            "no fold is missing".into()
        } else {
            format!("missing of {} folds: {}", self.count, numbers.join(", "))
        }
    }
}

/// The folds that were begun in `folder`, in ascending order.
fn begun(folder: &Path) -> crate::Result<Vec<(Identity, FoldOf)>> {
    let unreadable = |error| Error::BadInput(format!("{}: {error}; give the folder RUNS/NAME", folder.display()));
    let mut begun = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let Some(identity) = Identity::read(&path) else { continue };
        let Some(fold) = identity.fold.clone() else { continue };
        // A copy under another name is not a fold.
        if path.file_name().is_some_and(|name| name == folder_of(fold.number).as_str()) {
            begun.push((identity, fold));
        }
    }
    begun.sort_by_key(|(_, fold)| fold.number);
    Ok(begun)
}

/// Returns what two folds were made with differently, if they cannot be joined.
fn difference(one: (&Identity, &FoldOf), two: (&Identity, &FoldOf)) -> Option<&'static str> {
    let differences = [
        ("protocol", (&one.1.protocol, one.1.count) != (&two.1.protocol, two.1.count)),
        ("seed", one.0.seed != two.0.seed),
        ("data", one.1.collection_sha256 != two.1.collection_sha256),
        ("configuration", (&one.0.config, one.0.limit) != (&two.0.config, two.0.limit)),
    ];
    differences.into_iter().find(|(_, differ)| *differ).map(|(what, _)| what)
}

/// Figures, answers and terms of the finished fold in `folder`.
fn read(folder: &Path, number: usize) -> crate::Result<(FoldFigures, Vec<Line>, String)> {
    let damaged = |name: &str, reason: &dyn std::fmt::Display| {
        let place = folder.join(name);
        Error::BadInput(format!("{}: damaged ({reason}); train with --fold {number} again", place.display()))
    };
    let bytes = files::read(&folder.join(run::METRICS))?;
    let MetricsFile { run, .. } = serde_json::from_slice(&bytes).map_err(|error| damaged(run::METRICS, &error))?;
    let class = |name: &str| Label::from_name(name).ok_or_else(|| damaged(run::ANSWERS, &format!("label {name:?}")));
    let text = files::read(&folder.join(run::ANSWERS))?;
    let mut lines = Vec::new();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let answer: Answer = serde_json::from_slice(line).map_err(|error| damaged(run::ANSWERS, &error))?;
        let answers = [class(&answer.int8)? as usize, class(&answer.float)? as usize];
        lines.push((class(&answer.label)?, answers, answer.majority));
    }
    if lines.len() != run.samples[2] {
        return Err(damaged(run::ANSWERS, &format!("{} lines of {}", lines.len(), run.samples[2])));
    }
    let ([int8, float], agreement) = figures(&lines);
    let figures = FoldFigures {
        number,
        samples: run.samples,
        int8_accuracy: int8.accuracy,
        float_accuracy: float.accuracy,
        int8_macro_recall: int8.macro_recall,
        float_macro_recall: float.macro_recall,
        agreement,
        failing_rungs: run.parity.iter().filter(|rung| !rung.holds).map(|rung| rung.number).collect(),
    };
    Ok((figures, lines, run.source))
}

/// Metrics of int8 and float, and the share of equal answers.
fn figures(lines: &[Line]) -> ([Metrics; 2], f64) {
    let of = |net: usize| {
        Metrics::from_answers(lines.iter().map(|(label, answers, majority)| (*label, answers[net], *majority)))
    };
    let [int8, float] = [0, 1].map(|net| lines.iter().map(|(_, answers, _)| answers[net]).collect::<Vec<_>>());
    ([of(0), of(1)], metrics::agreement(&int8, &float))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_over_folds_is_that_of_a_sample() {
        let spread = Spread::of(&[0.2, 0.4, 0.9]);
        assert!((spread.mean - 0.5).abs() < 1e-12);
        // Squares 0.09, 0.01, 0.16 over n - 1 = 2.
        assert!((spread.deviation.unwrap() - 0.13f64.sqrt()).abs() < 1e-12);
        assert_eq!(Spread::of(&[0.7]), Spread { mean: 0.7, deviation: None });
    }
}
