//! From frames to observations: detect or follow, judge, align, classify, smooth.

mod profile;

use expression_engine::error::Result;
use std::collections::HashMap;

use expression_core::quality::QualityLimits;
use expression_core::smooth::{Smoother, Smoothing};
use expression_core::track::{self, Detection, Track, TrackLimits, Tracker};
use expression_core::{Bounds, FaceInput, Label, Quality, Record, View};

pub use profile::{Profile, ProfileStep};

use crate::frame::{Frame, Observation};
use expression_engine::bundle::{self, Bundle};
use expression_engine::detector::{self, Detector};
use expression_engine::expression::{Engine, EngineError};
use expression_engine::face::{self, Aligner};

/// How long detections may look only at the places of known faces, in nanoseconds of the frames' own time. The next one looks at the
/// whole frame, for new faces.
const MAX_NEAR_NS: u64 = 1_000_000_000;
/// The most faces that are looked for at their places: more take as long as a look at the whole frame.
const MAX_NEAR_FACES: usize = 3;

/// How frames are processed.
#[derive(Debug, Clone, Copy)]
pub struct PipelineOptions {
    /// The detector runs on every Nth frame; faces are tracked in between. If all faces are known and in sight, it looks only at
    /// their places, and at the whole frame once a second.
    pub detect_every: u32,
    /// Whether the frames are pictures that have nothing to do with each other: the detector runs on each, nothing is smoothed.
    pub still: bool,
    /// When tracks begin and end.
    pub track: TrackLimits,
    /// What a face must have to be read.
    pub quality: QualityLimits,
    /// How labels are smoothed.
    pub smoothing: Smoothing,
}

impl PipelineOptions {
    /// For a camera or a video.
    pub fn moving() -> PipelineOptions {
        PipelineOptions {
            detect_every: 4,
            still: false,
            track: TrackLimits::default(),
            quality: QualityLimits::default(),
            smoothing: Smoothing::default(),
        }
    }

    /// For pictures that have nothing to do with each other.
    pub fn still() -> PipelineOptions {
        PipelineOptions {
            detect_every: 1,
            still: true,
            track: TrackLimits { confirm: 1, memory_ms: 0 },
            smoothing: Smoothing { constant_ms: 0, hold_ms: 0, margin: 0, min_confidence: 0 },
            ..PipelineOptions::moving()
        }
    }

    /// Sets the confidence below which there is no label to that of a bundle.
    pub fn with_confidence_from(mut self, bundle: &Bundle) -> PipelineOptions {
        if let Some(confidence) = bundle.manifest().confidence {
            self.smoothing.min_confidence = (confidence.least.clamp(0.0, 1.0) * 255.0).round() as u8;
        }
        self
    }
}

/// What makes an [`Observation`] of a frame: a [`Pipeline`], or what a test puts in its place.
pub trait Observe {
    /// Fills `observation` with what there is to say about a frame; `face` is called with the aligned face of each record that
    /// has scores. A frame that has fewer bytes than its layout says has no faces.
    ///
    /// # Errors
    /// Returns an error if the engine fails.
    fn observe(
        &mut self,
        frame: &Frame,
        observation: &mut Observation,
        profile: &mut Profile,
        face: &mut dyn FnMut(&Record, &[u8]),
    ) -> Result<(), EngineError>;

    /// Forgets the faces, after a gap for instance; the numbers of tracks go on.
    fn forget(&mut self);

    /// The geometry of the aligned faces.
    fn input(&self) -> FaceInput;
}

/// A bundle at work on frames that follow each other.
pub struct Pipeline {
    detector: Detector,
    engine: Engine,
    options: PipelineOptions,
    tracker: Tracker,
    smoothers: HashMap<u32, Smoother>,
    /// Frames since the detector ran.
    since: u32,
    /// When the detector last looked at a whole frame (ns, monotonic).
    whole_at: u64,
    /// What the detector remembers of the frames before.
    memory: detector::Memory,
    workspace: detector::Workspace,
    found: Vec<Detection>,
    /// The aligned faces of a frame that can be read, one after the other, and their integer scores.
    faces: Vec<u8>,
    scores: Vec<u8>,
}

