//! Classifies the face in a picture.
//!
//!     cargo run -p expression-engine --example classify -- models/ferplus-edge face.png
//!
//! If the bundle has its face detector, the face is found and aligned by its eyes and mouth. Otherwise the picture must show
//! just a face, and its centred square is used.

use std::path::Path;
use std::process::ExitCode;

use expression_core::align::align;
use expression_engine::bundle::DETECTOR;
use expression_engine::error::{self, Error, Result};
use expression_engine::{Detector, EngineOptions, Picture, Scores, selftest};

fn main() -> ExitCode {
    error::finish(|| {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let [bundle, picture] = &arguments[..] else {
            return Err(Error::bad_input("usage: classify BUNDLE PICTURE"));
        };
        let (label, scores) = classify(bundle.as_ref(), picture.as_ref())?;
        error::print(&format!("{label} {:.2}", scores.probability[scores.class]))
    })
}

/// Returns the likeliest label of the face in a picture, with the scores of all labels.
fn classify(bundle: &Path, picture: &Path) -> Result<(&'static str, Scores)> {
    // Verifies the bundle and replays its self-test: from here on this machine answers what the workstation predicted.
    let (bundle, engine) = selftest::open(bundle, EngineOptions::default())?;
    let picture = Picture::open(picture)?;

    let face = if bundle.has(DETECTOR) {
        let detector = Detector::from_onnx(&bundle.read(DETECTOR)?)?;
        let view = picture.view().ok_or_else(|| Error::bad_input("the picture has no pixels"))?;
        let faces = detector.faces(view);
        let points = faces.first().and_then(|face| face.key_points());
        let points = points.ok_or_else(|| Error::bad_input("there is no face in the picture"))?;
        let mut face = vec![0; engine.input().len()];
        align(&points, view, engine.input(), &mut face).map_err(Error::bad_input)?;
        face
    } else {
        picture.aligned_face(engine.input())?
    };

    let scores = engine.classify(&face)?;
    Ok((engine.labels()[scores.class].name(), scores))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_gets_a_label_and_probabilities_that_add_up_to_one() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let (label, scores) = classify(&root.join("models/ferplus-edge"), &root.join("docs/faces.jpg")).unwrap();
        assert_eq!(Some(label), expression_core::Label::from_index(scores.class).map(|label| label.name()));
        let sum: f32 = scores.probability.iter().sum();
        // Each is a whole number of 2^-16.
        assert!((sum - 1.0).abs() < 8.0 / 65536.0 && scores.probability.len() == 8, "{scores:?}");
    }

    #[test]
    fn a_file_that_is_not_a_picture_is_bad_input() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let bundle = root.join("models/ferplus-edge");
        let error = classify(&bundle, &bundle.join("manifest.toml")).unwrap_err();
        assert_eq!(error.kind(), error::ErrorKind::BadInput);
    }
}
