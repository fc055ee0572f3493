//! The face detector: BlazeFace on our own kernels.
//!
//! The weights are MediaPipe's 256x256 BlazeFace from the npm package `@vladmandic/human` (`src/face/blazeface.ts`), translated to
//! ONNX by `host-trainer`'s `onnx::detector`, which describes the tensors. The net sees the luma of a picture. Overlapping
//! detections are blended by their scores, as in the BlazeFace paper (arXiv 1907.05047, section 3.4), which keeps key points
//! steady from frame to frame.
//!
//! The net is convolutional, so its canvas has the shape of the picture rather than a square. It computes in single precision in
//! one fixed order ([`expression_kernels::separable`]), so the same picture gives the same faces, to the bit, on every machine.
//!
//! The net places key points well on faces that span up to 40 % of its input, and badly on larger ones. On close-ups, the distance
//! between the key points of a picture and those of its mirror image falls from 0.23 to 0.05 of the distance between the eyes
//! if the picture is reduced to half the input. So the net runs twice, at full and at half size, if the first pass has any hint of
//! a large face, unless it is sure of a small one and finds no large one.
//!
//! Small faces score low. The best places below the threshold are looked at once more, enlarged (`candidates`). In a video, what has
//! not changed is not looked at again ([`Memory`]).

mod candidates;
mod graph;
mod letterbox;
mod memory;

use expression_core::View;
use expression_core::align::{KeyPoints, Point};
use expression_kernels::separable::{self, Kernel, Map};

use crate::error::{Classify, ErrorKind};
use candidates::CANDIDATE_SCORE;
use graph::{Graph, Head};
use letterbox::{Letterbox, Rows};
pub use memory::Memory;

/// The longer side of a picture in the first pass, in pixels.
const SIDE: usize = 256;
/// The grey margin around a picture in the second pass, in pixels; it keeps faces that fill the picture away from the edge.
const MARGIN: usize = 16;
/// The grids of anchors: pixels per cell and anchors per cell.
const GRIDS: [(usize, usize); 2] = [(16, 2), (32, 6)];
/// The values of an anchor: centre, width and height of the box, and six key points.
const VALUES: usize = 16;
/// The least score of a face: MediaPipe's default.
const MIN_SCORE: f32 = 0.5;
/// The least score of a small face that makes the second pass unnecessary. Parts of a close-up, such as an eye behind glasses,
/// score less.
const SURE_SCORE: f32 = 0.8;
/// The most faces of a picture that are looked at once more, turned by 180 degrees.
const MAX_TURNED_LOOKS: usize = 4;
/// How much of what surrounds a face is looked at with it, in widths and heights of its box on each side.
const SURROUNDINGS: f32 = 0.5;
/// The widest box that is taken from the first pass, in pixels of the input.
const MAX_SMALL_WIDTH: f32 = 112.0;
/// The narrowest box in the first pass that makes a second one worth its while, whatever it scores. A face that fills half of the
/// picture's width or all of it scores at least 0.28 in the first pass, and 0.18 if it extends beyond the picture.
const MIN_HINT_WIDTH: f32 = 60.0;
/// The narrowest box that is taken from the second pass, in pixels of its half-size input. The two ranges overlap, so no face falls
/// between them; a face that is found twice is blended.
const MIN_LARGE_WIDTH: f32 = 40.0;
/// Boxes whose intersection over union is above this belong to one face.
const MAX_OVERLAP: f32 = 0.3;

/// Why the detector could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// The graph is not the detector's.
    #[error("the face detector does not run ({reason}); copy the bundle again")]
    Graph {
        /// What is wrong with the graph.
        reason: String,
    },
}

impl Classify for DetectError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::BadInput
    }
}

