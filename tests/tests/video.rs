//! The rendered video: the board's own detector finds its faces, and the board's own reader reads it.

use std::collections::HashMap;

use edge_runtime::camera::{self, CameraOptions, Next, Spec};
use edge_runtime::frame::Frame;
use expression_core::View;
use expression_engine::detector::{Detector, Face, Memory, Workspace};
use host_trainer::detector;
use system_tests::video::{HEIGHT, RATE, Scene, Truth, WIDTH, write};

/// Every so manyth frame is looked at.
const STEP: usize = 9;
/// Share of the unoccluded faces that the detector must find.
const FOUND: f64 = 0.95;

#[test]
fn the_detector_finds_the_faces_that_are_in_full_view() {
    let detector = Detector::from_onnx(&detector::file().unwrap()).unwrap();
    let scene = Scene::new(1).unwrap();
    let (mut found, mut all, mut others, mut missed) = (0, 0, 0, Vec::new());
    let (mut least, mut most) = (f32::MAX, 0f32);
    for frame in (0..20 * RATE).step_by(STEP) {
        let (luma, faces) = scene.draw(frame);
        let view = View::new(&luma, WIDTH, HEIGHT, 1, WIDTH).unwrap();
        let detected = detector.faces(view);
        for face in faces.iter().filter(|face| face.visible > 0.98) {
            (least, most) = (least.min(face.bounds[2]), most.max(face.bounds[2]));
            all += 1;
            match detected.iter().any(|detected| is_of(detected, face)) {
                true => found += 1,
                false => missed.push((frame, face.face)),
            }
        }
        let seen = |detected: &&Face| !faces.iter().any(|face| face.visible > 0.0 && is_of(detected, face));
        others += detected.iter().filter(seen).count();
    }
    eprintln!(
        "{found} of {all} faces of {least:.0} to {most:.0} px found, {others} found where none is; missed {missed:?}"
    );
    assert!(all > 80 && least >= 60.0 && most <= 200.0, "{all} faces of {least} to {most} px");
    assert!(f64::from(found) >= FOUND * f64::from(all), "{found} of {all}; missed (frame, face) {missed:?}");
    assert!(others as f64 <= (1.0 - FOUND) * f64::from(all), "{others} found where none is");
}

/// Whether the boxes are of the same face: they share a third of what they cover.
fn is_of(detected: &Face, truth: &Truth) -> bool {
    detected.overlap(&Face { bounds: truth.bounds, ..*detected }) > 1.0 / 3.0
}

/// With what the frames before had in common, the detector sees a face in the first frame that shows it, and finds what it finds
/// without.
#[test]
fn in_a_video_the_detector_finds_what_it_finds_in_its_frames() {
    let detector = Detector::from_onnx(&detector::file().unwrap()).unwrap();
    let (memory, workspace) = (&mut Memory::default(), &mut Workspace::default());
    let [empty, scene] = [0, 2].map(|faces| Scene::new(1).unwrap().with_faces(faces));
    let mut came = 0;
    for frame in (0..20 * RATE).step_by(STEP) {
        // For five frames nobody is there, and for five there is.
        let is_empty = frame / STEP as u64 % 10 < 5;
        let (luma, _) = if is_empty { empty.draw(frame) } else { scene.draw(frame) };
        let view = View::new(&luma, WIDTH, HEIGHT, 1, WIDTH).unwrap();
        let expected = detector.faces(view);
        // A face that keeps still stays.
        for look in 1..=2 {
            assert_eq!(detector.faces_since(view, memory, workspace), expected, "frame {frame}, look {look}");
        }
        came += u32::from(!is_empty && !expected.is_empty());
    }
    assert!(came >= 30, "faces in {came} frames");
}

