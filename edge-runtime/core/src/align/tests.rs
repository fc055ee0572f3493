//! Properties of alignment and warp.

extern crate std;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::resample::resample;

/// At this side the canonical points lie on whole 1/16 pixels, so that a fit is exact.
const SIDE: usize = 125;
const INPUT: FaceInput = FaceInput { channels: 1, aligned: SIDE, size: SIDE };

/// The canonical points of a face of `side` pixels after `place` (in pixels).
fn points(side: f32, place: impl Fn(f32, f32) -> (f32, f32)) -> KeyPoints {
    let point = |p: [i32; 2]| {
        let (x, y) = place(p[0] as f32 * side / 1000.0, p[1] as f32 * side / 1000.0);
        Point::from_pixels(x, y).unwrap()
    };
    KeyPoints { eyes: EYES.map(point), mouth: point(MOUTH) }
}

/// A picture without any symmetry.
fn picture(width: usize, height: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        (state >> 24) as u8
    };
    (0..width * height).map(|_| next()).collect()
}

fn face(points: &KeyPoints, data: &[u8], width: usize) -> Vec<u8> {
    let view = View::new(data, width, data.len() / width, 1, width).unwrap();
    let mut out = vec![0; INPUT.len()];
    align(points, view, INPUT, &mut out).unwrap();
    out
}

#[test]
fn a_face_that_is_aligned_already_keeps_its_bytes() {
    let data = picture(SIDE, SIDE);
    assert_eq!(face(&points(125.0, |x, y| (x, y)), &data, SIDE), data);
}

#[test]
fn a_shifted_picture_gives_the_shifted_bytes() {
    let data = picture(SIDE + 40, SIDE + 30);
    let cut: Vec<u8> = (0..SIDE).flat_map(|y| data[(y + 17) * (SIDE + 40) + 23..][..SIDE].to_vec()).collect();
    assert_eq!(face(&points(125.0, |x, y| (x + 23.0, y + 17.0)), &data, SIDE + 40), cut);
}

#[test]
fn a_turned_picture_gives_the_same_bytes() {
    let data = picture(SIDE, SIDE);
    let mut turned = vec![0; data.len()];
    for (i, byte) in data.iter().enumerate() {
        let (x, y) = (i % SIDE, i / SIDE);
        turned[x * SIDE + SIDE - 1 - y] = *byte;
    }
    assert_eq!(face(&points(125.0, |x, y| (125.0 - y, x)), &turned, SIDE), data);
    let upside_down: Vec<u8> = data.iter().rev().copied().collect();
    assert_eq!(face(&points(125.0, |x, y| (125.0 - x, 125.0 - y)), &upside_down, SIDE), data);
}

#[test]
fn an_upright_face_is_what_resampling_gives() {
    for (side, tolerance) in [(250usize, 0), (400, 1), (50, 1)] {
        let data = picture(side, side);
        let view = View::new(&data, side, side, 1, side).unwrap();
        let found = face(&points(side as f32, |x, y| (x, y)), &data, side);
        resample(view, SIDE, SIDE, true, |x, y, _, value| {
            // At the edge one continues the picture and the other leaves out what is not there.
            if (3..SIDE - 3).contains(&x) && (3..SIDE - 3).contains(&y) {
                assert!(found[y * SIDE + x].abs_diff(value) <= tolerance, "{side}: {x} {y}");
            }
        });
    }
}

#[test]
fn shrinking_does_not_alias_at_any_angle() {
    let data: Vec<u8> = (0..600 * 600).map(|i| if (i % 600 + i / 600) % 2 == 0 { 0 } else { 200 }).collect();
    for (sine, cosine) in [(0.0, 1.0), (0.6, 0.8), (-0.8, 0.6)] {
        let place = |x: f32, y: f32| (300.0 + x * cosine - y * sine, 300.0 + x * sine + y * cosine);
        for value in face(&points(375.0, |x, y| place(x - 187.5, y - 187.5)), &data, 600) {
            assert!((95..=105).contains(&value), "{value}");
        }
    }
}

#[test]
fn channels_strides_and_margins_are_obeyed() {
    let rgb = picture(3 * 130, 125);
    let view = View::new(&rgb, SIDE, SIDE, 3, 3 * 130).unwrap();
    let input = FaceInput { channels: 3, aligned: SIDE, size: 101 };
    let (mut expected, mut out) = (vec![0; input.len()], vec![0; input.len()]);
    assert!(input.aligned_face(view, &mut expected));
    align(&points(125.0, |x, y| (x, y)), view, input, &mut out).unwrap();
    assert_eq!(out, expected);
}

#[test]
fn points_outside_the_picture_continue_its_edge() {
    for place in [-32000.0, -300.0, 300.0, 32000.0] {
        assert_eq!(face(&points(125.0, |x, y| (x + place, y + place)), &[77; 100], 10), [77; SIDE * SIDE]);
    }
    assert_eq!(face(&points(30000.0, |x, y| (x, y)), &[77; 100], 10), [77; SIDE * SIDE]);
}

#[test]
fn points_that_are_no_face_are_refused() {
    let refused = |place: fn(f32, f32) -> (f32, f32)| {
        assert_eq!(Similarity::fit(&points(125.0, place), SIDE), Err(AlignError::Degenerate));
    };
    refused(|_, _| (50.0, 50.0)); // coincide
    refused(|x, _| (x, 50.0)); // in a line
    refused(|x, y| (125.0 - x, y)); // mirrored
    refused(|x, y| (x / 50.0, y / 50.0)); // too small
    let good = points(125.0, |x, y| (x, y));
    assert_eq!(Similarity::fit(&good, 0), Err(AlignError::Size));
    assert_eq!(Similarity::fit(&good, usize::MAX), Err(AlignError::Size));
    let view = View::new(&[0; 4], 2, 2, 1, 2).unwrap();
    assert_eq!(align(&good, view, INPUT, &mut [0; 5]), Err(AlignError::Size));
    assert!(Point::from_pixels(f32::NAN, 0.0).is_none() && Point::from_pixels(0.0, 4e4).is_none());
    assert_eq!(Point::from_pixels(-0.04, 1.03), Some(Point { x: -1, y: 16 }));
    // The farthest points and the smallest face: no overflow.
    let far = |x: f32, y: f32| Point::from_pixels(x, y).unwrap();
    let eyes = [far(-32768.0, -32768.0), far(32768.0, -32768.0)];
    for side in [1, 4, 64, MAX_SIDE] {
        let _ = Similarity::fit(&KeyPoints { eyes, mouth: far(0.0, 32768.0) }, side);
    }
}