/// A face in a picture. Coordinates are in pixels from the picture's top left corner, and may lie outside it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Face {
    /// The detector's score, from 0.5 to 1.
    pub score: f32,
    /// Left, top, width and height of the face box, which spans from the brows to the chin.
    pub bounds: [f32; 4],
    /// Whether the face is upside down: the detector is surer of it when the picture is turned by 180 degrees. Its points are
    /// wrong then, since the net gives them as if it were upright.
    pub upside_down: bool,
    /// The key points as x and y: the person's right eye (left in the picture), left eye, tip of the nose, centre of the mouth,
    /// right ear, left ear.
    pub points: [[f32; 2]; 6],
}

impl Face {
    /// Returns the key points that [`expression_core::align`] needs, or `None` if one is too far outside the picture.
    pub fn key_points(&self) -> Option<KeyPoints> {
        let point = |i: usize| Point::from_pixels(self.points[i][0], self.points[i][1]);
        Some(KeyPoints { eyes: [point(0)?, point(1)?], mouth: point(3)? })
    }

    /// Returns the intersection over union of the two boxes.
    pub fn overlap(&self, other: &Face) -> f32 {
        let [x, y, w, h] = self.bounds;
        let [ox, oy, ow, oh] = other.bounds;
        let shared = |a: f32, a_size: f32, b: f32, b_size: f32| ((a + a_size).min(b + b_size) - a.max(b)).max(0.0);
        let both = shared(x, w, ox, ow) * shared(y, h, oy, oh);
        both / (w * h + ow * oh - both)
    }

    /// Returns the face moved by `by` pixels, right and down.
    fn moved(self, by: [f32; 2]) -> Face {
        let at = |place: [f32; 2]| [place[0] + by[0], place[1] + by[1]];
        let [left, top, width, height] = self.bounds;
        let [left, top] = at([left, top]);
        Face { bounds: [left, top, width, height], points: self.points.map(at), ..self }
    }

    /// Returns whether the centre of the other box lies in this one.
    fn has_inside(&self, other: &Face) -> bool {
        let [x, y] = [0, 1].map(|axis| other.bounds[axis] + other.bounds[axis + 2] / 2.0 - self.bounds[axis]);
        (0.0..self.bounds[2]).contains(&x) && (0.0..self.bounds[3]).contains(&y)
    }
}

/// The face detector, ready to run.
#[derive(Debug)]
pub struct Detector {
    graph: Graph,
    kernel: Kernel,
}

/// The working memory of a detector. It grows with the first pictures and is reused for the next.
#[derive(Debug, Default)]
pub struct Workspace {
    input: Vec<f32>,
    rows: Rows,
    maps: [Map; 2],
    scratch: Vec<f32>,
    scores: Vec<f32>,
    boxes: Vec<f32>,
}

impl Detector {
    /// Loads the detector from the bytes of its ONNX file.
    ///
    /// # Errors
    /// Returns [`DetectError::Graph`] if the graph is not the detector's.
    pub fn from_onnx(onnx: &[u8]) -> Result<Detector, DetectError> {
        Self::with_kernel(onnx, separable::kernels()[0])
    }

    /// Loads the detector as [`Detector::from_onnx`] does, to run on the given kernel.
    ///
    /// # Errors
    /// Returns [`DetectError::Graph`] if the graph is not the detector's.
    pub fn with_kernel(onnx: &[u8], kernel: Kernel) -> Result<Detector, DetectError> {
        let graph = graph::read(onnx)
            .and_then(|graph| check(&graph).map(|()| graph))
            .map_err(|error| DetectError::Graph { reason: format!("{error:#}").replace('\n', " ") })?;
        Ok(Detector { graph, kernel })
    }

