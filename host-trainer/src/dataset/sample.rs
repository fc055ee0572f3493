//! A labelled face picture, and a data set split for one run.

use std::path::{Path, PathBuf};

use expression_core::Label;
use expression_engine::Picture;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// Unreadable pictures that are named one by one; the rest is counted.
const MAX_NAMED: usize = 3;
/// Why a picture that a list names is left out.
const MISSING: &str = "no such picture";
/// Why a link is left out, as git-annex and DVC make them.
const DANGLING: &str = "a link to a file that is not here; fetch it";

/// A labelled face picture.
#[derive(Debug, Clone)]
pub struct Sample {
    /// File name, or seed and number of a rendered face.
    pub name: String,
    /// Who it shows, where the data set tells.
    pub subject: Option<String>,
    /// The picture as the data set has it.
    pub picture: Picture,
    /// Share of the votes for each label; they add up to 1.
    pub distribution: [f32; Label::COUNT],
    /// The label with most votes; the first of equals.
    pub label: Label,
    /// Whether more than half of all votes are for `label`.
    pub majority: bool,
}

impl Sample {
    /// A sample that has one label and no votes.
    pub fn labelled(name: String, subject: Option<String>, picture: Picture, label: Label) -> Sample {
        let mut distribution = [0.0; Label::COUNT];
        distribution[label as usize] = 1.0;
        Sample { name, subject, picture, distribution, label, majority: true }
    }
}

/// A data set split for one run. No sample is in two parts; no subject is in training and test where subjects are known.
#[derive(Debug, Clone)]
pub struct DataSet {
    /// What was asked for, for reports.
    pub name: String,
    /// Where the pictures come from and under which terms.
    pub source: String,
    /// Seen by stage one and stage two.
    pub train: Vec<Sample>,
    /// Held out from training: activation ranges, learning curves, every choice.
    pub calibration: Vec<Sample>,
    /// What results are reported on. Nothing is chosen by it.
    pub test: Vec<Sample>,
    /// Pictures that could not be read: file and reason.
    pub skipped: Vec<String>,
}

impl DataSet {
    /// How many samples all parts hold.
    pub fn len(&self) -> usize {
        self.train.len() + self.calibration.len() + self.test.len()
    }

    /// Whether no part holds a sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// sha256 of names, subjects, labels and pictures of all parts.
    pub fn sha256(&self) -> String {
        sha256([&self.train[..], &self.calibration, &self.test])
    }

    /// What every source promises: enough samples, and few that could not be read.
    ///
    /// # Errors
    /// [`Error::BadInput`] where a part is empty or more than 1 % of the pictures could not be read.
    pub fn checked(self) -> crate::Result<DataSet> {
        few_skipped(&self.name, &self.skipped, self.len())?;
        for (part, samples) in [("training", &self.train), ("calibration", &self.calibration), ("test", &self.test)] {
            if samples.len() < 2 {
                return Err(Error::BadInput(format!(
                    "{}: {} samples for the {part} part; give more pictures, or a higher --limit if there is one",
                    self.name,
                    samples.len()
                )));
            }
        }
        Ok(self)
    }
}

/// One part of a data set, to be measured on.
#[derive(Debug, Clone)]
pub struct Part {
    /// Data set and part, for reports.
    pub name: String,
    /// Where the pictures come from and under which terms.
    pub source: String,
    /// In the data set's order.
    pub samples: Vec<Sample>,
    /// Pictures that could not be read: file and reason.
    pub skipped: Vec<String>,
    /// Of each sample, whether its picture is in the training part too; empty if that was not looked for.
    pub copies: Vec<bool>,
}

impl Part {
    /// What every source promises: samples, and few that could not be read.
    ///
    /// # Errors
    /// [`Error::BadInput`] where there are none or more than 1 % of the pictures could not be read.
    pub fn checked(self) -> crate::Result<Part> {
        few_skipped(&self.name, &self.skipped, self.samples.len())?;
        match self.samples.is_empty() {
            true => Err(Error::BadInput(format!("{}: no samples", self.name))),
            false => Ok(self),
        }
    }
}

