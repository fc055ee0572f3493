//! How much of a net's accuracy and how many of its labels survive disturbances, by the board's own code.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use expression_core::Label;
use expression_engine::face::{AlignedFace, FaceFinder};
use expression_engine::{Bundle, Detector, Engine, Picture, bundle};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::disturb::Disturbance;
use super::interval;
use crate::dataset::{Sample, listing};
use crate::error::Error;
use crate::random::rng;

/// Name of the first row.
const UNTOUCHED: &str = "untouched";
/// Distance of the eyes in an aligned face, as a share of its side: that of the aligner's template.
const EYE_DISTANCE: f32 = 0.4;

/// A table of disturbances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Robustness {
    /// What was disturbed, for people.
    pub data: String,
    /// How many faces.
    pub faces: usize,
    /// How many of them are confident: untouched, they get a label with a probability of at least `least`.
    pub confident: usize,
    /// The probability below which the board gives no label.
    pub least: f32,
    /// The untouched faces, then each disturbance.
    pub rows: Vec<Row>,
}

/// What a disturbance does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub disturbance: String,
    /// Share of right answers; none if the faces have no labels.
    pub accuracy: Option<f64>,
    /// The same, of the faces with a majority of the votes.
    pub accuracy_majority: Option<f64>,
    /// Share of the confident faces to which the net gives another label, however unsure it then is.
    pub flips: f64,
    /// The 95 % interval of that share.
    pub flips_interval: [f64; 2],
    /// Share of the confident faces that get no label any more: they are not found, cannot be read or make the net unsure.
    pub unlabelled: f64,
}

/// A face's answer: the class and its probability; none if there is no face or it cannot be read.
type Answer = Option<(usize, f32)>;
/// A label, and whether it has a majority of the votes.
type Truth = (Label, bool);

impl Robustness {
    /// Disturbs pictures that show just a face: at most `limit` of `samples`, evenly spaced. `least`: the probability below which
    /// the board gives no label.
    ///
    /// # Errors
    /// Returns an error if the run is interrupted, a picture is empty or the engine fails.
    pub fn of_samples(
        engine: &Engine,
        least: f32,
        data: &str,
        samples: &[Sample],
        limit: usize,
        seed: u64,
    ) -> crate::Result<Robustness> {
        let step = samples.len().div_ceil(limit.max(1)).max(1);
        let some: Vec<&Sample> = samples.iter().step_by(step).collect();
        let input = engine.input();
        let answer = |number: usize, disturbance: Option<Disturbance>| -> crate::Result<Answer> {
            let picture = &some[number].picture;
            let unit = picture.width.min(picture.height) as f32 / input.aligned as f32;
            let face = match disturbance {
                None => picture.aligned_face(input)?,
                Some(disturbance) => {
                    disturbance.of(picture, unit, input.aligned, &mut generator(seed, number))?.aligned_face(input)?
                }
            };
            of_face(engine, &face)
        };
        let truths: Vec<Truth> = some.iter().map(|sample| (sample.label, sample.majority)).collect();
        Robustness::new(data, engine.labels(), least, some.len(), Some(&truths), answer)
    }