    /// Returns the name of the instruction set that the detector uses.
    pub fn kernel(&self) -> &'static str {
        self.kernel.name()
    }

    /// Returns the faces in `picture` in descending order of score.
    ///
    /// The net runs once if it has no hint of a face of more than 23 % of the picture's longer side, or if it is sure of a face of
    /// at most 44 % and finds no larger one. Otherwise it runs a second time at half the size. It also runs on up to four small
    /// regions that may hold a small face.
    pub fn faces(&self, picture: View<'_>) -> Vec<Face> {
        self.faces_with(picture, &mut Workspace::default())
    }

    /// Returns the faces in `picture` as [`Detector::faces`] does, and reuses `workspace`.
    pub fn faces_with(&self, picture: View<'_>, workspace: &mut Workspace) -> Vec<Face> {
        self.faces_since(picture, &mut Memory::default(), workspace)
    }

    /// Returns the faces in the next frame of a video, of which `memory` holds what the frames before had in common. Where nothing
    /// has changed, the answer may be up to eight calls old.
    pub fn faces_since(&self, frame: View<'_>, memory: &mut Memory, workspace: &mut Workspace) -> Vec<Face> {
        let mut faces = self.find(frame, memory, workspace);
        // The net scores an upright face higher than [`SURE_SCORE`], and one on its head lower: few need the extra look.
        for face in faces.iter_mut().filter(|face| face.score < SURE_SCORE).take(MAX_TURNED_LOOKS) {
            face.upside_down = self.is_surer_when_turned(frame, face, workspace);
        }
        faces
    }

    /// Whether a face is found with a higher score when what surrounds it is turned by 180 degrees.
    fn is_surer_when_turned(&self, picture: View<'_>, face: &Face, workspace: &mut Workspace) -> bool {
        let [left, top, width, height] = face.bounds;
        let span = |from: f32, length: f32, end: usize| {
            let (first, last) = (from - SURROUNDINGS * length, from + (1.0 + SURROUNDINGS) * length);
            (first.clamp(0.0, end as f32) as usize, last.clamp(0.0, end as f32) as usize)
        };
        let (x0, x1) = span(left, width, picture.width());
        let (y0, y1) = span(top, height, picture.height());
        let turned: Vec<u8> = (y0..y1).rev().flat_map(|y| (x0..x1).rev().map(move |x| picture.luma(x, y))).collect();
        let Some(view) = View::new(&turned, x1 - x0, y1 - y0, 1, x1 - x0) else { return false };
        self.find(view, &mut Memory::default(), workspace).first().is_some_and(|found| found.score > face.score)
    }

    fn find(&self, picture: View<'_>, memory: &mut Memory, workspace: &mut Workspace) -> Vec<Face> {
        let whole = Letterbox::new(picture, SIDE, 0);
        whole.fill(picture, &mut workspace.input, &mut workspace.rows);
        if memory.holds(&workspace.input, whole.canvas) {
            return Vec::new();
        }
        let answers = self.answer(&whole, workspace, CANDIDATE_SCORE);
        // A large face that the first pass is sure of is never taken for what was refused before.
        let is_new = |face: &&Face| face.score >= MIN_SCORE || !memory.has_refused(face);
        let hints = answers.iter().filter(|face| face.bounds[2] >= MIN_HINT_WIDTH).filter(is_new);
        let hints: Vec<Face> = hints.copied().collect();
        let (mut found, candidates) = candidates::split(answers, memory);
        let only_small = found.iter().all(|face| face.bounds[2] <= MAX_SMALL_WIDTH);
        found.retain(|face| face.bounds[2] <= MAX_SMALL_WIDTH);
        let mut found: Vec<Face> = found.into_iter().map(|face| whole.to_picture(face)).collect();
        for candidate in candidates {
            match self.confirm(picture, &whole.to_picture(candidate), workspace) {
                Some(face) => found.push(face),
                None => memory.refuse(candidate),
            }
        }
        let is_sure = only_small && found.iter().any(|face| face.score >= SURE_SCORE);
        if !hints.is_empty() && !is_sure {
            let half = Letterbox::new(picture, SIDE / 2, MARGIN);
            let mut large = self.look(picture, &half, workspace, MIN_SCORE);
            large.retain(|face| face.bounds[2] >= MIN_LARGE_WIDTH);
            if large.is_empty() {
                blend(hints).into_iter().for_each(|hint| memory.refuse(hint));
            }
            found.extend(large.into_iter().map(|face| half.to_picture(face)));
        }
        memory.saw(!found.is_empty());
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        blend(found)
    }

    /// Runs the net on a picture of `canvas` floats (width and height, multiples of 32) from -1 to 1, row by row. Calls `each` with
    /// every anchor's centre in pixels, its sixteen values and its logit, in the order of the grids. This is for comparison with
    /// other engines.
    pub fn answers(&self, picture: &[f32], canvas: [usize; 2], each: impl FnMut([f32; 2], &[f32], f32)) {
        let mut workspace = Workspace { input: picture.to_vec(), ..Workspace::default() };
        self.run(canvas, &mut workspace, each);
    }

    /// Returns the face of every anchor that scores at least `min_score`, in pixels of the canvas and in descending order of score.
    fn look(&self, picture: View<'_>, letterbox: &Letterbox, workspace: &mut Workspace, min_score: f32) -> Vec<Face> {
        letterbox.fill(picture, &mut workspace.input, &mut workspace.rows);
        self.answer(letterbox, workspace, min_score)
    }

    /// Returns what [`Detector::look`] does, of a picture that the workspace's input holds.
    fn answer(&self, letterbox: &Letterbox, workspace: &mut Workspace, min_score: f32) -> Vec<Face> {
        let mut found = Vec::new();
        self.run(letterbox.canvas, workspace, |anchor, values, logit| {
            found.extend(decode(anchor, values, logit).filter(|face| face.score >= min_score));
        });
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found
    }

    /// Runs the net on the workspace's input; calls `each` with the centre, values and logit of every anchor.
    fn run(&self, [width, height]: [usize; 2], workspace: &mut Workspace, mut each: impl FnMut([f32; 2], &[f32], f32)) {
        let Workspace { input, maps, scratch, scores, boxes, .. } = workspace;
        let Graph { stem, layers, heads } = &self.graph;
        let [mut from, mut to] = std::mem::take(maps);
        let (mut width, mut height) = (width / 2, height / 2);
        from.resize(width, height, stem.to());
        stem.run(self.kernel, input, &mut from, scratch);
        for (index, layer) in layers.iter().enumerate() {
            (width, height) = (width / layer.stride(), height / layer.stride());
            to.resize(width, height, layer.to());
            layer.run(self.kernel, &from, &mut to, scratch);
            std::mem::swap(&mut from, &mut to);
            let grids = heads.iter().zip(GRIDS).filter(|(head, _)| head.after == index + 1);
            for (Head { scores: of_scores, boxes: of_boxes, .. }, (cell, anchors)) in grids {
                separable::heads(self.kernel, of_scores, &from, scores);
                separable::heads(self.kernel, of_boxes, &from, boxes);
                let places = scores.chunks_exact(of_scores.stored()).zip(boxes.chunks_exact(of_boxes.stored()));
                for (place, (logits, values)) in places.enumerate() {
                    let centre = [place % width, place / width].map(|at| (at as f32 + 0.5) * cell as f32);
                    let values = values.chunks_exact(VALUES).take(anchors);
                    logits.iter().zip(values).for_each(|(logit, values)| each(centre, values, *logit));
                }
            }
        }
        *maps = [from, to];
    }
}

