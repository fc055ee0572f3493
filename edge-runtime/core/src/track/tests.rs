use super::*;

const SECOND: u64 = 1_000_000_000;
const WIDTH: usize = 320;
const HEIGHT: usize = 240;

/// A scene: faces as discs with features, the later ones in front.
fn scene(faces: &[(f32, f32, u8)]) -> [u8; WIDTH * HEIGHT] {
    core::array::from_fn(|index| {
        let (x, y) = ((index % WIDTH) as f32, (index / WIDTH) as f32);
        faces
            .iter()
            .rev()
            .find_map(|(cx, cy, tone)| {
                let (dx, dy) = (x - cx, y - cy);
                let eye = (dx.abs() - 10.0).powi(2) + (dy + 8.0).powi(2) < 20.0;
                let mouth = dx.abs() < f32::from(*tone) / 12.0 && (dy - 14.0).abs() < 3.0;
                (dx * dx + dy * dy < 900.0).then_some(if eye || mouth { 30 } else { *tone })
            })
            .unwrap_or((80.0 + x / 8.0) as u8)
    })
}

fn detection(x: f32, y: f32) -> Detection {
    let point = |dx: f32, dy: f32| Point::from_pixels(x + dx, y + dy).unwrap();
    let bounds = Bounds { left: (x - 30.0) as i16, top: (y - 30.0) as i16, width: 60, height: 60 };
    let eyes = [point(-10.0, -8.0), point(10.0, -8.0)];
    Detection { bounds, upside_down: false, eyes, nose: point(0.0, 2.0), mouth: point(0.0, 14.0) }
}

fn ids(tracker: &Tracker) -> heapless::Vec<(u32, i16), MAX_FACES> {
    tracker.faces().map(|track| (track.id(), track.face().bounds.left)).collect()
}

#[test]
fn faces_that_cross_keep_their_numbers() {
    let mut tracker = Tracker::new(TrackLimits::default());
    for frame in 0..120u64 {
        let now = frame * SECOND / 30;
        let (a, b) = (40.0 + 2.0 * frame as f32, 280.0 - 2.0 * frame as f32);
        let data = scene(&[(a, 120.0, 150), (b, 126.0, 220)]);
        let view = View::new(&data, WIDTH, HEIGHT, 1, WIDTH).unwrap();
        if frame % 3 == 0 {
            // While they overlap only the one in front is detected, with noise like a detector's.
            let noise = [1.0, -1.5, 0.5, -0.5][frame as usize / 3 % 4];
            let both = [detection(b + noise, 126.0), detection(a - noise, 120.0)];
            let count = if (a - b).abs() < 36.0 { 1 } else { 2 };
            tracker.detected(&both[..count], view, now);
        } else {
            tracker.follow(view, now);
        }
        for (id, left) in ids(&tracker) {
            let x = if id == 1 { b } else { a };
            assert!(id <= 2, "frame {frame}: a third track");
            let off = (f32::from(left) + 30.0 - x).abs();
            // Half hidden, a face's patch shows the other one too.
            let most = if (a - b).abs() < 60.0 { 10.0 } else { 6.0 };
            assert!(off <= most, "frame {frame}: track {id} is {off} pixels off");
        }
    }
    assert_eq!(ids(&tracker).len(), 2);
}

#[test]
fn between_detections_a_face_is_followed_where_it_goes() {
    let mut tracker = Tracker::new(TrackLimits { confirm: 1, ..TrackLimits::default() });
    let mut x = 100.0f32;
    for frame in 0..60u64 {
        // It stops and turns back, which a velocity alone would miss.
        x += if frame < 20 {
            3.0
        } else if frame < 40 {
            0.0
        } else {
            -3.0
        };
        let data = scene(&[(x, 120.0, 180)]);
        let view = View::new(&data, WIDTH, HEIGHT, 1, WIDTH).unwrap();
        match frame % 10 {
            0 => tracker.detected(&[detection(x, 120.0)], view, frame * SECOND / 30),
            _ => tracker.follow(view, frame * SECOND / 30),
        }
        let found = ids(&tracker);
        assert_eq!((found.len(), found[0].0), (1, 1));
        assert!((f32::from(found[0].1) + 30.0 - x).abs() < 8.0, "frame {frame}: {} {x}", found[0].1 + 30);
    }
}

#[test]
fn a_face_must_be_seen_twice_and_is_forgotten_after_a_while() {
    let data = scene(&[]);
    let view = View::new(&data, WIDTH, HEIGHT, 1, WIDTH).unwrap();
    let mut tracker = Tracker::new(TrackLimits::default());
    tracker.detected(&[detection(100.0, 100.0)], view, 0);
    assert_eq!(tracker.faces().count(), 0);
    tracker.detected(&[], view, SECOND / 10);
    assert!(!tracker.unconfirmed());
    tracker.detected(&[detection(100.0, 100.0)], view, SECOND);
    tracker.detected(&[detection(100.0, 100.0)], view, SECOND + SECOND / 10);
    assert_eq!(ids(&tracker)[0].0, 1);
    // Hidden for a second, it comes back as itself; after longer, as another.
    tracker.detected(&[], view, SECOND + 2 * SECOND / 10);
    assert_eq!(tracker.faces().count(), 0);
    tracker.detected(&[detection(102.0, 100.0)], view, 2 * SECOND);
    assert_eq!(ids(&tracker)[0].0, 1);
    tracker.detected(&[], view, 3 * SECOND);
    for tenth in 0..2 {
        tracker.detected(&[detection(102.0, 100.0)], view, 5 * SECOND + tenth * SECOND / 10);
    }
    assert_eq!(ids(&tracker)[0].0, 2);
}

