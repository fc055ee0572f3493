//! `edge-runtime classify`

use std::path::{Path, PathBuf};
use std::time::Instant;

use expression_core::Quality;
use expression_core::smooth::Smoother;
use expression_engine::detector::Detector;
use expression_engine::error::Result;
use expression_engine::face::{AlignedFace, FaceFinder};
use expression_engine::line::tell;
use expression_engine::{Engine, EngineOptions, Error, Picture, PictureError, bundle, selftest};

use crate::pipeline::{PipelineOptions, by_label};
use crate::record::{FaceRecord, FrameRecord};
use crate::score::{Scores, rounded};
use crate::trust::BoardFlags;

/// Classify face pictures: one JSON object per file, with its faces, their labels, scores and quality (docs/records.md)
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
    /// Pictures: JPEG, PNG, WebP, TIFF, GIF, BMP or PNM; EXIF orientation is applied
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    trust: BoardFlags,
}

impl Cmd {
    /// Runs the command. A picture that cannot be read is named on stderr, and the others are still classified.
    ///
    /// # Errors
    /// Returns an error if the bundle is refused, or if a picture could not be read.
    pub fn run(&self) -> Result<()> {
        let policy = self.trust.policy()?;
        let (bundle, engine) = selftest::open_trusted(&self.bundle, EngineOptions::default(), policy.trust())?;
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
                    tell(format_args!("skipped: {error}"));
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
    fn classify(&mut self, file: &Path) -> Result<FrameRecord> {
        let picture = Picture::open(file)?;
        let started = Instant::now();
        let faces = match (&mut self.finder, picture.view()) {
            (Some(finder), Some(view)) => {
                let found = finder.find(view);
                let pixels: Vec<u8> =
                    found.iter().filter_map(|face| face.pixels.as_deref()).flatten().copied().collect();
                let labels = self.engine.labels().len();
                let mut integer = vec![0; pixels.len() / self.engine.input().len() * labels];
                self.engine.classify_many(&pixels, &mut integer)?;
                let mut scores = integer.chunks(labels);
                let face = |face: AlignedFace| {
                    let bounds = face.detection.bounds;
                    let bounds = [bounds.left.into(), bounds.top.into(), bounds.width.into(), bounds.height.into()];
                    let scores = face.pixels.and_then(|_| scores.next());
                    self.face(Some(bounds), Some(face.quality), scores)
                };
                found.into_iter().map(face).collect()
            }
            _ => {
                let mut scores = vec![0; self.engine.labels().len()];
                self.engine.integer_scores(&picture.aligned_face(self.engine.input())?, &mut scores)?;
                vec![self.face(None, None, Some(&scores))]
            }
        };
        Ok(FrameRecord {
            file: Some(file.display().to_string()),
            frame_width: picture.width as u32,
            frame_height: picture.height as u32,
            faces,
            latency_ms: started.elapsed().as_micros() as f64 / 1e3,
            ..FrameRecord::default()
        })
    }

    /// Returns the record of a face with these integer scores, if it has any.
    fn face(&self, bounds: Option<[i32; 4]>, quality: Option<Quality>, integer: Option<&[u8]>) -> FaceRecord {
        let seen =
            FaceRecord { bounds, quality: quality.map(|quality| quality.name().to_owned()), ..FaceRecord::default() };
        let Some(integer) = integer else { return seen };
        let labels = self.engine.labels();
        let scores = expression_engine::Scores::with_softmax(integer.to_vec(), self.engine.softmax());
        // As `run` decides about pictures: a smoother that smooths nothing, with the bundle's least confidence.
        let mut smoother = Smoother::default();
        let probabilities = self.engine.softmax().probabilities(&scores.integer);
        smoother.update(&by_label(labels, &probabilities), 0, &self.options.smoothing);
        let shares = scores.probability.iter().map(|share| rounded(*share));
        FaceRecord {
            label: smoother.label().map(|label| label.name().to_owned()),
            confidence: scores.probability.get(scores.class).copied().map(rounded),
            scores: Some(Scores(labels.iter().copied().zip(shares).collect())),
            integer_scores: Some(scores.integer),
            ..seen
        }
    }
}