/// Checks that the heads fit the grids.
fn check(graph: &Graph) -> anyhow::Result<()> {
    for (head, (cell, anchors)) in graph.heads.iter().zip(GRIDS) {
        let before = graph.layers.get(..head.after).unwrap_or_default();
        let pixels: usize = 2 * before.iter().map(|layer| layer.stride()).product::<usize>();
        let found = (pixels, head.scores.to(), head.boxes.to());
        anyhow::ensure!(found == (cell, anchors, anchors * VALUES), "a grid of {found:?}");
    }
    Ok(())
}

/// Returns an anchor's face in pixels of the canvas, or `None` if its values are not finite and plausible.
fn decode(anchor: [f32; 2], values: &[f32], logit: f32) -> Option<Face> {
    // libm's exponential is the same everywhere; the system's is not.
    let score = 1.0 / (1.0 + libm::expf(-logit));
    let place = |i: usize| [anchor[0] + values[i], anchor[1] + values[i + 1]];
    let ([x, y], width, height) = (place(0), values[2], values[3]);
    let sound = values.iter().all(|v| v.is_finite()) && width > 0.0 && height > 0.0;
    let bounds = [x - width / 2.0, y - height / 2.0, width, height];
    let points = [4, 6, 8, 10, 12, 14].map(place);
    sound.then_some(Face { score, bounds, upside_down: false, points })
}

