//! The parity ladder: libtorch, tract, the integer reference and onnxruntime answer alike. Each rung has a named
//! tolerance; an export that misses one is refused.

use expression_core::FaceInput;
use expression_engine::expression::{Engine, EngineOptions, FloatEngine};
use expression_engine::selftest;
use expression_engine::{Bundle, Picture, bundle};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::error::ensure;
use crate::evaluate::Metrics;
use crate::interrupt;
use crate::quantize::IntegerNet;

/// Rung 1: largest |difference| of logits, in shares of the largest |logit|.
pub const FLOAT_TOLERANCE: f64 = 1e-3;
/// Rung 2: steps of the integer scores between the integer reference and the edge engine.
pub const INTEGER_TOLERANCE: u8 = 0;
/// Rung 3: int8's loss of accuracy, as a share of the samples, but at least one sample. A gain is no failure.
pub const ACCURACY_TOLERANCE: f64 = 0.005;
/// Rung 3: least share of samples to which int8 and float give the same class.
pub const AGREEMENT_TOLERANCE: f64 = 0.98;

/// A rung of the ladder and whether it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// Its number.
    pub number: u32,
    /// What is compared with what.
    pub what: String,
    /// The figure that was found.
    pub figure: String,
    /// The tolerance it is held to.
    pub tolerance: String,
    /// Whether it holds.
    pub holds: bool,
}

/// Rung 1: libtorch's logits `[n, classes]` and tract's, of the same faces, u8 `[n, channels, size, size]`.
///
/// # Errors
/// Where tract cannot run the graph.
pub fn float(torch: &Tensor, onnx: &[u8], faces: &[Vec<u8>], input: FaceInput) -> crate::Result<(Rung, Vec<usize>)> {
    let engine = FloatEngine::from_bytes(onnx, input)?;
    let tract = faces
        .par_iter()
        .map(|face| {
            interrupt::check()?;
            Ok(engine.logits(face)?)
        })
        .collect::<crate::Result<Vec<_>>>()?;
    let torch: Vec<f32> = torch.to_kind(Kind::Float).contiguous().view(-1).try_into()?;
    let classes = tract.first().map_or(1, Vec::len);
    ensure!(torch.len() == classes * tract.len(), "{} logits for {} faces", torch.len(), tract.len());
    let (mut difference, mut largest, mut other) = (0f64, 0f64, 0);
    let mut answers = Vec::new();
    for (torch, tract) in torch.chunks_exact(classes).zip(&tract) {
        for (a, b) in torch.iter().zip(tract) {
            let apart = f64::from((a - b).abs());
            // `max` would pass over what is not a number.
            difference = if apart.is_nan() { f64::INFINITY } else { difference.max(apart) };
            largest = largest.max(f64::from(a.abs()));
        }
        other += usize::from(argmax(torch) != argmax(tract));
        answers.push(argmax(torch));
    }
    let share = difference / largest.max(f64::MIN_POSITIVE);
    let rung = Rung {
        number: 1,
        what: format!("libtorch float, tract float ({} samples)", faces.len()),
        figure: format!("{share:.1e} of the largest logit, {other} other answers"),
        tolerance: format!("{FLOAT_TOLERANCE:.0e}, 0 other answers"),
        holds: share <= FLOAT_TOLERANCE && other == 0,
    };
    Ok((rung, answers))
}

/// Rung 2: the integer reference and the edge engine, on every face. Gives the reference's scores too.
///
/// # Errors
/// Where the engine cannot run the graph.
pub fn integer(net: &IntegerNet, engine: &Engine, faces: &[Vec<u8>]) -> crate::Result<(Rung, Vec<Vec<u8>>)> {
    let pairs = faces
        .par_iter()
        .map(|face| {
            interrupt::check()?;
            Ok((net.scores(face), engine.classify(face)?.integer))
        })
        .collect::<crate::Result<Vec<_>>>()?;
    let steps = |(a, b): &(Vec<u8>, Vec<u8>)| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(u8::MAX);
    let most = pairs.iter().map(steps).max().unwrap_or(u8::MAX);
    let differing = pairs.iter().filter(|pair| steps(pair) > 0).count();
    let rung = Rung {
        number: 2,
        what: format!("integer reference, edge engine ({} samples)", faces.len()),
        figure: format!("{most} LSB, {differing} samples differ"),
        tolerance: format!("{INTEGER_TOLERANCE} LSB"),
        holds: most == INTEGER_TOLERANCE,
    };
    Ok((rung, pairs.into_iter().map(|(reference, _)| reference).collect()))
}