    /// Disturbs the whole photographs in a folder and those below it, and looks for the largest face of each anew. Photographs that
    /// cannot be read, or have no face that can be, are left out and counted.
    ///
    /// # Errors
    /// Returns an error if the run is interrupted, the bundle has no detector, or no photograph has a face.
    pub fn of_photographs(
        bundle: &Bundle,
        engine: &Engine,
        least: f32,
        folder: &Path,
        seed: u64,
    ) -> crate::Result<Robustness> {
        let detector = bundle.read(bundle::DETECTOR)?;
        // A finder for each thread that asks for one at the same time.
        let spare = Mutex::new(Vec::new());
        let largest = |picture: &Picture| -> crate::Result<Option<AlignedFace>> {
            let Some(view) = picture.view() else { return Ok(None) };
            let ready = spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut finder = match ready {
                Some(finder) => finder,
                None => FaceFinder::new(Detector::from_onnx(&detector)?, engine.input()),
            };
            let face = finder.find(view).into_iter().next().filter(|face| face.pixels.is_some());
            spare.lock().unwrap_or_else(PoisonError::into_inner).push(finder);
            Ok(face)
        };
        let unreadable = AtomicUsize::new(0);
        let (paths, left_out) = listing::pictures_below(folder)?;
        left_out.warn(folder);
        let photographs: Vec<(Picture, f32)> = paths
            .par_iter()
            .filter_map(|path| {
                let open = || -> crate::Result<_> {
                    crate::interrupt::check()?;
                    let picture = match Picture::open(path) {
                        Ok(picture) => picture,
                        Err(error) => {
                            tracing::warn!("skipped: {error}");
                            unreadable.fetch_add(1, Ordering::Relaxed);
                            return Ok(None);
                        }
                    };
                    let unit = largest(&picture)?.map(|face| unit(&face, engine.input().aligned));
                    Ok(unit.map(|unit| (picture, unit)))
                };
                open().transpose()
            })
            .collect::<crate::Result<_>>()?;
        let unreadable = unreadable.into_inner();
        if photographs.is_empty() {
            let (place, count) = (folder.display(), paths.len());
            return Err(Error::BadInput(format!(
                "{place}: no photograph with a face among {count} pictures, of which {unreadable} could not be read; give \
                 photographs of people"
            )));
        }
        let answer = |number: usize, disturbance: Option<Disturbance>| -> crate::Result<Answer> {
            let (picture, unit) = &photographs[number];
            let aligned = engine.input().aligned;
            let disturbed =
                disturbance.map(|it| it.of(picture, *unit, aligned, &mut generator(seed, number))).transpose()?;
            let face = largest(disturbed.as_ref().unwrap_or(picture))?;
            face.and_then(|face| face.pixels).map_or(Ok(None), |pixels| of_face(engine, &pixels))
        };
        let mut name = format!("the largest faces of {} photographs", photographs.len());
        for (count, reason) in [
            (paths.len() - photographs.len() - unreadable, "more have no face that can be judged"),
            (unreadable, "more could not be read"),
        ] {
            if count > 0 {
                name += &format!(" ({count} {reason})");
            }
        }
        Robustness::new(&name, engine.labels(), least, photographs.len(), None, answer)
    }

    fn new(
        data: &str,
        labels: &[Label],
        least: f32,
        faces: usize,
        truths: Option<&[Truth]>,
        answer: impl Fn(usize, Option<Disturbance>) -> crate::Result<Answer> + Sync,
    ) -> crate::Result<Robustness> {
        let all = |disturbance: Option<Disturbance>| -> crate::Result<Vec<Answer>> {
            let one = |number: usize| {
                crate::interrupt::check()?;
                answer(number, disturbance)
            };
            (0..faces).into_par_iter().map(one).collect()
        };
        let untouched = all(None)?;
        let sure = |answer: &Answer| answer.is_some_and(|(_, probability)| probability >= least);
        let confident = untouched.iter().filter(|answer| sure(answer)).count();
        let row = |disturbance: String, answers: &[Answer]| {
            let accuracy = |majority: bool| {
                let counted =
                    || truths.unwrap_or_default().iter().zip(answers).filter(move |((_, has), _)| *has || !majority);
                let right =
                    counted().filter(|((label, _), answer)| answer.is_some_and(|(class, _)| labels[class] == *label));
                truths.map(|_| right.count() as f64 / counted().count().max(1) as f64)
            };
            let of_confident = || untouched.iter().zip(answers).filter(|(before, _)| sure(before));
            let other = of_confident()
                .filter(|(before, after)| after.is_some() && after.map(|it| it.0) != before.map(|it| it.0));
            let (flips, lost) = (other.count(), of_confident().filter(|(_, after)| !sure(after)).count());
            Row {
                disturbance,
                accuracy: accuracy(false),
                accuracy_majority: accuracy(true),
                flips: flips as f64 / confident.max(1) as f64,
                flips_interval: interval::wilson(flips, confident),
                unlabelled: lost as f64 / confident.max(1) as f64,
            }
        };
        let mut rows = vec![row(UNTOUCHED.into(), &untouched)];
        for disturbance in Disturbance::ALL {
            rows.push(row(disturbance.name(), &all(Some(disturbance))?));
        }
        Ok(Robustness { data: data.to_owned(), faces, confident, least, rows })
    }

