//! Properties of alignment and warp.

extern crate std;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::Turn;
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

/// The views of a picture in the forms in which frames come: grey, YUYV, RGB, and RGB with rows that are padded.
fn views(data: &[u8], [width, height]: [usize; 2]) -> [View<'_>; 4] {
    let stride = 3 * width + 5;
    [
        View::new(data, width, height, 1, width + 3),
        View::luma_plane(data, width, height, 2, 2 * width),
        View::new(data, width, height, 3, 3 * width),
        View::new(data, width, height, 3, stride),
    ]
    .map(|view| view.unwrap())
}

fn both_warps(transform: Similarity, view: View<'_>, origin: [usize; 2], size: [usize; 2], grey: bool) -> [Vec<u8>; 2] {
    let channels = if grey { 1 } else { 3 };
    // No byte is left out: what is not put stays what it was, and that differs.
    let mut out = [vec![0; channels * size[0] * size[1]], vec![255; channels * size[0] * size[1]]];
    let at = |x: usize, y: usize, c: usize| (c * size[1] + y) * size[0] + x;
    transform.warp(view, origin, size, grey, |x, y, c, value| out[0][at(x, y, c)] = value);
    transform.warp_any(view, origin, size, grey, |x, y, c, value| out[1][at(x, y, c)] = value);
    out
}

#[test]
fn usual_scales_are_warped_in_tiles() {
    let scale = |side: f32| {
        let transform = Similarity::fit(&points(side, |x, y| (x, y)), 48).unwrap();
        tile::Filter::new(&transform).is_some()
    };
    assert!(scale(14.0) && scale(48.0) && scale(48.0 * 9.5));
    assert!(!scale(11.0) && !scale(48.0 * 12.0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

    /// The warp in tiles gives the bytes of the plain loop, for every form of picture, turned or not, inside it and outside.
    #[test]
    fn tiles_give_the_bytes_of_the_plain_loop(
        width in 1usize..90,
        height in 1usize..90,
        size in (1usize..20, 1usize..20),
        origin in (0usize..30, 0usize..30),
        // From below the least scale for tiles to above the greatest, in every direction.
        log_scale in -2.3f32..3.8,
        angle in -3.2f32..3.2,
        middle in (-0.5f32..1.5, -0.5f32..1.5),
        form in 0usize..4,
        turn in (0u8..4, any::<bool>()),
        extreme in 0u8..4,
        grey in any::<bool>(),
    ) {
        let mut data = picture(3 * width + 5, height);
        match extreme {
            0 => data.fill(255),
            1 => data.iter_mut().for_each(|byte| *byte = (*byte >> 7) * 255),
            _ => {}
        }
        let view = views(&data, [width, height])[form].turned(Turn { quarters: turn.0, mirrored: turn.1 });
        let (sine, cosine) = (angle.sin(), angle.cos());
        let side = 48.0 * log_scale.exp2();
        let middle = (middle.0 * view.width() as f32, middle.1 * view.height() as f32);
        let place = |x: f32, y: f32| {
            let (x, y) = (x - side / 2.0, y - side / 2.0);
            (middle.0 + x * cosine - y * sine, middle.1 + x * sine + y * cosine)
        };
        let Ok(transform) = Similarity::fit(&points(side, place), 48) else { return Ok(()) };
        let [tiles, plain] = both_warps(transform, view, origin.into(), size.into(), grey);
        prop_assert_eq!(tiles, plain);
    }
}
