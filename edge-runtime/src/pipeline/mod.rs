//! From frames to observations: detect or follow, judge, align, classify, smooth.

mod profile;

use expression_engine::error::Result;
use std::collections::HashMap;

use expression_core::align::{Point, align};
use expression_core::quality::{self, Limits as QualityLimits};
use expression_core::smooth::{Smoother, Smoothing, Softmax};
use expression_core::track::{self, Detection, Tracker};
use expression_core::{Bounds, Label, Quality, Record, View};

pub use profile::{Profile, Step};

use crate::frame::{Frame, Observation};
use expression_engine::bundle::{self, Bundle};
use expression_engine::detector::{self, Detector, Face};
use expression_engine::expression::{Engine, EngineError};

/// How frames are treated.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Faces are looked for in every so manieth frame, and followed between.
    pub detect_every: u32,
    /// Whether the frames are pictures that have nothing to do with each other: each is looked through, nothing is smoothed.
    pub still: bool,
    /// When tracks begin and end.
    pub track: track::Limits,
    /// What a face must have to be read.
    pub quality: QualityLimits,
    /// How labels are smoothed.
    pub smoothing: Smoothing,
}

impl Options {
    /// For a camera or a video.
    pub fn moving() -> Options {
        Options {
            detect_every: 4,
            still: false,
            track: track::Limits::default(),
            quality: QualityLimits::default(),
            smoothing: Smoothing::default(),
        }
    }

    /// For pictures that have nothing to do with each other.
    pub fn still() -> Options {
        Options {
            detect_every: 1,
            still: true,
            track: track::Limits { confirm: 1, memory_ms: 0 },
            smoothing: Smoothing { constant_ms: 0, hold_ms: 0, margin: 0, least: 0 },
            ..Options::moving()
        }
    }

    /// Gives no label below the confidence that the bundle names.
    pub fn with_confidence_of(mut self, bundle: &Bundle) -> Options {
        if let Some(confidence) = bundle.manifest().confidence {
            self.smoothing.least = (confidence.least.clamp(0.0, 1.0) * 255.0).round() as u8;
        }
        self
    }
}

/// A bundle at work on frames that follow each other.
pub struct Pipeline {
    detector: Detector,
    engine: Engine,
    softmax: Softmax,
    options: Options,
    tracker: Tracker,
    smoothers: HashMap<u32, Smoother>,
    /// Frames since faces were looked for.
    since: u32,
    workspace: detector::Workspace,
    found: Vec<Detection>,
    face: Vec<u8>,
    scores: Vec<u8>,
}

impl Pipeline {
    /// Of a bundle that was opened and tested.
    ///
    /// # Errors
    /// Where the bundle has no detector, or another file than the manifest names.
    pub fn new(bundle: &Bundle, engine: Engine, options: Options) -> Result<Pipeline> {
        let detector = Detector::from_onnx(&bundle.read(bundle::DETECTOR)?)?;
        let softmax = Softmax::new(bundle.manifest().output.scale);
        Ok(Pipeline {
            detector,
            softmax,
            options,
            tracker: Tracker::new(options.track),
            smoothers: HashMap::new(),
            since: u32::MAX,
            workspace: detector::Workspace::default(),
            found: Vec::new(),
            face: vec![0; engine.input().len()],
            scores: vec![0; engine.labels().len()],
            engine,
        })
    }

