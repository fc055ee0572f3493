//! Faces cut out of the pictures of a data set by the board's own detector and alignment.

use expression_core::align::{KeyPoints, Point, Similarity};
use expression_engine::Picture;
use expression_engine::detector::Detector;

use crate::error::Error;

/// Longest side of a cut face in pixels: enough for the face net's 224.
const MAX_SIDE: usize = 256;
/// Shortest side, for faces of few pixels.
const MIN_SIDE: usize = 48;

/// Why a picture is left out in which the detector finds nobody.
pub const NO_FACE: &str = "no face found";

/// Points of the usual annotation of a face (Multi-PIE's, iBUG 300-W's): jaw, brows, nose, eyes, mouth.
pub const LANDMARKS: usize = 68;

/// The key points of a face from its 68 landmarks, x and y in pixels: the means of the points around each eye and around the
/// outer lips. `None` if there are fewer landmarks or they lie far outside a picture.
pub fn key_points(landmarks: &[[f32; 2]]) -> Option<KeyPoints> {
    let centre = |range: std::ops::Range<usize>| {
        let part = landmarks.get(range)?;
        let mean = |axis: usize| part.iter().map(|point| point[axis]).sum::<f32>() / part.len() as f32;
        Point::from_pixels(mean(0), mean(1))
    };
    Some(KeyPoints { eyes: [centre(36..42)?, centre(42..48)?], mouth: centre(48..60)? })
}

/// Finds faces in pictures and cuts them out.
pub struct Finder(Detector);

impl Finder {
    /// With the detector made from the fetched assets.
    ///
    /// # Errors
    /// [`Error::BadInput`] where they are missing or damaged.
    pub fn open() -> crate::Result<Finder> {
        let detector = Detector::from_onnx(&crate::detector::file()?);
        Ok(Finder(detector.map_err(|error| Error::BadInput(error.to_string()))?))
    }

    /// The face that the detector is surest of, as [`face`] cuts it.
    ///
    /// # Errors
    /// A line that says why there is none.
    pub fn face(&self, picture: &Picture) -> Result<Picture, String> {
        let view = picture.view().ok_or("no pixels")?;
        let found = self.0.faces(view);
        found.iter().filter_map(|face| face_at(picture, &face.key_points()?)).next().ok_or_else(|| NO_FACE.to_owned())
    }
}

/// The aligned square of the face with these key points, in the picture's channels: what a data set would hold whose
/// pictures were aligned before. Its side is as many pixels as the face has in the picture, brought into 48 to 256, so
/// that nothing is enlarged that the nets would only shrink again.
///
/// # Errors
/// A line where the points are no face's.
pub fn face(picture: &Picture, points: &KeyPoints) -> Result<Picture, String> {
    face_at(picture, points).ok_or_else(|| "its key points are not those of a face".to_owned())
}

fn face_at(picture: &Picture, points: &KeyPoints) -> Option<Picture> {
    // The scale is in 2^-16 pixels of the picture to a pixel of the face.
    let scale = Similarity::fit(points, MAX_SIDE).ok()?.scale();
    let side = ((MAX_SIDE as u64 * scale) >> 16).clamp(MIN_SIDE as u64, MAX_SIDE as u64) as usize;
    let (view, channels) = (picture.view()?, picture.channels);
    let mut data = vec![0; side * side * channels];
    Similarity::fit(points, side).ok()?.warp(view, [0, 0], [side, side], channels == 1, |x, y, c, value| {
        data[(y * side + x) * channels + c] = value;
    });
    Some(Picture { width: side, height: side, channels, data })
}
