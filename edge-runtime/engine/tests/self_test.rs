//! A bundle whose manifest and self-test disagree is refused, whatever the hashes say.

mod graphs;

use std::fs;
use std::path::{Path, PathBuf};

use expression_core::Label;
use expression_engine::bundle::{self, Confidence, LowLightGain, Manifest};
use expression_engine::error::{Classify, ErrorKind};
use expression_engine::selftest::{self, SelfTestError, Vector};
use expression_engine::{Engine, EngineOptions, files};
use graphs::SIDE;
use tempfile::TempDir;

/// Two faces between which the tiny net's label changes.
fn faces() -> Vec<Vec<u8>> {
    [7, 3].map(|step| (0..SIDE * SIDE).map(|place| (place * step % 256) as u8).collect()).into()
}

fn engine(onnx: &[u8]) -> Engine {
    Engine::from_bytes(onnx, &graphs::manifest(), EngineOptions::default()).unwrap()
}

fn vectors_of(onnx: &[u8], manifest: &Manifest) -> Vec<u8> {
    let engine = engine(onnx);
    let scores: Vec<_> = faces().iter().map(|face| engine.classify(face).unwrap().integer).collect();
    selftest::file(manifest, &faces(), &scores).unwrap()
}

/// A bundle that its owner takes for whole: the hashes in its manifest are those of its files.
struct Folder(TempDir);

impl Folder {
    fn new(manifest: &Manifest, onnx: &[u8], vectors: &[u8]) -> Folder {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = manifest.clone();
        for (name, bytes) in [(bundle::INT8, onnx), (bundle::SELFTEST, vectors)] {
            fs::write(folder.path().join(name), bytes).unwrap();
            manifest.files.insert(name.into(), files::sha256(bytes));
        }
        fs::write(folder.path().join(bundle::MANIFEST), toml::to_string(&manifest).unwrap()).unwrap();
        Folder(folder)
    }

    /// A bundle with the vectors of the tiny net, and a manifest that was changed after they were made.
    fn with_manifest(change: impl FnOnce(&mut Manifest)) -> Folder {
        let (onnx, mut manifest) = (graphs::bytes(&graphs::int8()), graphs::manifest());
        let vectors = vectors_of(&onnx, &manifest);
        change(&mut manifest);
        Folder::new(&manifest, &onnx, &vectors)
    }

    fn refused(&self) -> SelfTestError {
        match selftest::open(self.0.path(), EngineOptions::default()) {
            Ok(_) => panic!("accepted"),
            Err(error) => error,
        }
    }

    /// Asserts that the bundle is refused for one key of its manifest, in one line that says both values.
    fn refused_for(&self, key: &str, found: &str, expected: &str) {
        let error = self.refused();
        assert_eq!(error.kind(), ErrorKind::BadInput);
        let line = error.to_string();
        assert!(!line.contains('\n'));
        let both = format!("manifest.toml: {key} = {found:?}, but the self-test vectors were made for {expected:?}; ");
        assert!(line.starts_with(&both), "{line}");
    }
}

#[test]
fn a_whole_bundle_passes_and_names_each_label() {
    let folder = Folder::with_manifest(|_| ());
    let (bundle, engine) = selftest::open(folder.0.path(), EngineOptions::default()).unwrap();
    assert_eq!(selftest::replay(&bundle, &engine).unwrap(), faces().len());
    let vectors = selftest::vectors(&bundle).unwrap();
    let labels: Vec<Label> = vectors.iter().map(|vector| vector.label).collect();
    assert_eq!(labels, [Label::Neutral, Label::Happiness], "the faces have one of each");
    // Another name of the same label, another name of the model and other figures change no answer.
    let folder = Folder::with_manifest(|manifest| {
        (manifest.labels[1], manifest.name) = ("Happy".into(), "renamed".into());
        manifest.metrics.insert("int8_accuracy".into(), 0.5);
    });
    selftest::open(folder.0.path(), EngineOptions::default()).unwrap();
}

#[test]
fn labels_swapped_in_the_manifest_are_refused() {
    let folder = Folder::with_manifest(|manifest| manifest.labels.swap(0, 1));
    folder.refused_for("labels", "happiness, neutral", "neutral, happiness");
}

#[test]
fn a_label_renamed_in_the_manifest_is_refused() {
    let folder = Folder::with_manifest(|manifest| manifest.labels[1] = "anger".into());
    folder.refused_for("labels", "neutral, anger", "neutral, happiness");
}

#[test]
fn a_scale_or_zero_point_changed_in_the_manifest_is_refused() {
    let folder = Folder::with_manifest(|manifest| manifest.output.scale = 0.125);
    folder.refused_for("output", "scale 0.125, zero_point 128", "scale 0.25, zero_point 128");
    // The next number that a manifest can hold.
    let next = f32::from_bits(0.25f32.to_bits() + 1);
    let folder = Folder::with_manifest(|manifest| manifest.output.scale = next);
    folder.refused_for("output", &format!("scale {next}, zero_point 128"), "scale 0.25, zero_point 128");
    let folder = Folder::with_manifest(|manifest| manifest.output.zero_point = 127);
    folder.refused_for("output", "scale 0.25, zero_point 127", "scale 0.25, zero_point 128");
}