/// Faces are found again at the places that they had in the frame before. Where there is none, nothing is found.
#[test]
fn faces_are_found_again_at_their_places() {
    let detector = Detector::from_onnx(&detector::file().unwrap()).unwrap();
    let scene = Scene::new(1).unwrap();
    let workspace = &mut Workspace::default();
    let (mut again, mut all) = (0, 0);
    for frame in (0..20 * RATE).step_by(4 * STEP) {
        let (before, after) = (scene.draw(frame).0, scene.draw(frame + 1).0);
        let [before, after] = [&before, &after].map(|luma| View::new(luma, WIDTH, HEIGHT, 1, WIDTH).unwrap());
        let known = detector.faces(before);
        let places: Vec<[f32; 4]> = known.iter().map(|face| face.bounds).collect();
        all += 1;
        if let Some(found) = detector.faces_near(after, &places, workspace) {
            again += 1;
            assert_eq!(found.len(), known.len());
            assert!(found.iter().zip(&known).all(|(face, known)| face.overlap(known) > 0.5), "frame {frame}");
        }
        if let [place, ..] = places[..] {
            assert_eq!(detector.faces_near(after, &[place, place], workspace), None, "one face at two places");
        }
    }
    eprintln!("in {again} of {all} frames all faces were found again");
    // Where one is missed, the pipeline looks at the whole frame, so a miss costs time and no face.
    assert!(all > 15 && again >= all - 1, "{again} of {all}");
    let grey = vec![118; WIDTH * HEIGHT];
    let grey = View::new(&grey, WIDTH, HEIGHT, 1, WIDTH).unwrap();
    let far = [[f32::MAX; 4], [-1e9, 0.0, 50.0, 50.0], [f32::NAN; 4], [100.0, 100.0, 0.0, 0.0]];
    for place in far.into_iter().chain([[100.0, 100.0, 80.0, 80.0]]) {
        assert_eq!(detector.faces_near(grey, &[place], workspace), None, "{place:?}");
    }
}

#[test]
fn the_script_is_played() {
    let scene = Scene::new(1).unwrap();
    let (mut hidden, mut away, mut labels) = (0, 0, HashMap::new());
    for frame in (0..20 * RATE).step_by(STEP) {
        let (_, [far, near]) = scene.draw(frame);
        assert_eq!(far.frame, frame);
        // Nothing is ever in front of the near face: it is hidden by the edge of the frame alone.
        let cut = near.bounds[0] + near.bounds[2] > WIDTH as f32;
        assert!(near.visible > 0.99 || cut, "{near:?}");
        hidden += usize::from(far.visible < 0.2);
        away += usize::from(near.visible == 0.0);
        [far, near].iter().for_each(|face| *labels.entry((face.face, face.label)).or_insert(0) += 1);
    }
    assert!(hidden >= 2, "the far face is hidden in {hidden} frames");
    assert!(away >= 4, "the near face is away in {away} frames");
    assert_eq!(labels.len(), 16, "{labels:?}");
}

#[test]
fn a_seed_gives_one_video_and_it_is_read_as_it_was_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(3).unwrap();
    for mono in [false, true] {
        let (mut video, mut lines) = (Vec::new(), Vec::new());
        write(&scene, 3, mono, &mut video, &mut lines).unwrap();
        let (mut again, mut same) = (Vec::new(), Vec::new());
        write(&Scene::new(3).unwrap(), 3, mono, &mut again, &mut same).unwrap();
        assert!(video == again && lines == same);
        assert_eq!(system_tests::json_lines(&lines).len(), 6);
        let path = folder.path().join("video.y4m");
        std::fs::write(&path, &video).unwrap();
        let spec: Spec = format!("y4m:{}", path.display()).parse().unwrap();
        let mut source = camera::open(&spec, &CameraOptions::default()).unwrap();
        let mut frame = Frame::default();
        for number in 0..3 {
            assert_eq!(source.next(&mut frame).unwrap(), Next::Frame);
            let (drawn, _) = scene.draw(number);
            let view = frame.view().unwrap();
            assert!((0..WIDTH * HEIGHT).all(|at| view.luma(at % WIDTH, at / WIDTH) == drawn[at]), "frame {number}");
        }
        assert_eq!(source.next(&mut frame).unwrap(), Next::End);
    }
    assert_ne!(scene.draw(0).0, Scene::new(4).unwrap().draw(0).0);
}
