//! A bundle measured on samples, by the board's own code.

use std::collections::BTreeMap;

use expression_core::Label;
use expression_engine::expression::FloatEngine;
use expression_engine::{Bundle, Engine, bundle};
use rayon::prelude::*;
use serde::Serialize;

use super::Metrics;
use super::metrics::agreement;
use crate::dataset::Part;

/// What a bundle answers on one part of a data set: one centre crop a picture, nothing averaged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Name of the bundle.
    pub bundle: String,
    /// Data set and part.
    pub data: String,
    /// The int8 net, run by the edge engine.
    pub int8: Metrics,
    /// The float net, where the bundle holds it.
    pub float: Option<Metrics>,
    /// Share of samples to which both give the same label.
    pub agreement: Option<f64>,
    /// How many pictures are in the training part too, pixel by pixel.
    pub copies: usize,
    /// The int8 net on the other pictures, if there are copies.
    pub int8_without_copies: Option<Metrics>,
    /// Pictures that could not be read.
    pub skipped: usize,
    /// What the manifest says of the model: its figures when it was made.
    pub manifest: BTreeMap<String, f64>,
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
        let int8 = answers(&faces, labels, |face| Ok(engine.classify(face)?.class))?;
        let float = if bundle.has(bundle::FLOAT) {
            let float = FloatEngine::from_bytes(&bundle.read(bundle::FLOAT)?, engine.input())?;
            Some(answers(&faces, labels, |face| Ok(largest(&float.logits(&engine.seen(face))?)))?)
        } else {
            None
        };
        let copies = part.copies.iter().filter(|copy| **copy).count();
        let rest = part.samples.iter().zip(&int8).zip(&part.copies).filter(|(_, copy)| !**copy);
        let rest = rest.map(|((sample, answer), _)| (sample.label, *answer, sample.majority));
        Ok(Evaluation {
            copies,
            int8_without_copies: (copies > 0).then(|| Metrics::from_answers(rest)),
            bundle: bundle.manifest().name.clone(),
            data: part.name.clone(),
            agreement: float.as_ref().map(|float| agreement(float, &int8)),
            float: float.map(|float| Metrics::new(&part.samples, &float)),
            int8: Metrics::new(&part.samples, &int8),
            skipped: part.skipped.len(),
            manifest: bundle.manifest().metrics.clone(),
        })
    }

    /// The figures as a table for people.
    pub fn table(&self) -> String {
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        let row = |name: &str, value: &str| format!("  {name:<28} {value}\n");
        let mut text = format!("{} on {}: {} samples\n", self.bundle, self.data, self.int8.samples);
        for (name, metrics) in [("int8", Some(&self.int8)), ("float", self.float.as_ref())] {
            let Some(metrics) = metrics else { continue };
            text += &row(&format!("{name} accuracy"), &percent(metrics.accuracy));
            text += &row(&format!("{name} accuracy, majority"), &percent(metrics.accuracy_majority));
            text += &row(&format!("{name} macro recall"), &percent(metrics.macro_recall));
        }
        if let Some(rest) = &self.int8_without_copies {
            text += &format!("without {} copies of training pictures: {} samples\n", self.copies, rest.samples);
            text += &row("int8 accuracy", &percent(rest.accuracy));
            text += &row("int8 accuracy, majority", &percent(rest.accuracy_majority));
            text += &row("int8 macro recall", &percent(rest.macro_recall));
        }
        if let Some(share) = self.agreement {
            text += &row("int8 and float agree", &percent(share));
        }
        for (label, recall) in Label::ALL.iter().zip(&self.int8.recall) {
            let recall = recall.map_or("does not occur".into(), percent);
            text += &row(&format!("int8 recall, {}", label.name()), &recall);
        }
        text
    }
}

/// The labels, by their numbers, that `class` names for faces by places in `labels`.
fn answers(
    faces: &[Vec<u8>],
    labels: &[Label],
    class: impl Fn(&[u8]) -> crate::Result<usize> + Sync,
) -> crate::Result<Vec<usize>> {
    let answer = |face: &Vec<u8>| {
        crate::interrupt::check()?;
        Ok(labels[class(face)?] as usize)
    };
    faces.par_iter().map(answer).collect()
}

/// The place of the largest value; the first of equals.
fn largest(values: &[f32]) -> usize {
    (0..values.len()).reduce(|best, place| if values[place] > values[best] { place } else { best }).unwrap_or(0)
}
