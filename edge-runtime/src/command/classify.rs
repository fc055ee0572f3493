//! `edge-runtime classify`

use std::path::{Path, PathBuf};
use std::time::Instant;

use expression_core::smooth::Smoother;
use expression_core::{Label, Quality};
use expression_engine::detector::Detector;
use expression_engine::error::Result;
use expression_engine::face::FaceFinder;
use expression_engine::{Engine, EngineOptions, Error, Picture, PictureError, bundle};
use serde::Serialize;

use crate::pipeline::{PipelineOptions, by_label};

/// Classify face pictures: one JSON object per file, with its faces, their labels, scores and quality
///
/// A picture that holds just a face (aligned, or cropped loosely) is taken as it is: its centred square is resampled to what the
/// net sees. With --align all faces of each picture are found and aligned by their eyes and mouth first, and judged by the
/// rules of `run`: a face that is too small, turned, blurred or cut off gets no label. A label that is less sure than the
/// bundle demands is null.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of the bundle
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Find and align the faces first, with the bundle's detector
    #[arg(long)]
    align: bool,
    /// Pictures: PNG, JPEG, BMP or PNM
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// What is said about one picture.
#[derive(Debug, Serialize)]
pub struct PictureLine {
    /// The file as it was given.
    file: String,
    /// Its faces, the largest first; without `--align` one, the whole picture.
    faces: Vec<FaceLine>,
    /// Milliseconds from the decoded picture to the last score.
    ms: f64,
}

/// What is said about one face.
#[derive(Debug, Serialize)]
struct FaceLine {
    /// Left, top, width and height in pixels; `None` for a whole picture.
    #[serde(rename = "box")]
    bounds: Option<[i32; 4]>,
    /// `good`, `small`, `turned`, `blurred` or `cut`; `None` for a whole picture.
    quality: Option<&'static str>,
    /// The likeliest label; `None` if it is not sure enough or the face cannot be read.
    label: Option<&'static str>,
    /// Probability of the likeliest label, 0 to 1; `None` if the face cannot be read.
    confidence: Option<f64>,
    /// Probabilities by label, 0 to 1.
    scores: Option<serde_json::Map<String, serde_json::Value>>,
    /// The net's integer scores, in the order of the bundle's labels.
    integer_scores: Option<Vec<u8>>,
}

impl Cmd {
    /// Runs the command. A picture that cannot be read is named on stderr, and the others are still classified.
    ///
    /// # Errors
    /// Returns an error if the bundle is refused, or if a picture could not be read.
    pub fn run(&self) -> Result<()> {
        let (bundle, engine) = expression_engine::selftest::open(&self.bundle, EngineOptions::default())?;
        let detector = if self.align { Some(Detector::from_onnx(&bundle.read(bundle::DETECTOR)?)?) } else { None };
        let finder = detector.map(|detector| FaceFinder::new(detector, engine.input()));
        let options = PipelineOptions::still().with_confidence_from(&bundle);
        let mut classifier = Classifier { engine, finder, options };
        let mut unreadable = 0;
        for file in &self.files {
            match classifier.classify(file) {
                Ok(line) => {
                    let line = serde_json::to_string(&line).map_err(Error::failure)?;
                    expression_engine::error::print(&line)?;
                }
                Err(error) if error.downcast_ref::<PictureError>().is_some() => {
                    eprintln!("skipped: {error}");
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

struct Classifier {
    engine: Engine,
    finder: Option<FaceFinder>,
    options: PipelineOptions,
}

impl Classifier {
    fn classify(&mut self, file: &Path) -> Result<PictureLine> {
        let picture = Picture::open(file)?;
        let started = Instant::now();
        let faces = match (&mut self.finder, picture.view()) {
            (Some(finder), Some(view)) => {
                let found = finder.find(view);
                let mut faces = Vec::with_capacity(found.len());
                for face in found {
                    let bounds = face.detection.bounds;
                    let bounds = [bounds.left.into(), bounds.top.into(), bounds.width.into(), bounds.height.into()];
                    faces.push(self.face(Some(bounds), Some(face.quality), face.pixels.as_deref())?);
                }
                faces
            }
            _ => vec![self.face(None, None, Some(&picture.aligned_face(self.engine.input())?))?],
        };
        let ms = (started.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        Ok(PictureLine { file: file.display().to_string(), faces, ms })
    }

    fn face(&self, bounds: Option<[i32; 4]>, quality: Option<Quality>, pixels: Option<&[u8]>) -> Result<FaceLine> {
        let mut line = FaceLine {
            bounds,
            quality: quality.map(Quality::name),
            label: None,
            confidence: None,
            scores: None,
            integer_scores: None,
        };
        let Some(pixels) = pixels else { return Ok(line) };
        let scores = self.engine.classify(pixels)?;
        // As `run` decides about pictures: a smoother that smooths nothing, with the bundle's least confidence.
        let mut smoother = Smoother::default();
        let probabilities = self.engine.softmax().probabilities(&scores.integer);
        smoother.update(&by_label(self.engine.labels(), &probabilities), 0, &self.options.smoothing);
        line.label = smoother.label().map(Label::name);
        let rounded = |value: f32| (f64::from(value) * 1e4).round() / 1e4;
        line.confidence = Some(rounded(scores.probability[scores.class]));
        let names = self.engine.labels().iter().map(|label| label.name().to_owned());
        line.scores = Some(names.zip(scores.probability.iter().map(|value| rounded(*value).into())).collect());
        line.integer_scores = Some(scores.integer);
        Ok(line)
    }
}