    /// The table in Markdown.
    pub fn table(&self) -> String {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let labelled = self.rows.iter().all(|row| row.accuracy.is_some());
        let mut text = format!(
            "{}: {} faces, {} of them confident (probability at least {:.2}).\n\n",
            self.data, self.faces, self.confident, self.least
        );
        text += if labelled { "| disturbance | accuracy | with a majority " } else { "| disturbance " };
        text += "| other label (95 % interval) | no label |\n";
        text += if labelled { "| --- | --- | --- | --- | --- |\n" } else { "| --- | --- | --- |\n" };
        for row in &self.rows {
            text += &format!("| {} ", row.disturbance);
            for accuracy in [row.accuracy, row.accuracy_majority].into_iter().flatten() {
                text += &format!("| {} ", percent(accuracy));
            }
            let [from, to] = row.flips_interval.map(|share| format!("{:.1}", 100.0 * share));
            let flips = if row.disturbance == UNTOUCHED {
                "0".into()
            } else {
                format!("{} ({from} to {to})", percent(row.flips))
            };
            text += &format!("| {flips} | {} |\n", percent(row.unlabelled));
        }
        text
    }
}

/// The generator of a face's noise: that of the same face is the same for each disturbance.
fn generator(seed: u64, number: usize) -> rand_chacha::ChaCha8Rng {
    rng(seed, "robustness", number as u64)
}

fn of_face(engine: &Engine, face: &[u8]) -> crate::Result<Answer> {
    let scores = engine.classify(face)?;
    Ok(Some((scores.class, scores.probability[scores.class])))
}

/// Pixels of a photograph per pixel of the aligned face.
fn unit(face: &AlignedFace, aligned: usize) -> f32 {
    let [right, left] = face.detection.eyes;
    // Points are in sixteenths of a pixel.
    let [dx, dy] = [left.x() - right.x(), left.y() - right.y()].map(|apart| apart as f32 / 16.0);
    dx.hypot(dy) / (EYE_DISTANCE * aligned as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [Label; 2] = [Label::Neutral, Label::Happiness];

    /// Answers of faces 0 to 3, of which the last is not confident, to one disturbance; the other disturbances change nothing.
    fn table(answers: [Answer; 4]) -> Robustness {
        let truths =
            [(Label::Neutral, true), (Label::Happiness, true), (Label::Happiness, false), (Label::Neutral, true)];
        let untouched = [Some((0, 0.9)), Some((1, 0.9)), Some((0, 0.7)), Some((1, 0.4))];
        let answer = |number: usize, disturbance| {
            Ok(if disturbance == Some(Disturbance::Mirrored) { answers[number] } else { untouched[number] })
        };
        Robustness::new("four", &LABELS, 0.5, 4, Some(&truths), answer).unwrap()
    }

    #[test]
    fn flips_and_lost_labels_are_counted_among_confident_faces() {
        let table = table([Some((1, 0.3)), None, Some((0, 0.7)), Some((0, 0.9))]);
        assert_eq!((table.faces, table.confident, table.rows.len()), (4, 3, 1 + Disturbance::ALL.len()));
        let row = |name: &str| table.rows.iter().find(|row| row.disturbance == name).unwrap();
        let untouched = row(UNTOUCHED);
        assert_eq!((untouched.accuracy, untouched.accuracy_majority), (Some(0.5), Some(2.0 / 3.0)));
        assert_eq!((untouched.flips, untouched.unlabelled), (0.0, 0.0));
        let mirrored = row("mirrored");
        // The first is another label and no longer sure, the second is lost; the fourth never counted.
        assert_eq!((mirrored.flips, mirrored.unlabelled), (1.0 / 3.0, 2.0 / 3.0));
        assert_eq!((mirrored.accuracy, mirrored.accuracy_majority), (Some(0.25), Some(1.0 / 3.0)));
        assert!(mirrored.flips_interval[0] > 0.0 && mirrored.flips_interval[1] < 1.0);
        assert_eq!(row("gamma 2").flips, 0.0);
    }

    #[test]
    fn a_table_has_a_line_for_each_row() {
        let text = table([None; 4]).table();
        assert_eq!(text.lines().filter(|line| line.starts_with("| ")).count(), 2 + 1 + Disturbance::ALL.len());
        assert!(text.contains("| mirrored | 0.0 % | 0.0 % | 0.0 % (0.0 to 56.1) | 100.0 % |"), "{text}");
        let mut without = table([None; 4]);
        without.rows.iter_mut().for_each(|row| (row.accuracy, row.accuracy_majority) = (None, None));
        assert!(without.table().contains("| mirrored | 0.0 % (0.0 to 56.1) | 100.0 % |"));
    }
}