    /// The engine that classifies.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Name of the instruction set that the detector computes with.
    pub fn detector_kernel(&self) -> &'static str {
        self.detector.kernel()
    }

    /// Forgets the faces, after a gap for instance; numbers of tracks go on.
    pub fn forget(&mut self) {
        self.tracker.clear();
        self.smoothers.clear();
        self.since = u32::MAX;
    }

    /// Fills `observation` with what there is to say of a frame; `face` is called with the aligned face of each record that
    /// has scores. A frame whose bytes are fewer than its layout says has no faces.
    ///
    /// # Errors
    /// Where the engine fails.
    pub fn observe(
        &mut self,
        frame: &Frame,
        observation: &mut Observation,
        profile: &mut Profile,
        mut face: impl FnMut(&Record, &[u8]),
    ) -> Result<(), EngineError> {
        observation.stamp = frame.stamp;
        observation.sequence = frame.sequence;
        observation.name.clone_from(&frame.name);
        observation.size = frame.size().map(|side| side.min(usize::from(u16::MAX)) as u16);
        observation.faces.clear();
        let Some(view) = frame.view() else { return Ok(()) };
        self.find(view, frame.stamp.monotonic_ns, profile);
        let tracks: heapless::Vec<(u32, Detection), { track::MOST }> =
            self.tracker.faces().map(|track| (track.id(), track.face())).collect();
        for (id, found) in tracks {
            let record = self.record(id, &found, view, frame.stamp.monotonic_ns, profile)?;
            if record.scores.is_some() {
                face(&record, &self.face);
            }
            observation.faces.push(record);
        }
        observation.faces.sort_unstable_by_key(|record| record.track);
        if self.smoothers.len() > 2 * track::MOST {
            let tracker = &self.tracker;
            self.smoothers.retain(|id, _| tracker.remembers(*id));
        }
        Ok(())
    }

    /// Brings the tracks up to a frame.
    fn find(&mut self, view: View<'_>, now: u64, profile: &mut Profile) {
        if self.options.still {
            self.tracker.clear();
            self.smoothers.clear();
        }
        self.since = self.since.saturating_add(1);
        // A new face need not wait its turn to be confirmed, nor one that a slow board has not looked for in a long time.
        if self.since < self.options.detect_every && !self.tracker.unconfirmed() && !self.tracker.aging(now) {
            return profile.time(Step::Track, || self.tracker.follow(view, now));
        }
        self.since = 0;
        let faces = profile.time(Step::Detect, || self.detector.faces_with(view, &mut self.workspace));
        self.found.clear();
        self.found.extend(faces.iter().filter_map(detection));
        profile.time(Step::Track, || self.tracker.detected(&self.found, view, now));
    }

    /// What there is to say of a face.
    fn record(
        &mut self,
        id: u32,
        found: &Detection,
        view: View<'_>,
        now: u64,
        profile: &mut Profile,
    ) -> Result<Record, EngineError> {
        let quality = profile.time(Step::Align, || self.aligned(found, view));
        let scores = match quality {
            Quality::Good => {
                profile.time(Step::Classify, || self.engine.integer_scores(&self.face, &mut self.scores))?;
                Some(self.by_label())
            }
            _ => None,
        };
        let smoother = self.smoothers.entry(id).or_default();
        let (label, confidence) = profile.time(Step::Smooth, || {
            if scores.is_some() {
                let of_model = self.softmax.probabilities(&self.scores);
                let mut probability = [0; Label::COUNT];
                self.engine
                    .labels()
                    .iter()
                    .zip(of_model)
                    .for_each(|(label, value)| probability[*label as usize] = value);
                smoother.update(&probability, now, &self.options.smoothing);
            }
            (smoother.label(), smoother.confidence())
        });
        Ok(Record { track: id, bounds: found.bounds, quality, scores, label, confidence })
    }

    /// Aligns a face into its place, and judges it.
    fn aligned(&mut self, found: &Detection, view: View<'_>) -> Quality {
        let (limits, input) = (&self.options.quality, self.engine.input());
        let quality = quality::of_geometry(found, [view.width(), view.height()], limits);
        if quality != Quality::Good {
            return quality;
        }
        if align(&found.key_points(), view, input, &mut self.face).is_err() {
            return Quality::Turned;
        }
        match quality::sharpness(&self.face, input.size) < u32::from(limits.sharpness) {
            true => Quality::Blurred,
            false => Quality::Good,
        }
    }

    /// The last scores in the order of [`Label::ALL`].
    fn by_label(&self) -> [u8; Label::COUNT] {
        let mut scores = [0; Label::COUNT];
        self.engine.labels().iter().zip(&self.scores).for_each(|(label, score)| scores[*label as usize] = *score);
        scores
    }
}

/// A face of the detector as the tracker takes it; `None` where its points are too far outside the picture.
fn detection(face: &Face) -> Option<Detection> {
    let [left, top, width, height] = face.bounds;
    let bounds = Bounds {
        left: left.round() as i16,
        top: top.round() as i16,
        width: width.round() as u16,
        height: height.round() as u16,
    };
    let point = |index: usize| Point::from_pixels(face.points[index][0], face.points[index][1]);
    Some(Detection { bounds, eyes: [point(0)?, point(1)?], nose: point(2)?, mouth: point(3)? })
}
