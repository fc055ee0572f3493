//! Photographs that are stored turned, through the finished program: `classify` with an EXIF tag and `run` with `--rotate` and
//! `--flip` give the faces, boxes, labels and scores of the upright photograph.

use std::path::{Path, PathBuf};
use std::process::Command;

use image::codecs::png::PngEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageEncoder};
use serde_json::Value;
use system_tests::{json_lines, photographs, program, shipped_bundle, succeed};

/// Every Nth photograph is tried; `ORIENTATION_STEP=1` tries all.
const STEP: usize = 20;
/// For each EXIF tag the orientation that undoes it: the quarter turns undo each other, all others themselves.
const INVERSE: [(u8, u8); 8] = [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 8), (7, 7), (8, 6)];
/// For each EXIF tag the flags of `run` that do what it says.
const FLAGS: [&[&str]; 8] = [
    &[],
    &["--flip=horizontal"],
    &["--rotate=180"],
    &["--flip=vertical"],
    &["--rotate=90", "--flip=horizontal"],
    &["--rotate=90"],
    &["--rotate=270", "--flip=horizontal"],
    &["--rotate=270"],
];

/// Writes a photograph without loss as it is stored under an EXIF tag, and the tag itself if it is to be there.
fn write(path: &Path, upright: &DynamicImage, tag: u8, tagged: bool) {
    let mut stored = upright.clone();
    let inverse = INVERSE[usize::from(tag) - 1].1;
    stored.apply_orientation(Orientation::from_exif(inverse).unwrap());
    let mut encoder = PngEncoder::new(std::io::BufWriter::new(std::fs::File::create(path).unwrap()));
    if tagged {
        let entry = [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".as_slice(), &[tag, 0, 0, 0, 0, 0, 0, 0]];
        encoder.set_exif_metadata(entry.concat()).unwrap();
    }
    encoder.write_image(stored.as_bytes(), stored.width(), stored.height(), stored.color().into()).unwrap();
}

/// The frames that a command prints, without what differs from run to run.
fn frames(command: &mut Command) -> Vec<Value> {
    let mut frames = json_lines(&succeed(command).stdout);
    for frame in &mut frames {
        let record = frame.as_object_mut().unwrap();
        for key in ["file", "time", "latency_ms", "celsius"] {
            record.remove(key).expect("a field of a frame");
        }
    }
    frames
}

fn faces(frames: &[Value]) -> usize {
    frames.iter().map(|frame| frame["faces"].as_array().unwrap().len()).sum()
}

#[test]
fn photographs_stored_turned_are_classified_as_the_upright_ones() {
    let Some(folder) = photographs("EXPRESSION_LFW_FRAMES", "shared/data/lfw-frames") else { return };
    let step = std::env::var("ORIENTATION_STEP").map_or(STEP, |step| step.parse().unwrap());
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "jpg")).collect();
    files.sort();
    let work = tempfile::tempdir().unwrap();
    let bundle = shipped_bundle(work.path());
    let pictures: Vec<DynamicImage> = files.iter().step_by(step).map(|file| image::open(file).unwrap()).collect();
    let stored = |name: &str, tag: u8, tagged: bool| {
        let folder = work.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        for (number, picture) in pictures.iter().enumerate() {
            write(&folder.join(format!("{number:03}.png")), picture, tag, tagged);
        }
        folder
    };
    let classify = |folder: &Path| {
        let mut command = program("edge-runtime");
        command.args(["classify", "--align", "--bundle"]).arg(&bundle);
        frames(command.args((0..pictures.len()).map(|number| folder.join(format!("{number:03}.png")))))
    };
    let run = |folder: &Path, flags: &[&str]| {
        let mut command = program("edge-runtime");
        command.args(["run", "--board", "generic-x86-64", "--quiet", "--print", "--bundle"]).arg(&bundle);
        frames(command.arg("--source").arg(format!("dir:{}", folder.display())).args(flags))
    };
    let upright = stored("upright", 1, false);
    let (classified, ran) = (classify(&upright), run(&upright, &[]));
    assert_eq!([classified.len(), ran.len()], [pictures.len(); 2]);
    assert!(faces(&classified) >= pictures.len() * 9 / 10, "{} faces", faces(&classified));
    for tag in 1..=8 {
        let same = |got: &[Value], wanted: &[Value], what: &str| {
            assert_eq!(got.len(), wanted.len());
            for (number, (got, wanted)) in got.iter().zip(wanted).enumerate() {
                assert_eq!(got, wanted, "{what}, tag {tag}, photograph {number}");
            }
        };
        same(&classify(&stored(&format!("tag-{tag}"), tag, true)), &classified, "classify");
        let turned = stored(&format!("turned-{tag}"), tag, false);
        same(&run(&turned, FLAGS[usize::from(tag) - 1]), &ran, "run");
        // Without the tag the same file is another picture.
        assert!(tag == 1 || classify(&turned) != classified, "tag {tag} changes nothing");
    }
    eprintln!(
        "{} photographs with each of 8 tags: {} faces by classify and {} by run, all equal",
        pictures.len(),
        faces(&classified),
        faces(&ran)
    );
}
