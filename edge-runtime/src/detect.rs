//! Finds faces in a picture: BlazeFace on tract.
//!
//! Source: MediaPipe's 256x256 BlazeFace as npm `@vladmandic/human` carries it (`src/face/blazeface.ts`), translated to
//! ONNX by `host-trainer`'s `onnx::detector`, where the tensors are described. Overlapping detections are blended by
//! their scores, as the BlazeFace paper (arXiv 1907.05047, section 3.4) does to keep key points steady from frame to
//! frame.
//!
//! The net places key points well on faces that span up to 40 % of its input and badly on larger ones: on close-ups,
//! the distance between the key points of a picture and those of its mirror image falls from 0.23 to 0.05 of the
//! distance between the eyes when the picture is shrunk to half the input. So a picture is looked at twice, whole and
//! at half the size, unless the first look is sure of a small face and sees no large one.

use expression_core::align::{KeyPoints, Point};
use expression_core::resample::{View, resample};
use tract_onnx::prelude::*;

use crate::graph;

/// Side of the detector's input, in pixels.
const SIDE: usize = 256;
/// The grids of anchors: cells a side, anchors a cell.
const GRIDS: [(usize, usize); 2] = [(16, 2), (8, 6)];
/// Values of an anchor: centre, width and height of the box, six key points.
const VALUES: usize = 16;
/// Below this score (MediaPipe's default) an anchor holds no face.
const LEAST_SCORE: f32 = 0.5;
/// From this score on a small face spares the second look: parts of a close-up, such as an eye behind glasses, score
/// less.
const SURE_SCORE: f32 = 0.8;
/// The widest box, in pixels of the input, that is taken from the first look.
const WIDEST_SMALL: f32 = 112.0;
/// The narrowest box that is taken from the second look, where a face has half the pixels. The two ranges overlap, so
/// that no face falls between them; a face that is found twice is blended.
const NARROWEST_LARGE: f32 = 40.0;
/// Boxes that overlap by more than this (intersection over union) are of one face.
const OVERLAP: f32 = 0.3;

/// Why faces could not be looked for.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// tract refused the graph, or it is not the detector's.
    #[error("the face detector does not run ({reason}); copy the bundle again")]
    Graph {
        /// What tract said.
        reason: String,
    },
}

/// A face in a picture. Places are in pixels of the picture from its top left corner, and may lie outside it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Face {
    /// How sure the detector is, from 0.5 to 1.
    pub score: f32,
    /// Left, top, width and height of the face box: from the brows to the chin.
    pub bounds: [f32; 4],
    /// x and y of the person's right eye (left in the picture), left eye, tip of the nose, centre of the mouth, right
    /// ear, left ear.
    pub points: [[f32; 2]; 6],
}

impl Face {
    /// The key points that [`expression_core::align`] needs; `None` where one is too far outside the picture.
    pub fn key_points(&self) -> Option<KeyPoints> {
        let point = |i: usize| Point::from_pixels(self.points[i][0], self.points[i][1]);
        Some(KeyPoints { eyes: [point(0)?, point(1)?], mouth: point(3)? })
    }

    /// Intersection over union of the two boxes.
    pub fn overlap(&self, other: &Face) -> f32 {
        let [x, y, w, h] = self.bounds;
        let [ox, oy, ow, oh] = other.bounds;
        let shared = |a: f32, a_size: f32, b: f32, b_size: f32| ((a + a_size).min(b + b_size) - a.max(b)).max(0.0);
        let both = shared(x, w, ox, ow) * shared(y, h, oy, oh);
        both / (w * h + ow * oh - both)
    }

    /// Whether the centre of the other box lies in this one.
    fn has_inside(&self, other: &Face) -> bool {
        let [x, y] = [0, 1].map(|axis| other.bounds[axis] + other.bounds[axis + 2] / 2.0 - self.bounds[axis]);
        (0.0..self.bounds[2]).contains(&x) && (0.0..self.bounds[3]).contains(&y)
    }
}

/// The face detector, ready to run.
pub struct Detector {
    plan: Arc<TypedRunnableModel>,
}

impl Detector {
    /// Loads the detector from the bytes of its ONNX file.
    ///
    /// # Errors
    /// `Graph` where tract refuses it or it has other inputs and outputs.
    pub fn from_onnx(onnx: &[u8]) -> Result<Detector, DetectError> {
        let load = || {
            let input = graph::Input { kind: graph::Kind::Float, shape: &[1, 3, SIDE, SIDE] };
            let checked = graph::read(onnx, input)?;
            let model = tract_onnx::onnx().model_for_proto_model(&checked.model)?.into_optimized()?;
            let shape = |fact: &TypedFact| fact.shape.as_concrete().map(<[usize]>::to_vec);
            let anchors = anchors().count();
            let expected = [vec![1, 3, SIDE, SIDE], vec![1, anchors, VALUES], vec![1, anchors]].map(Some);
            let found = [model.input_fact(0)?, model.output_fact(0)?, model.output_fact(1)?].map(shape);
            anyhow::ensure!(found == expected, "inputs and outputs are {found:?}, not {expected:?}");
            model.into_runnable()
        };
        Ok(Detector { plan: crate::engine::guarded(load).map_err(|error: TractError| graph_error(&error))? })
    }