#[test]
fn more_faces_than_there_is_room_for_are_dropped() {
    let data = scene(&[]);
    let view = View::new(&data, WIDTH, HEIGHT, 1, WIDTH).unwrap();
    let mut tracker = Tracker::new(TrackLimits { confirm: 1, ..TrackLimits::default() });
    let crowd: [Detection; 40] = core::array::from_fn(|i| detection(70.0 * (i % 8) as f32, 70.0 * (i / 8) as f32));
    tracker.detected(&crowd, view, 0);
    tracker.detected(&crowd[20..], view, SECOND / 10);
    assert!(tracker.tracks.len() <= MAX_FACES);
    // Clocks that go backwards and faces at the end of the world change nothing.
    let far = Detection { bounds: Bounds { left: i16::MIN, top: i16::MAX, width: 0, height: u16::MAX }, ..crowd[0] };
    tracker.detected(&[far, far], view, 0);
    tracker.follow(view, u64::MAX);
}

#[test]
fn a_face_in_sight_keeps_its_number_however_slowly_frames_come() {
    let data = scene(&[(100.0, 120.0, 150)]);
    let view = View::new(&data, WIDTH, HEIGHT, 1, WIDTH).unwrap();
    let mut tracker = Tracker::new(TrackLimits::default());
    for frame in 0..6u64 {
        // A frame in four seconds, as a slow board or a camera that saves its battery has them.
        tracker.detected(&[detection(100.0, 120.0)], view, frame * 4 * SECOND);
        assert_eq!(ids(&tracker).len(), usize::from(frame > 0), "frame {frame}");
    }
    assert_eq!(ids(&tracker)[0].0, 1);
    // Followed only, it stays, and asks to be looked for again.
    let last = 5 * 4 * SECOND;
    assert!(!tracker.aging(last + SECOND / 2));
    tracker.follow(view, last + 3 * SECOND);
    assert!(tracker.aging(last + 3 * SECOND));
    assert_eq!(ids(&tracker).len(), 1);
    tracker.detected(&[], view, last + 3 * SECOND);
    assert_eq!(ids(&tracker).len(), 0);
    assert!(!tracker.remembers(1));
}

/// What a wall or a street shows where a face was: structure, but none of a face's.
fn background(pitch: usize) -> [u8; WIDTH * HEIGHT] {
    core::array::from_fn(|index| {
        let (x, y) = (index % WIDTH, index / WIDTH);
        if (x / pitch + 2 * y / pitch).is_multiple_of(3) { 40 } else { 190 }
    })
}

#[test]
fn after_a_scene_cut_a_track_is_in_doubt_until_the_detector_has_seen_it() {
    let face = scene(&[(100.0, 120.0, 180)]);
    let flat = [90; WIDTH * HEIGHT];
    let scenes = [background(3), background(11), background(29), flat, scene(&[(220.0, 60.0, 180)])];
    for (number, cut) in scenes.iter().enumerate() {
        let view = |data| View::new(data, WIDTH, HEIGHT, 1, WIDTH).unwrap();
        let mut tracker = Tracker::new(TrackLimits { confirm: 1, ..TrackLimits::default() });
        tracker.detected(&[detection(100.0, 120.0)], view(&face), 0);
        tracker.follow(view(&face), SECOND / 30);
        assert!(!tracker.in_doubt() && tracker.is_settled(), "scene {number}: the face is still there");
        tracker.follow(view(cut), 2 * SECOND / 30);
        assert!(tracker.in_doubt() && !tracker.is_settled(), "scene {number}: what is there is no face");
        tracker.detected(&[], view(cut), 2 * SECOND / 30);
        assert!(tracker.faces().next().is_none() && !tracker.in_doubt(), "scene {number}");
    }
}

#[test]
fn tracks_are_settled_while_every_face_is_confirmed_and_in_sight() {
    let data = scene(&[(100.0, 120.0, 180), (220.0, 120.0, 150)]);
    let view = View::new(&data, WIDTH, HEIGHT, 1, WIDTH).unwrap();
    let both = [detection(100.0, 120.0), detection(220.0, 120.0)];
    let mut tracker = Tracker::new(TrackLimits::default());
    let mut settled = |faces: &[Detection], frame: u64| {
        tracker.detected(faces, view, frame * SECOND / 30);
        tracker.is_settled()
    };
    assert!(!settled(&[], 0), "without a face");
    assert!(!settled(&both[..1], 1), "a face that is not confirmed");
    assert!(settled(&both[..1], 2));
    assert!(!settled(&both, 3), "one of two faces is not confirmed");
    assert!(settled(&both, 4));
    assert!(!settled(&both[1..], 5), "a face that is hidden");
    assert!(settled(&both, 6));
}

#[test]
fn a_face_that_moves_or_changes_its_expression_is_not_in_doubt() {
    let mut tracker = Tracker::new(TrackLimits { confirm: 1, ..TrackLimits::default() });
    for frame in 0..8u64 {
        let x = 100.0 + 3.0 * frame as f32;
        // The mouth's width goes with the tone.
        let data = scene(&[(x, 120.0, 150 + 4 * frame as u8)]);
        let view = View::new(&data, WIDTH, HEIGHT, 1, WIDTH).unwrap();
        match frame {
            0 => tracker.detected(&[detection(x, 120.0)], view, 0),
            _ => tracker.follow(view, frame * SECOND / 30),
        }
        assert!(!tracker.in_doubt(), "frame {frame}");
    }
}