#[test]
fn an_alignment_changed_in_the_manifest_is_refused() {
    let folder = Folder::with_manifest(|manifest| manifest.input.aligned = 12);
    folder.refused_for("input", "channels 1, aligned 12, size 9", "channels 1, aligned 9, size 9");
}

#[test]
fn a_confidence_changed_in_the_manifest_is_refused() {
    let confidence = Some(Confidence { least: 0.5, answered: 0.9, accuracy: 0.9 });
    let folder = Folder::with_manifest(|manifest| manifest.confidence = confidence);
    folder.refused_for("confidence", "least 0.5", "none");
}

#[test]
fn a_gain_added_to_or_changed_in_the_manifest_is_refused() {
    let gain = |below, to| Some(LowLightGain { below, to });
    let folder = Folder::with_manifest(|manifest| (manifest.format, manifest.low_light) = (2, gain(70, 100)));
    folder.refused_for("low_light", "below 70, to 100", "none");
    let (onnx, mut manifest) = (graphs::bytes(&graphs::int8()), graphs::manifest());
    (manifest.format, manifest.low_light) = (2, gain(70, 100));
    let vectors = vectors_of(&onnx, &manifest);
    selftest::open(Folder::new(&manifest, &onnx, &vectors).0.path(), EngineOptions::default()).unwrap();
    manifest.low_light = gain(70, 101);
    Folder::new(&manifest, &onnx, &vectors).refused_for("low_light", "below 70, to 101", "below 70, to 100");
    manifest.low_light = None;
    Folder::new(&manifest, &onnx, &vectors).refused_for("low_light", "none", "below 70, to 100");
}

#[test]
fn a_name_that_would_control_a_terminal_is_refused() {
    for name in ["a\nb", "a\u{1b}[31m", "\r"] {
        let mut manifest = graphs::manifest();
        manifest.name = name.to_owned();
        let text = toml::to_string(&manifest).unwrap();
        let error = Manifest::from_toml(&text, Path::new("here")).unwrap_err().to_string();
        assert!(error.contains("expected a name without") && !error.contains(char::is_control), "{error:?}");
    }
}

