//! A labelled face picture, and a data set split for one run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use expression_core::Label;
use expression_engine::{Picture, memory};
use sha2::{Digest, Sha256};

use super::cut;
use crate::error::Error;
use crate::interrupt;

/// Unreadable pictures that are named one by one; the rest is counted.
const MAX_NAMED: usize = 3;
/// So many tracks or people are enough for each part to have some.
const MIN_SUBJECTS: usize = 10;
/// Why a picture that a list names is left out.
const MISSING: &str = "no such picture";
/// Why a link is left out, as git-annex and DVC make them.
const DANGLING: &str = "a link to a file that is not here; fetch it";

/// Why a picture is left out that does not fit into memory.
const NO_ROOM: &str = "no memory left for it beside the pictures before it";
/// The pictures of a part may take this part of the available memory: training needs the rest.
const PART_OF_MEMORY: u64 = 2;

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
                let all = [&self.train, &self.calibration, &self.test].into_iter().flatten();
                let more = match all.filter_map(|sample| sample.subject.as_deref()).collect::<BTreeSet<_>>().len() {
                    // More pictures of the same would go to the same part.
                    count @ 1..MIN_SUBJECTS => format!("pictures of more tracks or people than {count}"),
                    _ => "more pictures".to_owned(),
                };
                return Err(Error::BadInput(format!(
                    "{}: {} samples for the {part} part; give {more}, or a higher --limit if there is one",
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
/// Returns [`Error::BadInput`] with the first of the pictures and what to do, and [`interrupt::Interrupted`] if reading was
/// interrupted.
pub fn few_skipped(name: &str, skipped: &[String], read: usize) -> crate::Result<()> {
    interrupt::check_signal()?;
    let (count, all) = (skipped.len(), read + skipped.len());
    let Some(first) = skipped.first().filter(|_| count * 100 > all) else { return Ok(()) };
    let [missing, faceless] =
        [MISSING, cut::NO_FACE].map(|end| skipped.iter().filter(|reason| reason.ends_with(end)).count());
    let advice = match missing {
        _ if skipped.iter().any(|reason| reason.ends_with(NO_ROOM)) => {
            "give fewer or smaller pictures: 512 pixels a side are enough for a face".to_owned()
        }
        _ if faceless > 0 => {
            format!(
                "no face is found in {faceless}: use the aligned faces of the set if it has them, or remove these pictures"
            )
        }
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

/// Reads pictures in parallel; the unreadable ones, those that `sample` refuses, and those that do not fit into half of the
/// available memory are named instead. After Ctrl-C there are none, and [`few_skipped`] says why.
pub fn read_all<T: Sync>(
    items: &[T],
    path: impl Fn(&T) -> PathBuf + Sync,
    sample: impl Fn(&T, &Path, Picture) -> Result<Sample, String> + Sync,
) -> (Vec<Sample>, Vec<String>) {
    let (samples, skipped) = read_unlogged(items, path, sample);
    skipped.iter().take(MAX_NAMED).for_each(|reason| tracing::warn!("skipped: {reason}"));
    if let Some(more @ 1..) = skipped.len().checked_sub(MAX_NAMED) {
        tracing::warn!("skipped: {more} more pictures that could not be read");
    }
    (samples, skipped)
}

/// As [`read_all`], for pictures that are read elsewhere too: the unreadable ones are logged there.
pub fn read_unlogged<T: Sync>(
    items: &[T],
    path: impl Fn(&T) -> PathBuf + Sync,
    sample: impl Fn(&T, &Path, Picture) -> Result<Sample, String> + Sync,
) -> (Vec<Sample>, Vec<String>) {
    let room = memory::available().map_or(u64::MAX, |bytes| bytes / PART_OF_MEMORY);
    read_within(room, items, path, sample)
}

/// As [`read_unlogged`], with pictures of at most `room` bytes in all.
fn read_within<T: Sync>(
    room: u64,
    items: &[T],
    path: impl Fn(&T) -> PathBuf + Sync,
    sample: impl Fn(&T, &Path, Picture) -> Result<Sample, String> + Sync,
) -> (Vec<Sample>, Vec<String>) {
    use rayon::prelude::*;
    let left = AtomicU64::new(room);
    let fits = |sample: &Sample| {
        let bytes = sample.picture.data.len() as u64;
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    };
    let read: Vec<Result<Sample, String>> = items
        .par_iter()
        .map(|item| {
            if interrupt::check_signal().is_err() {
                return Err(String::new());
            }
            let path = path(item);
            if !path.exists() {
                let reason = if path.is_symlink() { DANGLING } else { MISSING };
                return Err(format!("{}: {reason}", path.display()));
            }
            let picture = Picture::open(&path).map_err(|error| error.to_string())?;
            let sample = sample(item, &path, picture).map_err(|reason| format!("{}: {reason}", path.display()))?;
            if fits(&sample) { Ok(sample) } else { Err(format!("{}: {NO_ROOM}", path.display())) }
        })
        .collect();
    let (mut samples, mut skipped) = (Vec::new(), Vec::new());
    if interrupt::check_signal().is_err() {
        return (samples, skipped);
    }
    for result in read {
        match result {
            Ok(sample) => samples.push(sample),
            Err(reason) => skipped.push(reason),
        }
    }
    (samples, skipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_that_do_not_fit_into_memory_are_refused_with_what_helps() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..5).map(|number| format!("{number}.png")).collect();
        for name in &names {
            image::GrayImage::new(8, 8).save(folder.path().join(name)).unwrap();
        }
        let read = |room| {
            let path = |name: &String| folder.path().join(name);
            let sample =
                |name: &String, _: &Path, picture| Ok(Sample::labelled(name.clone(), None, picture, Label::Fear));
            read_within(room, &names, path, sample)
        };
        // A picture takes 64 bytes.
        let (samples, skipped) = read(150);
        assert_eq!((samples.len(), skipped.len()), (2, 3));
        let error = few_skipped("a set", &skipped, samples.len()).unwrap_err().to_string();
        assert!(error.contains("3 of 5 pictures") && error.contains("fewer or smaller pictures"), "{error}");
        assert_eq!(read(5 * 64).0.len(), 5);
    }

    #[test]
    fn pictures_without_a_face_are_not_to_be_repaired() {
        let skipped = [format!("a.png: {}", cut::NO_FACE), "b.png: it is cut off".to_owned()];
        let error = few_skipped("a set", &skipped, 98).unwrap_err().to_string();
        assert!(
            error.contains("2 of 100") && error.contains("no face is found in 1: use the aligned faces"),
            "{error}"
        );
    }
}