impl Pipeline {
    /// Creates the pipeline of a bundle that was opened and tested.
    ///
    /// # Errors
    /// Returns an error if the bundle has no detector, or another one than its manifest names.
    pub fn new(bundle: &Bundle, engine: Engine, options: PipelineOptions) -> Result<Pipeline> {
        let detector = Detector::from_onnx(&bundle.read(bundle::DETECTOR)?)?;
        Ok(Pipeline {
            detector,
            options,
            tracker: Tracker::new(options.track),
            smoothers: HashMap::new(),
            since: u32::MAX,
            whole_at: 0,
            memory: detector::Memory::default(),
            workspace: detector::Workspace::default(),
            found: Vec::new(),
            faces: Vec::new(),
            scores: Vec::new(),
            engine,
        })
    }

    /// The engine that classifies.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Brings the tracks up to a frame.
    fn find(&mut self, view: View<'_>, now: u64, profile: &mut Profile) {
        if self.options.still {
            self.tracker.clear();
            self.smoothers.clear();
            self.memory.forget();
        }
        self.since = self.since.saturating_add(1);
        // A new face is confirmed at once, and so is one that a slow board has not detected for a long time.
        if self.since < self.options.detect_every && !self.tracker.unconfirmed() && !self.tracker.aging(now) {
            profile.time(ProfileStep::Track, || self.tracker.follow(view, now));
            // What no longer looks like its face, after a cut for instance, gets no label until the detector has seen it.
            if !self.tracker.in_doubt() {
                return;
            }
        }
        self.since = 0;
        profile.time(ProfileStep::Detect, || self.detect(view, now));
        profile.time(ProfileStep::Track, || self.tracker.detected(&self.found, view, now));
    }

    /// Fills `found` with the faces of a frame at `now`.
    fn detect(&mut self, view: View<'_>, now: u64) {
        if now.saturating_sub(self.whole_at) < MAX_NEAR_NS
            && let Some(found) = self.detect_near(view)
        {
            self.found = found;
            return;
        }
        self.whole_at = now;
        let faces = self.detector.faces_since(view, &mut self.memory, &mut self.workspace);
        self.found.clear();
        self.found.extend(faces.iter().filter_map(face::detection));
    }

    /// Returns the faces that are found where the tracker knows them, or `None` if the whole frame must be looked at. This depends on
    /// the frames and their times alone, never on how long a look takes, so a file gives the same records on every machine.
    fn detect_near(&mut self, view: View<'_>) -> Option<Vec<Detection>> {
        let known: Vec<Detection> = self.tracker.faces().map(Track::face).collect();
        if self.options.still || known.len() > MAX_NEAR_FACES || !self.tracker.is_settled() {
            return None;
        }
        let place =
            |Bounds { left, top, width, height }: Bounds| [left.into(), top.into(), width.into(), height.into()];
        let places: Vec<[f32; 4]> = known.iter().map(|face| place(face.bounds)).collect();
        let faces = self.detector.faces_near(view, &places, &mut self.workspace)?;
        let found = faces.iter().zip(&known).map(|(face, known)| {
            // A face does not turn on its head between two looks.
            face::detection(face).map(|found| Detection { upside_down: known.upside_down, ..found })
        });
        found.collect()
    }

