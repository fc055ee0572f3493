//! The translated detector against an independent evaluation of the tfjs graph, and on photographs.

use std::io::Write;
use std::path::PathBuf;

use expression_core::align::align;
use expression_core::resample::resample;
use expression_core::{FaceInput, View};
use expression_engine::detector::Detector;
use expression_engine::picture::Picture;
use prost::Message;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
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

/// Returns the photographs of a folder with one main face in the middle of each, or `None`, which is said, if there is no such folder:
/// `EXPRESSION_FRAMES`, else a folder beside the project.
fn photographs() -> Option<Vec<Picture>> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/lfw-frames");
    let folder = std::env::var_os("EXPRESSION_FRAMES").map_or(PathBuf::from(beside), PathBuf::from);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        // Past the capture of the test harness, which shows only what failing tests print.
        let advice = "name their folder in EXPRESSION_FRAMES";
        let _ = writeln!(std::io::stderr(), "skipped: no photographs in {}; {advice}", folder.display());
        return None;
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let pictures = files.iter().filter(|file| file.extension().is_some_and(|e| e == "jpg"));
    Some(pictures.map(|file| Picture::open(file).unwrap()).collect())
}

#[test]
fn the_face_is_found_in_98_of_100_photographs() {
    let Some(pictures) = photographs() else { return };
    let detector = Detector::from_onnx(&model().encode_to_vec()).unwrap();
    let input = FaceInput { channels: 1, aligned: 64, size: 64 };
    let (mut all, mut found) = (0, 0);
    for picture in pictures {
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
    }
    eprintln!("{found} of {all} faces found");
    assert!(all > 0 && found * 100 >= all * 98, "{found} of {all}");
}

/// A 640x480 frame.
const FRAME: [usize; 2] = [640, 480];

/// Fills a frame with the blocks of a photograph in another order: texture and parts of a face, but no face.
fn shuffled(picture: View<'_>, block: usize, random: &mut ChaCha8Rng) -> Vec<u8> {
    let [width, height] = FRAME;
    let mut source = vec![0; width * height];
    resample(picture, width, height, true, |x, y, _, value| source[y * width + x] = value);
    let mut places: Vec<[usize; 2]> =
        (0..height / block).flat_map(|y| (0..width / block).map(move |x| [x, y])).collect();
    let order = places.clone();
    places.shuffle(random);
    let mut frame = source.clone();
    for ([x, y], [from_x, from_y]) in order.into_iter().zip(places) {
        for row in 0..block {
            let from = (from_y * block + row) * width + from_x * block;
            frame[(y * block + row) * width + x * block..][..block].copy_from_slice(&source[from..from + block]);
        }
    }
    frame
}

/// Photographs are pasted into frames, of which every other one is grey and every other one a mosaic, so that the face is 60, 40 or 30
/// pixels wide. Mosaics alone count false positives.
#[test]
fn small_faces_are_found_and_few_others() {
    let Some(pictures) = photographs() else { return };
    let detector = Detector::from_onnx(&model().encode_to_vec()).unwrap();
    let random = &mut ChaCha8Rng::seed_from_u64(1);
    let [width, height] = FRAME;
    let views: Vec<View<'_>> = pictures.iter().map(|picture| picture.view().unwrap()).collect();
    let faces: Vec<_> = views.iter().filter_map(|view| Some((*view, detector.faces(*view).first()?.bounds))).collect();
    let mut shares = Vec::new();
    for wanted in [60, 40, 30] {
        let mut found = 0;
        for (index, (view, [left, top, w, h])) in faces.iter().enumerate() {
            let scale = wanted as f32 / w;
            let size = [view.width(), view.height()].map(|n| (n as f32 * scale).round().max(1.0) as usize);
            let at = [0, 1].map(|axis| random.random_range(0..=FRAME[axis] - size[axis]));
            let other = views[(index + 7) % views.len()];
            let mut frame = if index % 2 == 0 { vec![118; width * height] } else { shuffled(other, 40, random) };
            resample(*view, size[0], size[1], true, |x, y, _, value| frame[(at[1] + y) * width + at[0] + x] = value);
            let centre = [at[0] as f32 + (left + w / 2.0) * scale, at[1] as f32 + (top + h / 2.0) * scale];
            found +=
                usize::from(detector.faces(View::new(&frame, width, height, 1, width).unwrap()).iter().any(|face| {
                    let [left, top, w, h] = face.bounds;
                    (left + w / 2.0 - centre[0]).hypot(top + h / 2.0 - centre[1]) < wanted as f32 / 2.0
                }));
        }
        let share = 100.0 * found as f32 / faces.len() as f32;
        eprintln!("{wanted} pixels wide: {found} of {} found, {share:.1} %", faces.len());
        shares.push(share);
    }
    let mut others = 0;
    for (index, view) in views.iter().enumerate() {
        let frame = shuffled(*view, [8, 16, 32, 40, 80][index % 5], random);
        others += detector.faces(View::new(&frame, width, height, 1, width).unwrap()).len();
    }
    eprintln!("{others} false positives in {} frames", views.len());
    assert!(shares.iter().zip([97.0, 88.0, 65.0]).all(|(share, least)| *share >= least), "{shares:?}");
    assert!(others * 10 <= views.len(), "{others} false positives");
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