    /// The faces in `picture`, the one with the highest score first. A grey picture counts as RGB with equal channels.
    ///
    /// Runs the net once when it is sure of a face of at most 44 % of the picture's longer side and sees no larger one,
    /// and twice otherwise, so also on a picture without faces.
    ///
    /// # Errors
    /// `Graph` where tract fails.
    pub fn faces(&self, picture: View<'_>) -> Result<Vec<Face>, DetectError> {
        let whole = Letterbox::new(picture, SIDE);
        let mut found = self.look(picture, &whole)?;
        let once = found.iter().all(|face| face.bounds[2] <= WIDEST_SMALL)
            && found.iter().any(|face| face.score >= SURE_SCORE);
        found.retain(|face| face.bounds[2] <= WIDEST_SMALL);
        let mut found: Vec<Face> = found.into_iter().map(|face| whole.to_picture(face)).collect();
        if !once {
            let half = Letterbox::new(picture, SIDE / 2);
            let large = self.look(picture, &half)?.into_iter().filter(|face| face.bounds[2] >= NARROWEST_LARGE);
            found.extend(large.map(|face| half.to_picture(face)));
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(blend(found))
    }

    /// Every anchor that holds a face, in pixels of the net's input.
    fn look(&self, picture: View<'_>, letterbox: &Letterbox) -> Result<Vec<Face>, DetectError> {
        let (boxes, logits) = self.run(&letterbox.input(picture)).map_err(|error| graph_error(&error))?;
        let rows = anchors().zip(boxes.chunks_exact(VALUES)).zip(&logits);
        Ok(rows.filter_map(|((anchor, values), logit)| decode(anchor, values, *logit)).collect())
    }

    /// Runs the net on `[3, 256, 256]`: the values of each anchor and their logits.
    fn run(&self, input: &[f32]) -> TractResult<(Vec<f32>, Vec<f32>)> {
        let outputs = self.plan.run(tvec!(Tensor::from_shape(&[1, 3, SIDE, SIDE], input)?.into()))?;
        let values = |i: usize| TractResult::Ok(outputs[i].to_plain_array_view::<f32>()?.iter().copied().collect());
        Ok((values(0)?, values(1)?))
    }
}

/// How a picture lies in the detector's input: scaled to fit, centred, mid-grey (what the net pads with) around it.
struct Letterbox {
    /// Width and height in the input, in pixels.
    size: [usize; 2],
    /// Left and top edge in the input, in pixels.
    edge: [usize; 2],
    /// Pixels of the picture to one of the input, across and down.
    scale: [f32; 2],
}

impl Letterbox {
    /// The picture's longer side becomes `longest` pixels, at most [`SIDE`].
    fn new(picture: View<'_>, longest: usize) -> Letterbox {
        let from = [picture.width(), picture.height()];
        let most = from[0].max(from[1]);
        let size = from.map(|n| ((n * longest + most / 2) / most).max(1));
        let scale = [0, 1].map(|axis| from[axis] as f32 / size[axis] as f32);
        Letterbox { size, edge: size.map(|n| (SIDE - n) / 2), scale }
    }

    /// The detector's input, `[3, 256, 256]` from -1 to 1.
    fn input(&self, picture: View<'_>) -> Vec<f32> {
        let mut input = vec![0.0; 3 * SIDE * SIDE];
        resample(picture, self.size[0], self.size[1], false, |x, y, c, value| {
            input[(c * SIDE + self.edge[1] + y) * SIDE + self.edge[0] + x] = f32::from(value) / 127.5 - 1.0;
        });
        input
    }

