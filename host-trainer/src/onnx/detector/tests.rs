//! The translated detector against an independent evaluation of the tfjs graph, and on photographs.

use std::io::Write;
use std::path::PathBuf;

use expression_core::FaceInput;
use expression_core::align::align;
use expression_engine::detector::Detector;
use expression_engine::picture::Picture;
use prost::Message;
use tract_onnx::prelude::{Framework, InferenceModelExt, IntoRunnable, Tensor, tvec};

use super::*;

/// The pinned model, which set-up fetches.
fn model() -> ModelProto {
    let json = crate::assets::folder().join("human/blazeface.json");
    detector_onnx(&Graph::open(&json).expect("assets are set up")).unwrap()
}

#[test]
fn the_translation_computes_what_the_tfjs_graph_does() {
    // Logit, then values 0, 2, 3 and 15 of an anchor: the tfjs graph evaluated node by node in f64 (numpy, NHWC).
    const EXPECTED: [(usize, f32, [f32; 4]); 4] = [
        (0, -4.156219, [-0.63004, 43.5733, 43.5738, -12.6159]),
        (300, -2.94196, [0.5775, 27.8464, 27.8469, -0.86946]),
        (512, -5.18443, [10.1995, 89.8303, 89.8184, -10.7106]),
        (895, -15.96371, [4.21152, 57.0834, 56.26709, -8.98792]),
    ];
    let model = model();
    let byte = |c: usize, y: usize, x: usize| (7 * x + 13 * y + 29 * c + x * y / 16) % 256;
    let input = |p: usize| byte(p >> 16, p >> 8 & 255, p & 255) as f32 / 127.5 - 1.0;
    let input: Vec<f32> = (0..3 << 16).map(input).collect();
    let bytes = model.encode_to_vec();
    let plan = tract_onnx::onnx().model_for_read(&mut &bytes[..]).unwrap().into_optimized().unwrap();
    let input = Tensor::from_shape(&[1, 3, 256, 256], &input).unwrap();
    let outputs = plan.into_runnable().unwrap().run(tvec!(input.into())).unwrap();
    let (boxes, scores) =
        (outputs[0].to_plain_array_view::<f32>().unwrap(), outputs[1].to_plain_array_view::<f32>().unwrap());
    for (anchor, logit, values) in EXPECTED {
        let found = [0, 2, 3, 15].map(|i| boxes[[0, anchor, i]]);
        let near = |a: f32, b: f32| (a - b).abs() < 1e-3;
        assert!(near(scores[[0, anchor]], logit), "{anchor}: {} {logit}", scores[[0, anchor]]);
        assert!(found.iter().zip(values).all(|(a, b)| near(*a, b)), "{anchor}: {found:?} {values:?}");
    }
}

/// The board's own kernels, which add the filters of the colours up, against tract on a grey picture.
#[test]
fn the_boards_detector_computes_what_tract_does() {
    let bytes = model().encode_to_vec();
    let grey: Vec<f32> = (0..1 << 16).map(|p| ((p * 7 + (p >> 8) * 13) % 256) as f32 / 127.5 - 1.0).collect();
    let input = Tensor::from_shape(&[1, 3, 256, 256], &grey.repeat(3)).unwrap();
    let plan = tract_onnx::onnx().model_for_read(&mut &bytes[..]).unwrap().into_optimized().unwrap();
    let outputs = plan.into_runnable().unwrap().run(tvec!(input.into())).unwrap();
    let expected =
        [0, 1].map(|i| outputs[i].to_plain_array_view::<f32>().unwrap().iter().copied().collect::<Vec<f32>>());
    let (mut boxes, mut scores, mut centres) = (Vec::new(), Vec::new(), Vec::new());
    Detector::from_onnx(&bytes).unwrap().answers(&grey, [256, 256], |centre, values, logit| {
        centres.push(centre);
        boxes.extend_from_slice(values);
        scores.push(logit);
    });
    for (found, expected) in [boxes, scores].iter().zip(&expected) {
        assert_eq!(found.len(), expected.len());
        let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 2e-3, "{worst}");
    }
    assert_eq!(centres[..3], [[8.0, 8.0], [8.0, 8.0], [24.0, 8.0]]);
    assert_eq!(
        [centres[32], centres[511], centres[512], centres[895]],
        [[8.0, 24.0], [248.0, 248.0], [16.0, 16.0], [240.0, 240.0]]
    );
}

/// Photographs with one main face in the middle of each: `EXPRESSION_FRAMES`, else a folder beside the project.
#[test]
fn the_face_is_found_in_98_of_100_photographs() {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/lfw-frames");
    let folder = std::env::var_os("EXPRESSION_FRAMES").map_or(PathBuf::from(beside), PathBuf::from);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        // Past the capture of the test harness, which shows only what failing tests print.
        let advice = "name their folder in EXPRESSION_FRAMES";
        let _ = writeln!(std::io::stderr(), "skipped: no photographs in {}; {advice}", folder.display());
        return;
    };
    let detector = Detector::from_onnx(&model().encode_to_vec()).unwrap();
    let input = FaceInput { channels: 1, aligned: 64, size: 64 };
    let (mut all, mut found) = (0, 0);
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "jpg")) {
        let picture = Picture::open(file).unwrap();
        let faces = detector.faces(picture.view().unwrap());
        let centred = faces.first().is_some_and(|face| {
            let [left, top, width, height] = face.bounds;
            let (x, y) = (picture.width as f32 / 2.0, picture.height as f32 / 2.0);
            (left..left + width).contains(&x) && (top..top + height).contains(&y)
        });
        let aligned = faces
            .first()
            .and_then(|face| face.key_points())
            .is_some_and(|points| align(&points, picture.view().unwrap(), input, &mut vec![0; input.len()]).is_ok());
        all += 1;
        found += usize::from(centred && aligned);
        if !(centred && aligned) {
            eprintln!("{}: missed", file.display());
        }
    }
    eprintln!("{found} of {all} faces found");
    assert!(all > 0 && found * 100 >= all * 98, "{found} of {all}");
}

#[test]
fn a_graph_that_is_not_blazeface_is_refused() {
    let json = br#"{"modelTopology":{"node":[{"name":"x","op":"FFT"}]},"weightsManifest":[]}"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.json");
    std::fs::write(&path, json).unwrap();
    let message = detector_onnx(&Graph::open(&path).unwrap()).unwrap_err().to_string();
    assert!(message.contains("`x` (FFT)") && message.contains("cargo xtask setup"), "{message}");
}