/// Rung 3: int8 and float on the test samples.
pub fn accuracy(float: &Metrics, int8: &Metrics, agreement: f64) -> Rung {
    let samples = float.samples as f64;
    let lost = (float.accuracy - int8.accuracy) * samples;
    Rung {
        number: 3,
        what: format!("int8, float on the test samples ({samples} samples)"),
        figure: format!("{:+.2} points, {:.2} % agree", 100.0 * (int8.accuracy - float.accuracy), 100.0 * agreement),
        tolerance: format!("{:+.1} points, {:.0} %", -100.0 * ACCURACY_TOLERANCE, 100.0 * AGREEMENT_TOLERANCE),
        // Half a sample over the bound: counts are whole, shares are rounded.
        holds: lost < (ACCURACY_TOLERANCE * samples).floor().max(1.0) + 0.5 && agreement >= AGREEMENT_TOLERANCE,
    }
}

/// Rung 5, host side: aligned faces as training had them, and as the board's code makes them from picture files.
///
/// # Errors
/// Where a picture cannot be written or read back.
pub fn aligned_faces(pictures: &[&Picture], trained_on: &[Vec<u8>], input: FaceInput) -> crate::Result<Rung> {
    let folder = tempfile::tempdir()?;
    let differing = pictures
        .par_iter()
        .zip(trained_on)
        .enumerate()
        .map(|(number, (picture, expected))| {
            let path = folder.path().join(format!("{number}.png"));
            let kind = if picture.channels == 1 { image::ColorType::L8 } else { image::ColorType::Rgb8 };
            image::save_buffer(&path, &picture.data, picture.width as u32, picture.height as u32, kind)?;
            Ok(usize::from(Picture::open(&path)?.aligned_face(input)? != *expected))
        })
        .sum::<crate::Result<usize>>()?;
    Ok(Rung {
        number: 5,
        what: format!("aligned faces in training, from picture files ({} pictures)", pictures.len()),
        figure: format!("{differing} differ"),
        tolerance: "0 differ".into(),
        holds: differing == 0,
    })
}

/// Rung 6: the bundle as it lies on disk passes its own self-test.
pub fn self_test(folder: &std::path::Path) -> Rung {
    let replay = || -> crate::Result<usize> {
        let bundle = Bundle::open(folder)?;
        bundle.verify()?;
        Ok(selftest::replay(&bundle, &Engine::open(&bundle, EngineOptions::default())?)?)
    };
    let (figure, holds) = match replay() {
        Ok(vectors) => (format!("{vectors} vectors equal"), true),
        Err(error) => (error.to_string().replace('\n', " "), false),
    };
    let what = format!("bundle's {}, edge engine", bundle::SELFTEST);
    Rung { number: 6, what, figure, tolerance: "all equal".into(), holds }
}

/// The class with the highest value; the first of equals.
pub fn argmax<T: PartialOrd + Copy>(values: &[T]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of so many right answers of a thousand.
    fn right(answers: usize) -> Metrics {
        Metrics {
            samples: 1000,
            accuracy: answers as f64 / 1000.0,
            accuracy_majority: 0.0,
            macro_recall: 0.0,
            recall: Vec::new(),
            confusion: Vec::new(),
        }
    }

    #[test]
    fn rung_3_bears_half_a_point_and_two_percent() {
        let holds = |float, int8, agreement| accuracy(&right(float), &right(int8), agreement).holds;
        assert!(holds(900, 895, 0.98));
        assert!(holds(900, 990, 0.98), "a gain is no failure");
        assert!(!holds(900, 894, 0.99));
        assert!(!holds(900, 900, 0.979));
        assert!(!holds(900, 900, f64::NAN));
    }
}
