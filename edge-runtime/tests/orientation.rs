//! Photographs that are stored turned, with the EXIF tag that says so, and frames of a camera that is mounted turned: what is seen is
//! the upright picture to the last pixel, and so are boxes and labels.

use std::path::{Path, PathBuf};

use edge_runtime::camera::{CameraOptions, Next, Spec, open};
use edge_runtime::frame::Frame;
use expression_core::Turn;
use expression_engine::Picture;
use image::metadata::Orientation;
use image::{DynamicImage, ImageEncoder};

/// Photographs that are not part of the project.
const PHOTOGRAPHS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/lfw-frames");
/// The most by which a pixel of a JPEG file may differ on average, grey levels: blocks lie elsewhere when it is turned.
const JPEG_DIFFERENCE: f64 = 2.0;

fn photographs() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(PHOTOGRAPHS).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|ending| ending == "jpg")).collect();
    files.sort();
    if files.is_empty() {
        eprintln!("skipped: there are no photographs in {PHOTOGRAPHS}");
    }
    files
}

/// The orientation that undoes another.
fn inverse(tag: u8) -> Orientation {
    // The quarter turns undo each other, all others themselves.
    Orientation::from_exif(match tag {
        6 => 8,
        8 => 6,
        tag => tag,
    })
    .unwrap()
}

fn exif(tag: u8) -> Vec<u8> {
    [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(), &[tag, 0, 0, 0, 0, 0, 0]].concat()
}

fn write(mut encoder: impl ImageEncoder, image: &DynamicImage, tag: u8) {
    encoder.set_exif_metadata(exif(tag)).unwrap();
    encoder.write_image(image.as_bytes(), image.width(), image.height(), image.color().into()).unwrap();
}

/// The photograph as a viewer shows it.
fn upright(file: &Path) -> (Picture, DynamicImage) {
    let picture = Picture::open(file).unwrap();
    let image = image::open(file).unwrap();
    assert_eq!([picture.width, picture.height], [image.width() as usize, image.height() as usize]);
    (picture, image)
}

#[test]
fn photographs_with_each_tag_are_seen_upright() {
    let folder = tempfile::tempdir().unwrap();
    let files = photographs();
    for (number, file) in files.iter().enumerate() {
        let (wanted, image) = upright(file);
        for tag in 1..=8 {
            let mut stored = image.clone();
            stored.apply_orientation(inverse(tag));
            let path = folder.path().join("turned");
            let create = || std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
            let fast = image::codecs::png::CompressionType::Fast;
            let filter = image::codecs::png::FilterType::Sub;
            write(image::codecs::png::PngEncoder::new_with_quality(create(), fast, filter), &stored, tag);
            let got = Picture::open(&path).unwrap();
            assert!(got == wanted, "{} with tag {tag}", file.display());
            if number % 10 == 0 {
                write(image::codecs::jpeg::JpegEncoder::new_with_quality(create(), 98), &stored, tag);
                let got = Picture::open(&path).unwrap();
                assert_eq!([got.width, got.height], [wanted.width, wanted.height]);
                let apart = got.data.iter().zip(&wanted.data).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>();
                let apart = apart / wanted.data.len() as f64;
                assert!(apart < JPEG_DIFFERENCE, "{} with tag {tag}: {apart}", file.display());
            }
        }
    }
}

#[test]
fn turned_frames_are_seen_upright() {
    let folder = tempfile::tempdir().unwrap();
    for file in photographs().iter().step_by(4) {
        let (wanted, image) = upright(file);
        let wanted = wanted.view().unwrap();
        for (degrees, against) in [(0, 1), (90, 8), (180, 3), (270, 6)] {
            for mirrored in [false, true] {
                let mut stored = image.clone();
                let mut turn = Turn::from_degrees(degrees).unwrap();
                if mirrored {
                    stored = stored.fliph();
                    turn = turn.flipped_horizontally();
                }
                stored.apply_orientation(Orientation::from_exif(against).unwrap());
                let path = folder.path().join("turned.bmp");
                stored.save(&path).unwrap();
                let spec: Spec = format!("images:{}", path.display()).parse().unwrap();
                let mut source = open(&spec, &CameraOptions { turn, ..CameraOptions::default() }).unwrap();
                let mut frame = Frame::default();
                assert_eq!(source.next(&mut frame).unwrap(), Next::Frame);
                let view = frame.view().unwrap();
                assert_eq!([view.width(), view.height()], [wanted.width(), wanted.height()]);
                let mut places = (0..view.height()).flat_map(|y| (0..view.width()).map(move |x| (x, y)));
                assert!(places.all(|(x, y)| view.luma(x, y) == wanted.luma(x, y)), "{} {turn:?}", file.display());
            }
        }
    }
}