    /// Aligns the faces of a frame, and computes the scores of those that can be read. Returns the quality of each.
    fn classify(
        &mut self,
        tracks: &[(u32, Detection)],
        view: View<'_>,
        profile: &mut Profile,
    ) -> Result<heapless::Vec<Quality, { track::MAX_FACES }>, EngineError> {
        let input = self.engine.input();
        let aligner = Aligner { input, limits: self.options.quality };
        let mut good = 0;
        let mut align = |found: &Detection| {
            self.faces.resize(self.faces.len().max((good + 1) * input.len()), 0);
            let face = &mut self.faces[good * input.len()..][..input.len()];
            let quality = profile.time(ProfileStep::Align, || aligner.align(found, view, face));
            good += usize::from(quality == Quality::Good);
            quality
        };
        let qualities = tracks.iter().map(|(_, found)| align(found)).collect();
        self.scores.resize(good * self.engine.labels().len(), 0);
        if good > 0 {
            let faces = &self.faces[..good * input.len()];
            profile.time(ProfileStep::Classify, || self.engine.classify_many(faces, &mut self.scores))?;
        }
        Ok(qualities)
    }

    /// Returns what there is to say about a face, from its integer scores if it can be read.
    fn record(
        &mut self,
        id: u32,
        found: &Detection,
        quality: Quality,
        scores: Option<&[u8]>,
        now: u64,
        profile: &mut Profile,
    ) -> Record {
        let smoother = self.smoothers.entry(id).or_default();
        let (label, confidence) = profile.time(ProfileStep::Smooth, || {
            if let Some(scores) = scores {
                let probability = by_label(self.engine.labels(), &self.engine.softmax().probabilities(scores));
                smoother.update(&probability, now, &self.options.smoothing);
            }
            (smoother.label(), smoother.confidence())
        });
        let scores = scores.map(|scores| by_label(self.engine.labels(), scores));
        Record { track: id, bounds: found.bounds, quality, scores, label, confidence }
    }
}

impl Observe for Pipeline {
    fn observe(
        &mut self,
        frame: &Frame,
        observation: &mut Observation,
        profile: &mut Profile,
        face: &mut dyn FnMut(&Record, &[u8]),
    ) -> Result<(), EngineError> {
        observation.stamp = frame.stamp;
        observation.sequence = frame.sequence;
        observation.name.clone_from(&frame.name);
        observation.size = frame.size().map(|side| side.min(usize::from(u16::MAX)) as u16);
        observation.faces.clear();
        let Some(view) = frame.view() else { return Ok(()) };
        self.find(view, frame.stamp.monotonic_ns, profile);
        let tracks: heapless::Vec<(u32, Detection), { track::MAX_FACES }> =
            self.tracker.faces().map(|track| (track.id(), track.face())).collect();
        let qualities = self.classify(&tracks, view, profile)?;
        let (aligned, all_scores) = (std::mem::take(&mut self.faces), std::mem::take(&mut self.scores));
        let mut read = aligned.chunks(self.engine.input().len()).zip(all_scores.chunks(self.engine.labels().len()));
        for ((id, found), quality) in tracks.iter().zip(qualities) {
            let found_scores = if quality == Quality::Good { read.next() } else { None };
            let scores = found_scores.map(|(_, scores)| scores);
            let record = self.record(*id, found, quality, scores, frame.stamp.monotonic_ns, profile);
            if let Some((pixels, _)) = found_scores {
                face(&record, pixels);
            }
            observation.faces.push(record);
        }
        (self.faces, self.scores) = (aligned, all_scores);
        observation.faces.sort_unstable_by_key(|record| record.track);
        if self.smoothers.len() > 2 * track::MAX_FACES {
            let tracker = &self.tracker;
            self.smoothers.retain(|id, _| tracker.remembers(*id));
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.tracker.clear();
        self.smoothers.clear();
        self.memory.forget();
        self.since = u32::MAX;
    }

    fn input(&self) -> FaceInput {
        self.engine.input()
    }
}

/// Brings values of a model's labels, `labels`, into the order of [`Label::ALL`]; a label that the model lacks gets the default.
pub fn by_label<T: Copy + Default>(labels: &[Label], values: &[T]) -> [T; Label::COUNT] {
    let mut found = [T::default(); Label::COUNT];
    labels.iter().zip(values).for_each(|(label, value)| found[*label as usize] = *value);
    found
}
