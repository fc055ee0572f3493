//! `edge-runtime classify`

use std::path::{Path, PathBuf};
use std::time::Instant;

use expression_core::FaceInput;
use expression_core::align::align;
use expression_engine::EngineOptions;
use expression_engine::Error;
use expression_engine::detector::Detector;
use expression_engine::error::Result;
use expression_engine::{Engine, Picture, PictureError, Scores, bundle};
use serde_json::json;

/// Classifies face pictures: a JSON line a file with label, scores and milliseconds.
///
/// A picture that holds just a face (aligned, or cropped loosely) is taken as it is: its centred square is resampled to
/// what the net sees. With --align a face is found in each picture first and aligned by its eyes and mouth.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of the bundle.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Find and align the face first, with the bundle's detector.
    #[arg(long)]
    align: bool,
    /// Pictures: JPEG, PNG, WebP, TIFF, GIF, BMP or PNM; EXIF orientation is applied.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Cmd {
    /// Runs the command. A picture that cannot be read is named on stderr and the others are still classified.
    ///
    /// # Errors
    /// Where the bundle is refused, or any picture could not be read.
    pub fn run(&self) -> Result<()> {
        let (bundle, engine) = expression_engine::selftest::open(&self.bundle, EngineOptions::default())?;
        let detector = match self.align {
            true => Some(Detector::from_onnx(&bundle.read(bundle::DETECTOR)?)?),
            false => None,
        };
        let mut unreadable = 0;
        for file in &self.files {
            match classify(&engine, detector.as_ref(), file) {
                Ok(line) => expression_engine::error::print(&line.to_string())?,
                Err(error) if error.downcast_ref::<PictureError>().is_some() => {
                    eprintln!("skipped: {}", error);
                    unreadable += 1;
                }
                Err(error) => return Err(error),
            }
        }
        if unreadable > 0 {
            let total = self.files.len();
            return Err(Error::bad_input(format!(
                "{unreadable} of {total} pictures could not be read; they are named above"
            )));
        }
        Ok(())
    }
}

fn classify(engine: &Engine, detector: Option<&Detector>, file: &Path) -> Result<serde_json::Value> {
    let picture = Picture::open(file)?;
    let started = Instant::now();
    let (face, bounds) = match detector {
        None => (picture.aligned_face(engine.input())?, None),
        Some(detector) => match find(detector, &picture, engine.input())? {
            Some((face, bounds)) => (face, Some(bounds)),
            None => return Ok(json!({ "file": file.display().to_string(), "label": null, "faces": 0 })),
        },
    };
    let scores = engine.classify(&face)?;
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let mut line = line(file, engine, &scores, ms);
    if let Some(bounds) = bounds {
        line["face_box"] = json!(bounds.map(f32::round));
    }
    Ok(line)
}

/// The aligned face that the detector is surest of, and its box: left, top, width and height in pixels.
fn find(detector: &Detector, picture: &Picture, input: FaceInput) -> Result<Option<(Vec<u8>, [f32; 4])>> {
    let Some(view) = picture.view() else { return Ok(None) };
    let mut aligned = vec![0; input.len()];
    for found in detector.faces(view) {
        let points = found.key_points();
        if points.is_some_and(|points| align(&points, view, input, &mut aligned).is_ok()) {
            return Ok(Some((aligned, found.bounds)));
        }
    }
    Ok(None)
}

fn line(file: &Path, engine: &Engine, scores: &Scores, ms: f64) -> serde_json::Value {
    let names = engine.labels().iter().map(|label| label.name().to_owned());
    let probability: serde_json::Map<_, _> = names
        .zip(&scores.probability)
        .map(|(name, value)| (name, json!((f64::from(*value) * 1e4).round() / 1e4)))
        .collect();
    json!({
        "file": file.display().to_string(),
        "label": engine.labels()[scores.class].name(),
        "scores": probability,
        "integer_scores": scores.integer,
        "ms": (ms * 1e3).round() / 1e3,
    })
}