/// Refuses a set of which more than 1 % could not be read.
///
/// # Errors
/// Returns [`Error::BadInput`] with the first of the pictures and what to do.
pub fn few_skipped(name: &str, skipped: &[String], read: usize) -> crate::Result<()> {
    let (count, all) = (skipped.len(), read + skipped.len());
    let Some(first) = skipped.first().filter(|_| count * 100 > all) else { return Ok(()) };
    let missing = skipped.iter().filter(|reason| reason.ends_with(MISSING)).count();
    let advice = match missing {
        0 => "repair or remove them".to_owned(),
        _ => format!("add the {missing} missing pictures, or remove them from the list"),
    };
    Err(Error::BadInput(format!(
        "{name}: {count} of {all} pictures could not be read, more than 1 %; the first: {first}; {advice}"
    )))
}

/// Refuses a list of which no picture is there, as when the pictures were never unpacked or have other names.
///
/// # Errors
/// Returns [`Error::BadInput`] with the folder of the first picture, its name and `advice`.
pub fn require_any(list: &Path, pictures: impl Iterator<Item = PathBuf>, advice: &str) -> crate::Result<()> {
    let pictures: Vec<PathBuf> = pictures.collect();
    let Some(first) = pictures.first().filter(|_| !pictures.iter().any(|path| path.exists())) else { return Ok(()) };
    let (folder, count) = (first.parent().unwrap_or(first).display(), pictures.len());
    let (first, list) = (first.file_name().unwrap_or_default(), list.file_name().unwrap_or_default());
    Err(Error::BadInput(format!(
        "{folder}: no pictures: none of the {count} pictures listed in {} exists, for example {}; {advice}",
        list.display(),
        first.display()
    )))
}

/// sha256 of names, subjects, labels and pictures of parts of a data set, in their order.
pub fn sha256<const PARTS: usize>(parts: [&[Sample]; PARTS]) -> String {
    let mut hash = Sha256::new();
    for (part, samples) in parts.into_iter().enumerate() {
        for sample in samples {
            let Picture { width, height, channels, data } = &sample.picture;
            let distribution = sample.distribution.map(f32::to_bits);
            let who = (&sample.name, &sample.subject);
            hash.update(format!("{part} {who:?} {distribution:?} {width} {height} {channels}"));
            hash.update(data);
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads pictures in parallel; the unreadable ones, and those that `sample` refuses, are named instead.
pub fn read_all<T: Sync>(
    items: &[T],
    path: impl Fn(&T) -> PathBuf + Sync,
    sample: impl Fn(&T, &Path, Picture) -> Result<Sample, String> + Sync,
) -> (Vec<Sample>, Vec<String>) {
    use rayon::prelude::*;
    let read: Vec<Result<Sample, String>> = items
        .par_iter()
        .map(|item| {
            let path = path(item);
            if !path.exists() {
                let reason = if path.is_symlink() { DANGLING } else { MISSING };
                return Err(format!("{}: {reason}", path.display()));
            }
            let picture = Picture::open(&path).map_err(|error| error.to_string())?;
            sample(item, &path, picture).map_err(|reason| format!("{}: {reason}", path.display()))
        })
        .collect();
    let (mut samples, mut skipped) = (Vec::new(), Vec::new());
    for result in read {
        match result {
            Ok(sample) => samples.push(sample),
            Err(reason) => skipped.push(reason),
        }
    }
    skipped.iter().take(MAX_NAMED).for_each(|reason| tracing::warn!("skipped: {reason}"));
    if let Some(more @ 1..) = skipped.len().checked_sub(MAX_NAMED) {
        tracing::warn!("skipped: {more} more pictures that could not be read");
    }
    (samples, skipped)
}