/// One face for each group of overlapping ones: their mean, weighted by score, with the score of the best. What has its
/// centre inside a better face without overlapping it enough is a part of that face, and is dropped.
///
/// `faces` is sorted, best first, and so is the result.
fn blend(mut faces: Vec<Face>) -> Vec<Face> {
    let mut blended = Vec::new();
    while let Some(&best) = faces.first() {
        let (group, rest): (Vec<Face>, Vec<Face>) =
            faces[1..].iter().partition(|face| best.overlap(face) > MAX_OVERLAP);
        let group: Vec<Face> = std::iter::once(best).chain(group).collect();
        let total: f32 = group.iter().map(|face| face.score).sum();
        let mean = |value: &dyn Fn(&Face) -> f32| group.iter().map(|f| f.score * value(f)).sum::<f32>() / total;
        let bounds = [0, 1, 2, 3].map(|i| mean(&|face| face.bounds[i]));
        let points = [0, 1, 2, 3, 4, 5].map(|i| [0, 1].map(|axis| mean(&|face| face.points[i][axis])));
        blended.push(Face { score: best.score, bounds, upside_down: false, points });
        faces = rest.into_iter().filter(|face| !best.has_inside(face)).collect();
    }
    blended
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(score: f32, left: f32) -> Face {
        Face { score, bounds: [left, 0.0, 10.0, 10.0], upside_down: false, points: [[left, 5.0]; 6] }
    }

    #[test]
    fn an_anchor_decodes_to_its_face() {
        let values: Vec<f32> = (0..16).map(|i| i as f32).collect();
        let face = decode([100.0, 50.0], &values, 0.0).unwrap();
        assert_eq!((face.score, face.bounds), (0.5, [99.0, 49.5, 2.0, 3.0]));
        assert_eq!((face.points[0], face.points[5]), ([104.0, 55.0], [114.0, 65.0]));
        assert!(decode([0.0, 0.0], &[f32::NAN; 16], 9.0).is_none());
        assert!(decode([0.0, 0.0], &[-1.0; 16], 9.0).is_none());
    }

    #[test]
    fn overlapping_faces_are_blended_and_others_kept() {
        let eye = Face { bounds: [1.0, 3.0, 2.0, 2.0], ..face(0.8, 0.0) };
        let found = blend(vec![face(0.9, 0.0), eye, face(0.6, 2.0), face(0.5, 40.0)]);
        assert_eq!(found.len(), 2);
        assert!((found[0].bounds[0] - 0.8).abs() < 1e-6 && found[0].score == 0.9);
        assert!((found[0].points[3][0] - 0.8).abs() < 1e-6);
        assert_eq!(found[1], face(0.5, 40.0));
    }

    #[test]
    fn what_is_no_detector_is_refused() {
        for refused in [Detector::from_onnx(b""), Detector::from_onnx(&[0xff; 99])] {
            let message = refused.expect_err("must be refused").to_string();
            assert!(message.contains("copy the bundle again") && !message.contains('\n'), "{message}");
        }
    }
}
