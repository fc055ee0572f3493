//! A bundle measured on samples, by the board's own code.

use std::collections::BTreeMap;

use expression_core::Label;
use expression_engine::expression::FloatEngine;
use expression_engine::{Bundle, Engine, bundle};
use rayon::prelude::*;
use serde::Serialize;

use super::by_class::{OfClass, Share, by_class, calibration_error, macro_f1};
use super::metrics::agreement;
use super::{Comparison, Metrics};
use crate::dataset::{Part, Sample};

/// What a bundle answers on one part of a data set: one centre crop per picture, nothing averaged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Name of the bundle.
    pub bundle: String,
    /// Data set and part.
    pub data: String,
    /// The int8 net, run by the edge engine.
    pub int8: Metrics,
    /// Its accuracy with the 95 % interval.
    pub accuracy: Option<Share>,
    /// Its precision, recall and F1 for each label.
    pub classes: Vec<OfClass>,
    /// Its mean F1 over the labels that occur.
    pub macro_f1: f64,
    /// Its expected calibration error, 0 to 1.
    pub calibration_error: f64,
    /// The float net, if the bundle holds it.
    pub float: Option<Metrics>,
    /// Share of samples to which both give the same label.
    pub agreement: Option<f64>,
    /// How many pictures are in the training part too.
    pub copies: usize,
    /// The int8 net on the other pictures, if there are copies and others.
    pub int8_without_copies: Option<Metrics>,
    /// Pictures that could not be read.
    pub skipped: usize,
    /// What the manifest says of the model: its figures when it was made.
    pub manifest: BTreeMap<String, f64>,
    /// The int8 net's answers, in the order of the samples.
    #[serde(skip)]
    pub answers: Vec<Answer>,
}

/// An answer of the int8 net.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// The label.
    pub label: Label,
    /// Its probability.
    pub probability: f32,
}

impl Evaluation {
    /// Runs `bundle`, verified and self-tested before, on `part`.
    ///
    /// # Errors
    /// Returns an error if a graph cannot be run.
    pub fn new(bundle: &Bundle, engine: &Engine, part: &Part) -> crate::Result<Evaluation> {
        let labels = engine.labels();
        let faces = part
            .samples
            .par_iter()
            .map(|sample| Ok(sample.picture.aligned_face(engine.input())?))
            .collect::<crate::Result<Vec<_>>>()?;
        let answers = of_faces(&faces, |face| {
            let scores = engine.classify(face)?;
            Ok(Answer { label: labels[scores.class], probability: scores.probability[scores.class] })
        })?;
        let classes: Vec<usize> = answers.iter().map(|answer| answer.label as usize).collect();
        let float = if bundle.has(bundle::FLOAT) {
            let float = FloatEngine::from_bytes(&bundle.read(bundle::FLOAT)?, engine.input())?;
            Some(of_faces(&faces, |face| Ok(labels[largest(&float.logits(&engine.seen(face))?)] as usize))?)
        } else {
            None
        };
        let copies = part.copies.iter().filter(|copy| **copy).count();
        let rest = part.samples.iter().zip(&classes).zip(&part.copies).filter(|(_, copy)| !**copy);
        let rest = rest.map(|((sample, answer), _)| (sample.label, *answer, sample.majority));
        let int8 = Metrics::new(&part.samples, &classes);
        let right = || answers.iter().zip(&part.samples).map(|(answer, sample)| answer.label == sample.label);
        let by_class = by_class(&int8);
        Ok(Evaluation {
            copies,
            int8_without_copies: (1..answers.len()).contains(&copies).then(|| Metrics::from_answers(rest)),
            bundle: bundle.manifest().name.clone(),
            data: part.name.clone(),
            accuracy: Share::of(right().filter(|right| *right).count(), answers.len()),
            macro_f1: macro_f1(&by_class),
            classes: by_class,
            calibration_error: calibration_error(answers.iter().map(|answer| answer.probability).zip(right())),
            agreement: float.as_ref().map(|float| agreement(float, &classes)),
            float: float.map(|float| Metrics::new(&part.samples, &float)),
            int8,
            skipped: part.skipped.len(),
            manifest: bundle.manifest().metrics.clone(),
            answers,
        })
    }

    /// Returns the comparison with an older bundle on the same samples.
    pub fn compared_with(&self, old: &Evaluation, samples: &[Sample]) -> Comparison {
        let pairs = samples.iter().zip(old.answers.iter().zip(&self.answers));
        Comparison::new(pairs.map(|(sample, (old, new))| (old.label == sample.label, new.label == sample.label)))
    }

