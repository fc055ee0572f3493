//! Closer looks at a part of a picture: at places that may hold a small face, and at faces that were found in the frame before.
//!
//! The first pass gives small faces low scores, as it gives other things. A closer look at the best places tells which is which.
//!
//! `cargo test -p host-trainer --lib small_faces -- --nocapture` prints how many of 200 photographs are found in 640x480 frames at a
//! face width of 60, 40 and 30 pixels.

use expression_core::View;

use super::letterbox::Letterbox;
use super::{Detector, Face, MAX_OVERLAP, MIN_SCORE, Memory, Workspace, blend};

/// The least score of the first pass that is worth a closer look.
pub(super) const CANDIDATE_SCORE: f32 = 0.07;
/// The widest candidate, in pixels of the first pass. Wider faces score high in one of the two passes.
const MAX_CANDIDATE_WIDTH: f32 = 64.0;
/// The most candidates of a picture, best first.
const MAX_CANDIDATES: usize = 4;
/// The least score of a glance at a candidate that is worth a look.
const DOUBTFUL_SCORE: f32 = 0.3;

/// How a part of a picture is looked at.
struct Closer {
    /// The side of the part, in widths of the face that is expected in its middle.
    region: f32,
    /// The longer side of the part in the net's input, in pixels.
    side: usize,
}

/// At a candidate: a twelfth of the first pass, and nearly always enough.
const GLANCE: Closer = Closer { region: 1.6, side: 64 };
/// At a candidate that a glance leaves in doubt: a third of the first pass.
const LOOK: Closer = Closer { region: 2.5, side: 128 };
/// At a face that was there a moment ago: a fifth of the first pass. Key points are as precise as those of a face that spans a
/// quarter of the picture in the first pass.
const NEAR: Closer = Closer { region: 1.6, side: 96 };

/// Splits what the first pass answered, in descending order of score, into faces and candidates that belong to none of them and that
/// were not refused before.
pub(super) fn split(answers: Vec<Face>, memory: &Memory) -> (Vec<Face>, Vec<Face>) {
    let (faces, rest): (Vec<Face>, Vec<Face>) = answers.into_iter().partition(|face| face.score >= MIN_SCORE);
    let apart = |candidate: &Face| faces.iter().all(|face| face.overlap(candidate) == 0.0);
    let narrow = rest.into_iter().filter(|face| face.bounds[2] <= MAX_CANDIDATE_WIDTH && apart(face)).collect();
    let mut candidates = blend(narrow);
    candidates.retain(|candidate| !memory.has_refused(candidate));
    candidates.truncate(MAX_CANDIDATES);
    (faces, candidates)
}

impl Detector {
    /// Returns the faces at places where faces were a moment ago, in the order of these `places` (left, top, width and height of
    /// their boxes in pixels), or `None` if one is no longer found or two places show the same face: then only
    /// [`Detector::faces`] can tell what there is.
    ///
    /// Each place takes a fifth of the first pass over the whole picture. Whether a face is upside down is not determined.
    pub fn faces_near(&self, picture: View<'_>, places: &[[f32; 4]], workspace: &mut Workspace) -> Option<Vec<Face>> {
        let look = |place: &[f32; 4]| self.closer_look(picture, *place, NEAR, MIN_SCORE, workspace);
        let found: Vec<Face> = places.iter().map(look).collect::<Option<_>>()?;
        let is_new =
            |(index, face): (usize, &Face)| found[..index].iter().all(|other| face.overlap(other) <= MAX_OVERLAP);
        found.iter().enumerate().all(is_new).then_some(found)
    }

    /// Returns the face that closer looks find at a candidate (both in pixels of `picture`), or `None` if there is none.
    pub(super) fn confirm(&self, picture: View<'_>, candidate: &Face, workspace: &mut Workspace) -> Option<Face> {
        let face = self.closer_look(picture, candidate.bounds, GLANCE, DOUBTFUL_SCORE, workspace)?;
        if face.score >= MIN_SCORE {
            return Some(face);
        }
        self.closer_look(picture, candidate.bounds, LOOK, MIN_SCORE, workspace)
    }

    /// Returns the face of at least `min_score` at a place (left, top, width and height in pixels of `picture`).
    fn closer_look(
        &self,
        picture: View<'_>,
        [left, top, width, height]: [f32; 4],
        Closer { region, side }: Closer,
        min_score: f32,
        workspace: &mut Workspace,
    ) -> Option<Face> {
        let centre = [left + width / 2.0, top + height / 2.0];
        let span = |axis: usize, end: usize| {
            let [first, last] = [-0.5, 0.5].map(|half| centre[axis] + half * region * width);
            // Casts saturate, so that a far or endless value becomes an empty region.
            let first = (first.max(0.0) as usize).min(end);
            (first, (last.max(0.0) as usize).min(end).saturating_sub(first))
        };
        let ((x, across), (y, down)) = (span(0, picture.width()), span(1, picture.height()));
        let part = picture.crop(x, y, across, down)?;
        let letterbox = Letterbox::new(part, side, 0);
        let found = self.look(part, &letterbox, workspace, min_score);
        let faces = blend(found).into_iter().map(|face| letterbox.to_picture(face).moved([x as f32, y as f32]));
        faces.into_iter().find(|face| {
            let [left, top, w, h] = face.bounds;
            let apart = [left + w / 2.0 - centre[0], top + h / 2.0 - centre[1]];
            apart.iter().all(|distance| distance.abs() < width / 2.0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(score: f32, left: f32, width: f32) -> Face {
        Face { score, bounds: [left, 0.0, width, width], upside_down: false, points: [[left, 5.0]; 6] }
    }

    #[test]
    fn candidates_are_few_narrow_and_apart_from_faces() {
        let mut answers = vec![face(0.9, 0.0, 30.0), face(0.4, 10.0, 30.0), face(0.35, 200.0, 65.0)];
        answers.extend((0..5).map(|i| face(0.3 - 0.01 * i as f32, 300.0 + 40.0 * i as f32, 20.0)));
        let (faces, candidates) = split(answers, &Memory::default());
        assert_eq!(faces.iter().map(|face| face.score).collect::<Vec<_>>(), [0.9]);
        assert_eq!(
            candidates.iter().map(|face| face.bounds[0].round()).collect::<Vec<_>>(),
            [300.0, 340.0, 380.0, 420.0]
        );
    }
}