#[test]
fn a_gain_that_makes_no_sense_or_is_in_an_old_format_is_refused() {
    for (format, below, to, told) in
        [(2, 0, 100, "low_light from 0"), (2, 101, 100, "low_light from 101"), (1, 70, 100, "`format = 2`")]
    {
        let mut manifest = graphs::manifest();
        (manifest.format, manifest.low_light) = (format, Some(LowLightGain { below, to }));
        let text = toml::to_string(&manifest).unwrap();
        let error = Manifest::from_toml(&text, Path::new("here")).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    assert_eq!(Manifest::format_for(None), 1, "a bundle without a gain is read by older programs");
}

#[test]
fn the_vectors_of_before_there_was_a_gain_are_those_without_one() {
    let (onnx, manifest) = (graphs::bytes(&graphs::int8()), graphs::manifest());
    let new = vectors_of(&onnx, &manifest);
    let (key, other) = ("low_light = \\\"none\\\"\\n", "low_lighter = \\\"no\\\"\\n");
    let place = new.windows(key.len()).position(|window| window == key.as_bytes()).expect("the setting");
    // The header's length stays: spaces after it are part of its JSON.
    let end = 8 + u64::from_le_bytes(new[..8].try_into().unwrap()) as usize;
    let mut earlier = [&new[..place], &new[place + key.len()..end]].concat();
    earlier.extend([b' '].repeat(key.len()));
    earlier.extend(&new[end..]);
    assert_eq!(selftest::vectors_from(&earlier, &manifest).unwrap(), selftest::vectors_from(&new, &manifest).unwrap());
    // A setting that this version does not know may change answers.
    assert_eq!(key.len(), other.len());
    let mut newer = new.clone();
    newer[place..place + key.len()].copy_from_slice(other.as_bytes());
    let error = selftest::vectors_from(&newer, &manifest).unwrap_err().to_string();
    assert!(error.contains("unknown setting \"low_lighter\""), "{error}");
}

#[test]
fn the_engine_brightens_dark_faces_alone_or_in_rows() {
    let onnx = graphs::bytes(&graphs::int8());
    let mut manifest = graphs::manifest();
    let plain = Engine::from_bytes(&onnx, &manifest, EngineOptions::default()).unwrap();
    manifest.low_light = Some(LowLightGain { below: 70, to: 100 });
    let dark: Vec<u8> = faces()[0].iter().map(|byte| byte / 4).collect();
    let bright = faces()[1].clone();
    let mut brightened = dark.clone();
    assert!(manifest.low_light().unwrap().apply(&mut brightened));
    let expected = [&brightened, &bright, &brightened].map(|face| plain.classify(face).unwrap().integer).concat();
    assert_ne!(plain.classify(&dark).unwrap().integer, expected[..2], "the gain changes the answer");
    for kernel in [EngineOptions::default().kernel, None] {
        let engine = Engine::from_bytes(&onnx, &manifest, EngineOptions { kernel, threads: 1 }).unwrap();
        assert_eq!(*engine.seen(&dark), brightened);
        assert_eq!(*engine.seen(&bright), bright);
        assert_eq!(engine.classify(&dark).unwrap().integer, expected[..2]);
        let mut scores = vec![0; 6];
        engine.classify_many(&[&dark[..], &bright, &dark].concat(), &mut scores).unwrap();
        assert_eq!(scores, expected);
    }
}

#[test]
fn the_vectors_of_another_bundle_are_refused() {
    let (onnx, manifest) = (graphs::bytes(&graphs::int8()), graphs::manifest());
    // Another net under the same manifest.
    let mut other = graphs::int8();
    let graph = other.graph.as_mut().unwrap();
    let bias = graph.initializer.iter_mut().find(|tensor| tensor.name == "scores_u8_bias").unwrap();
    bias.raw_data[1] = 9;
    let other = graphs::bytes(&other);
    let error = Folder::new(&manifest, &onnx, &vectors_of(&other, &manifest)).refused();
    assert!(matches!(error, SelfTestError::Differs { vector: 0, .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Failure);
    // The same net under another manifest.
    let mut reordered = manifest.clone();
    reordered.labels.reverse();
    let folder = Folder::new(&manifest, &onnx, &vectors_of(&onnx, &reordered));
    folder.refused_for("labels", "neutral, happiness", "happiness, neutral");
}

#[test]
fn a_vector_that_expects_another_label_is_refused() {
    let (onnx, manifest) = (graphs::bytes(&graphs::int8()), graphs::manifest());
    let mut vectors = vectors_of(&onnx, &manifest);
    // The file ends in one label for each face and two scores for each.
    let last = vectors.len() - 2 * faces().len() - 1;
    vectors[last] = Label::Anger as u8;
    let line = Folder::new(&manifest, &onnx, &vectors).refused().to_string();
    assert!(line.starts_with("self-test vector 1: label \"happiness\", the bundle expects \"anger\";"), "{line}");
    vectors[last] = Label::COUNT as u8;
    let line = Folder::new(&manifest, &onnx, &vectors).refused().to_string();
    assert!(line.contains("damaged self-test vectors (label 8)"), "{line}");
}

#[test]
fn the_vectors_of_an_earlier_version_are_refused_until_they_get_labels() {
    let (onnx, manifest) = (graphs::bytes(&graphs::int8()), graphs::manifest());
    let whole = selftest::vectors_from(&vectors_of(&onnx, &manifest), &manifest).unwrap();
    let earlier = without_labels(&whole);
    let error = Folder::new(&manifest, &onnx, &earlier).refused();
    assert_eq!(error.kind(), ErrorKind::BadInput);
    assert!(error.to_string().contains("carry no labels") && error.to_string().contains("host-trainer upgrade"));

    let upgraded = selftest::with_labels(&earlier, &manifest).unwrap();
    assert_eq!(selftest::vectors_from(&upgraded, &manifest).unwrap(), whole, "the same faces and scores");
    assert_eq!(upgraded, vectors_of(&onnx, &manifest), "the same file as a new export");
    selftest::open(Folder::new(&manifest, &onnx, &upgraded).0.path(), EngineOptions::default()).unwrap();
}

/// What an earlier version wrote.
fn without_labels(vectors: &[Vector]) -> Vec<u8> {
    let faces: Vec<u8> = vectors.iter().flat_map(|vector| vector.face.clone()).collect();
    let scores: Vec<u8> = vectors.iter().flat_map(|vector| vector.scores.clone()).collect();
    let view = |shape: &[usize], data| {
        safetensors::tensor::TensorView::new(safetensors::Dtype::U8, shape.to_vec(), data).unwrap()
    };
    let faces = view(&[vectors.len(), 1, SIDE, SIDE], &faces);
    let scores = view(&[vectors.len(), 2], &scores);
    safetensors::serialize([(selftest::FACES, faces), (selftest::SCORES, scores)], None).unwrap()
}

#[test]
fn the_fuzzers_seed_is_a_bundle_that_is_read() {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let seed = fs::read(root.join("fuzz/seeds/bundle/bundle")).unwrap();
    let between = b"\n-----\n";
    let at = seed.windows(between.len()).position(|window| window == between).unwrap();
    let manifest = Manifest::from_toml(std::str::from_utf8(&seed[..at]).unwrap(), &root).unwrap();
    assert_eq!(selftest::vectors_from(&seed[at + between.len()..], &manifest).unwrap().len(), 1);
}
