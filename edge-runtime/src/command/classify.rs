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

use crate::record::{FaceRecord, FrameRecord};
use crate::score::{self, rounded};

/// Classifies face pictures and prints one JSON line per file: label and scores of its face, and milliseconds.
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
    /// Pictures: PNG, JPEG, BMP or PNM.
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
                Ok(record) => {
                    expression_engine::error::print(&serde_json::to_string(&record).map_err(Error::failure)?)?
                }
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

fn classify(engine: &Engine, detector: Option<&Detector>, file: &Path) -> Result<FrameRecord> {
    let picture = Picture::open(file)?;
    let started = Instant::now();
    let found = match detector {
        None => Some((picture.aligned_face(engine.input())?, None)),
        Some(detector) => find(detector, &picture, engine.input())?.map(|(face, bounds)| (face, Some(bounds))),
    };
    let faces = found.map(|(face, bounds)| Ok(record(engine, &engine.classify(&face)?, bounds)));
    let [frame_width, frame_height] = picture.view().map_or([0, 0], |view| [view.width() as u32, view.height() as u32]);
    Ok(FrameRecord {
        file: Some(file.display().to_string()),
        frame_width,
        frame_height,
        faces: faces.into_iter().collect::<Result<_>>()?,
        latency_ms: started.elapsed().as_micros() as f64 / 1e3,
        ..FrameRecord::default()
    })
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

/// The record of one face; nothing is smoothed, as there is no track.
fn record(engine: &Engine, scores: &Scores, bounds: Option<[f32; 4]>) -> FaceRecord {
    let shares = scores.probability.iter().map(|share| rounded(*share));
    FaceRecord {
        bounds: bounds.map(|sides| sides.map(|side| side.round() as i32)),
        label: Some(engine.labels()[scores.class].name().to_owned()),
        confidence: scores.probability.get(scores.class).copied().map(rounded),
        scores: Some(score::Scores(engine.labels().iter().copied().zip(shares).collect())),
        integer_scores: Some(scores.integer.clone()),
        ..FaceRecord::default()
    }
}