    /// Returns the samples that were answered wrongly, those first of whose wrong answer the net is surest.
    pub fn mistakes<'a>(&'a self, samples: &'a [Sample]) -> Vec<(&'a Sample, Answer)> {
        let pairs = samples.iter().zip(self.answers.iter().copied());
        let mut wrong: Vec<_> = pairs.filter(|(sample, answer)| answer.label != sample.label).collect();
        wrong.sort_by(|(_, a), (_, b)| b.probability.total_cmp(&a.probability));
        wrong
    }

    /// Writes the answers as CSV: sample, subject, label, answer, probability and whether it is right.
    ///
    /// # Errors
    /// Returns an error if the writer fails.
    pub fn csv(&self, samples: &[Sample], to: impl std::io::Write) -> crate::Result<()> {
        let mut table = csv::Writer::from_writer(to);
        table.write_record(["sample", "subject", "label", "answer", "probability", "right"])?;
        for (sample, answer) in samples.iter().zip(&self.answers) {
            table.write_record([
                sample.name.as_str(),
                sample.subject.as_deref().unwrap_or_default(),
                sample.label.name(),
                answer.label.name(),
                format!("{:.4}", answer.probability).as_str(),
                if answer.label == sample.label { "1" } else { "0" },
            ])?;
        }
        Ok(table.flush()?)
    }

    /// The figures as a table for people.
    pub fn table(&self) -> String {
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        let row = |name: &str, value: &str| format!("  {name:<28} {value}\n");
        let skipped = match self.skipped {
            0 => String::new(),
            count => format!("; {count} pictures of the set could not be read"),
        };
        let mut text = format!("{} on {}: {} samples{skipped}\n", self.bundle, self.data, self.int8.samples);
        for (name, metrics) in [("int8", Some(&self.int8)), ("float", self.float.as_ref())] {
            let Some(metrics) = metrics else { continue };
            let interval = self.accuracy.filter(|_| name == "int8").map_or(String::new(), |share| {
                format!(" (95 % interval {:.2} to {:.2} %)", 100.0 * share.low, 100.0 * share.high)
            });
            text += &row(&format!("{name} accuracy"), &format!("{}{interval}", percent(metrics.accuracy)));
            text += &row(&format!("{name} accuracy, majority"), &percent(metrics.accuracy_majority));
            text += &row(&format!("{name} macro recall"), &percent(metrics.macro_recall));
        }
        text += &row("int8 macro F1", &percent(self.macro_f1));
        text += &row("int8 calibration error (ECE)", &percent(self.calibration_error));
        if let Some(rest) = &self.int8_without_copies {
            text += &format!("without {} copies of training pictures: {} samples\n", self.copies, rest.samples);
            text += &row("int8 accuracy", &percent(rest.accuracy));
            text += &row("int8 accuracy, majority", &percent(rest.accuracy_majority));
            text += &row("int8 macro recall", &percent(rest.macro_recall));
        } else if self.copies > 0 {
            text += "all pictures are in the training part too: these figures say nothing about new pictures\n";
        }
        if let Some(share) = self.agreement {
            text += &row("int8 and float agree", &percent(share));
        }
        text + &self.class_table() + &self.confusion_table()
    }

    /// Precision, recall and F1 of each label, with 95 % intervals.
    fn class_table(&self) -> String {
        let share = |share: Option<Share>| share.map_or_else(|| "-".to_owned(), |share| share.to_string());
        let mut text = format!(
            "  {:<10} {:>7} {:>7}  {:<24} {:<24} {}\n",
            "label", "samples", "answers", "precision (95 %)", "recall (95 %)", "F1"
        );
        for OfClass { label, samples, answers, precision, recall, f1 } in &self.classes {
            let f1 = f1.map_or_else(|| "-".to_owned(), |f1| format!("{:.1} %", 100.0 * f1));
            let (precision, recall) = (share(*precision), share(*recall));
            text += &format!("  {label:<10} {samples:>7} {answers:>7}  {precision:<24} {recall:<24} {f1}\n");
        }
        text
    }

    /// The confusion matrix: one row per label, one column per answer.
    fn confusion_table(&self) -> String {
        let short = |label: &Label| label.name().chars().take(7).collect::<String>();
        let heads: String = Label::ALL.iter().map(|label| format!(" {:>7}", short(label))).collect();
        let mut text = format!("  {:<10}{heads}  (rows: label, columns: answer)\n", "confusion");
        for (label, row) in Label::ALL.iter().zip(&self.int8.confusion) {
            let cells: String = row.iter().map(|count| format!(" {count:>7}")).collect();
            text += &format!("  {:<10}{cells}\n", label.name());
        }
        text
    }
}

/// What `answer` gives for each face.
fn of_faces<T: Send>(faces: &[Vec<u8>], answer: impl Fn(&[u8]) -> crate::Result<T> + Sync) -> crate::Result<Vec<T>> {
    let answer = |face: &Vec<u8>| {
        crate::interrupt::check()?;
        answer(face)
    };
    faces.par_iter().map(answer).collect()
}

/// The place of the largest value; the first of equals.
fn largest(values: &[f32]) -> usize {
    (0..values.len()).reduce(|best, place| if values[place] > values[best] { place } else { best }).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreadable_pictures_and_a_part_of_copies_alone_are_told() {
        let int8 = Metrics::from_answers([(Label::Fear, Label::Fear as usize, true)].into_iter());
        let classes = by_class(&int8);
        let evaluation = Evaluation {
            bundle: "a".into(),
            data: "b".into(),
            accuracy: Share::of(1, 1),
            macro_f1: macro_f1(&classes),
            classes,
            calibration_error: 0.0,
            int8,
            float: None,
            agreement: None,
            copies: 1,
            int8_without_copies: None,
            skipped: 2,
            manifest: BTreeMap::new(),
            answers: Vec::new(),
        };
        assert!(evaluation.table().starts_with("a on b: 1 samples; 2 pictures of the set could not be read\n"));
        let told = "all pictures are in the training part too";
        assert!(evaluation.table().contains(told));
        assert!(!Evaluation { copies: 0, ..evaluation }.table().contains(told));
    }
}
