//! From a picture to aligned faces, and whether each of them can be read. `run`, `classify` and the data sets all go this way.

use expression_core::align::{Point, align};
use expression_core::quality::{self, QualityLimits};
use expression_core::track::Detection;
use expression_core::{Bounds, FaceInput, Quality, View};

use crate::detector::{Detector, Face, Workspace};

/// Returns a face of the detector as tracker and aligner take it; `None` if its points lie too far outside the picture.
pub fn detection(face: &Face) -> Option<Detection> {
    let [left, top, width, height] = face.bounds;
    let bounds = Bounds {
        left: left.round() as i16,
        top: top.round() as i16,
        width: width.round() as u16,
        height: height.round() as u16,
    };
    let point = |index: usize| Point::from_pixels(face.points[index][0], face.points[index][1]);
    let eyes = [point(0)?, point(1)?];
    Some(Detection { bounds, upside_down: face.upside_down, eyes, nose: point(2)?, mouth: point(3)? })
}

/// Aligns faces, and judges whether they can be read.
#[derive(Debug, Clone, Copy)]
pub struct Aligner {
    /// Geometry of the aligned face.
    pub input: FaceInput,
    /// What a face must have to be read.
    pub limits: QualityLimits,
}

impl Aligner {
    /// Aligns a face of `view` into `out`, which has [`FaceInput::len`] bytes, and returns its quality. Only what is
    /// [`Quality::Good`] or [`Quality::Blurred`] has been aligned.
    pub fn align(&self, found: &Detection, view: View<'_>, out: &mut [u8]) -> Quality {
        let quality = quality::from_geometry(found, [view.width(), view.height()], &self.limits);
        if quality != Quality::Good {
            return quality;
        }
        if align(&found.key_points(), view, self.input, out).is_err() {
            return Quality::Turned;
        }
        quality::from_aligned(out, self.input.size, &self.limits)
    }
}

/// A face of a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct AlignedFace {
    /// Where it is.
    pub detection: Detection,
    /// How sure the detector is, from 0.5 to 1.
    pub score: f32,
    /// Whether it can be read.
    pub quality: Quality,
    /// u8 `[channels, size, size]`; `None` unless the quality is [`Quality::Good`].
    pub pixels: Option<Vec<u8>>,
}

/// Finds and aligns the faces of single pictures.
#[derive(Debug)]
pub struct FaceFinder {
    detector: Detector,
    aligner: Aligner,
    workspace: Workspace,
}

impl FaceFinder {
    /// Finds faces with `detector`; they are aligned for `input`.
    pub fn new(detector: Detector, input: FaceInput) -> FaceFinder {
        let aligner = Aligner { input, limits: QualityLimits::default() };
        FaceFinder { detector, aligner, workspace: Workspace::default() }
    }

    /// Returns every face of a picture, the largest first.
    pub fn find(&mut self, view: View<'_>) -> Vec<AlignedFace> {
        let found = self.detector.faces_with(view, &mut self.workspace);
        let mut faces: Vec<AlignedFace> = found
            .iter()
            .filter_map(|face| {
                let detection = detection(face)?;
                let mut pixels = vec![0; self.aligner.input.len()];
                let quality = self.aligner.align(&detection, view, &mut pixels);
                let pixels = (quality == Quality::Good).then_some(pixels);
                Some(AlignedFace { detection, score: face.score, quality, pixels })
            })
            .collect();
        faces.sort_by_key(|face| std::cmp::Reverse(face.detection.bounds.area()));
        faces
    }
}