    /// From pixels of the input to pixels of the picture.
    fn to_picture(&self, face: Face) -> Face {
        let at = |place: [f32; 2]| [0, 1].map(|axis| (place[axis] - self.edge[axis] as f32) * self.scale[axis]);
        let [left, top, width, height] = face.bounds;
        let [left, top] = at([left, top]);
        let bounds = [left, top, width * self.scale[0], height * self.scale[1]];
        Face { bounds, points: face.points.map(at), ..face }
    }
}

/// The centre of every anchor in pixels of the input, in the order of the net's rows.
fn anchors() -> impl Iterator<Item = [f32; 2]> {
    GRIDS.into_iter().flat_map(|(cells, each)| {
        let centre = move |cell: usize| (cell as f32 + 0.5) * (SIDE / cells) as f32;
        (0..cells * cells * each).map(move |row| [centre(row / each % cells), centre(row / each / cells)])
    })
}

/// The face that an anchor holds, in pixels of the input; `None` where its score is too low or its values make no
/// sense.
fn decode(anchor: [f32; 2], values: &[f32], logit: f32) -> Option<Face> {
    let score = 1.0 / (1.0 + (-logit).exp());
    let place = |i: usize| [anchor[0] + values[i], anchor[1] + values[i + 1]];
    let ([x, y], width, height) = (place(0), values[2], values[3]);
    let sound = values.iter().all(|v| v.is_finite()) && width > 0.0 && height > 0.0;
    let bounds = [x - width / 2.0, y - height / 2.0, width, height];
    let points = [4, 6, 8, 10, 12, 14].map(place);
    (score >= LEAST_SCORE && sound).then_some(Face { score, bounds, points })
}

/// One face for each group of overlapping ones: their mean, weighted by score, with the score of the best. What has its
/// centre inside a better face without overlapping it enough is a part of that face, and is dropped.
///
/// `faces` is sorted, best first, and so is the result.
fn blend(mut faces: Vec<Face>) -> Vec<Face> {
    let mut blended = Vec::new();
    while let Some(&best) = faces.first() {
        let (group, rest): (Vec<Face>, Vec<Face>) = faces[1..].iter().partition(|face| best.overlap(face) > OVERLAP);
        let group: Vec<Face> = std::iter::once(best).chain(group).collect();
        let total: f32 = group.iter().map(|face| face.score).sum();
        let mean = |value: &dyn Fn(&Face) -> f32| group.iter().map(|f| f.score * value(f)).sum::<f32>() / total;
        let bounds = [0, 1, 2, 3].map(|i| mean(&|face| face.bounds[i]));
        let points = [0, 1, 2, 3, 4, 5].map(|i| [0, 1].map(|axis| mean(&|face| face.points[i][axis])));
        blended.push(Face { score: best.score, bounds, points });
        faces = rest.into_iter().filter(|face| !best.has_inside(face)).collect();
    }
    blended
}

fn graph_error(error: &TractError) -> DetectError {
    DetectError::Graph { reason: format!("{error:#}").replace('\n', " ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(score: f32, left: f32) -> Face {
        Face { score, bounds: [left, 0.0, 10.0, 10.0], points: [[left, 5.0]; 6] }
    }

    #[test]
    fn anchors_are_the_cells_of_both_grids() {
        let anchors: Vec<_> = anchors().collect();
        assert_eq!(anchors.len(), 896);
        assert_eq!(anchors[..3], [[8.0, 8.0], [8.0, 8.0], [24.0, 8.0]]);
        assert_eq!(anchors[32], [8.0, 24.0]);
        assert_eq!(anchors[511..513], [[248.0, 248.0], [16.0, 16.0]]);
        assert_eq!(anchors[895], [240.0, 240.0]);
    }

    #[test]
    fn an_anchor_decodes_to_its_face() {
        let values: Vec<f32> = (0..16).map(|i| i as f32).collect();
        let face = decode([100.0, 50.0], &values, 0.0).unwrap();
        assert_eq!((face.score, face.bounds), (0.5, [99.0, 49.5, 2.0, 3.0]));
        assert_eq!((face.points[0], face.points[5]), ([104.0, 55.0], [114.0, 65.0]));
        assert!(decode([0.0, 0.0], &values, -0.1).is_none());
        assert!(decode([0.0, 0.0], &values, f32::NAN).is_none());
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
    fn a_letterbox_leads_back_to_the_picture() {
        for (width, height) in [(640, 480), (48, 64), (1, 1000), (256, 256), (333, 1)] {
            for longest in [SIDE, SIDE / 2] {
                let data = vec![255; width * height];
                let picture = View::new(&data, width, height, 1, width).unwrap();
                let letterbox = Letterbox::new(picture, longest);
                let [w, h] = letterbox.size;
                let input = letterbox.input(picture);
                assert_eq!(input.iter().filter(|v| **v == 1.0).count(), 3 * w * h);
                assert_eq!(input.iter().filter(|v| **v == 0.0).count(), 3 * (SIDE * SIDE - w * h));
                let [left, top] = letterbox.edge.map(|n| n as f32);
                let whole = Face { bounds: [left, top, w as f32, h as f32], ..face(1.0, 0.0) };
                let found = letterbox.to_picture(whole).bounds;
                let expected = [0.0, 0.0, width as f32, height as f32];
                assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3), "{found:?}");
            }
        }
    }

    #[test]
    fn what_is_no_detector_is_refused() {
        for refused in [Detector::from_onnx(b""), Detector::from_onnx(&[0xff; 99])] {
            let message = refused.err().expect("must be refused").to_string();
            assert!(message.contains("copy the bundle again") && !message.contains('\n'), "{message}");
        }
    }
}
