//! Sets the low-light gain of a finished bundle. The graphs stay as they are; the self-test vectors are made anew.

use std::fs;
use std::path::Path;

use expression_engine::bundle::{self, LowLightGain, Manifest};
use expression_engine::{Engine, EngineOptions, files, selftest};

use crate::adoption::{self, Adoption};
use crate::error::{Error, ensure};
use crate::export::{self, Upgrade};

/// Adds a low-light gain to the bundle in `folder`, or changes the one that it has.
///
/// The manifest gets the key `low_light` and the format that it needs; its text stays otherwise. The model card tells of the gain,
/// and the evidence of an adapted bundle is removed, since it is about the bundle without the gain.
/// The self-test keeps its faces, gets dark ones besides, and expects the scores that stock tract gives them. The bundle is
/// replaced whole, and only if our kernels give the same. One that has this gain already stays as it is, with its signature.
///
/// # Errors
/// Returns an error if the bundle or the gain is refused, or if a file cannot be written; the bundle then stays as it was.
pub fn set(folder: &Path, gain: LowLightGain) -> crate::Result<Upgrade> {
    let (bundle, _) = selftest::open(folder, EngineOptions::default())?;
    let mut manifest = bundle.manifest().clone();
    if manifest.low_light == Some(gain) {
        return Ok(Upgrade::UpToDate);
    }
    let had = manifest.low_light.replace(gain);
    manifest.format = Manifest::format_for(manifest.low_light);
    Adoption::remove(&mut manifest);
    let old = bundle.read(bundle::SELFTEST)?;
    let mut faces: Vec<_> = selftest::vectors(&bundle)?.into_iter().map(|vector| vector.face).collect();
    if had.is_none() {
        faces = export::with_dark_faces(faces);
    }
    let stock = EngineOptions { kernel: None, threads: 1 };
    let engine = Engine::from_bytes(&bundle.read(bundle::INT8)?, &manifest, stock)?;
    let scores = faces.iter().map(|face| Ok(engine.classify(face)?.integer)).collect::<crate::Result<Vec<_>>>()?;
    let new = selftest::file(&manifest, &faces, &scores)?;
    let mut changed = vec![(bundle::SELFTEST, old, new)];
    if manifest.files.contains_key(bundle::MODEL_CARD) && bundle.has(bundle::MODEL_CARD) {
        let old = bundle.read(bundle::MODEL_CARD)?;
        let new = card(&String::from_utf8_lossy(&old), had, gain).into_bytes();
        changed.push((bundle::MODEL_CARD, old, new));
    }
    let path = folder.join(bundle::MANIFEST);
    let mut text = fs::read_to_string(&path)?;
    for (name, old, new) in &changed {
        let [old, new] = [old, new].map(|bytes| files::sha256(bytes));
        text = text.replace(&old, &new);
        manifest.files.insert((*name).into(), new);
    }
    let text = edited(&text, &manifest);
    // Whatever people wrote into the manifest, it must say what was meant.
    let told = Manifest::from_toml(&text, folder)?;
    ensure!(told == manifest, "{}: its text cannot be edited; export the bundle again", path.display());
    let mut files: Vec<(&str, &[u8])> = changed.iter().map(|(name, _, new)| (*name, new.as_slice())).collect();
    files.push((bundle::MANIFEST, text.as_bytes()));
    Ok(Upgrade::Done { was_signed: export::replace(folder, &files)? })
}

/// What a model card says after a gain that a run did not measure.
const UNMEASURED: &str = "It was set by `host-trainer upgrade`; the figures above were measured before.";

/// The text of a model card with a gain in the place of the one before. What people wrote about that stays.
fn card(text: &str, before: Option<LowLightGain>, gain: LowLightGain) -> String {
    let mut text = text.to_owned();
    if let Some(before) = before.map(export::of_gain) {
        for written in [format!("{before} {UNMEASURED}\n\n"), format!("{before}\n\n")] {
            text = text.replace(&written, "");
        }
    }
    let told = format!("{} {UNMEASURED}\n\n", export::of_gain(gain));
    match text.find(export::ORIGIN) {
        Some(place) => text.insert_str(place, &told),
        None => text = format!("{}\n\n{told}", text.trim_end()),
    }
    text
}

/// The text of a manifest with the format and gain of `manifest`, and without the evidence.
fn edited(text: &str, manifest: &Manifest) -> String {
    let mut lines = Vec::new();
    let mut in_gain = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with('[') {
            in_gain = trimmed == "[low_light]";
        }
        let key = trimmed.split(['=', ' ']).next().unwrap_or_default();
        if in_gain || adoption::is_evidence(key) {
            continue;
        }
        let is_format = lines.iter().all(|line: &String| !line.starts_with('[')) && trimmed.starts_with("format");
        if is_format {
            lines.push(format!("format = {}", manifest.format));
        } else if trimmed == "[output]" {
            if let Some(LowLightGain { below, to }) = manifest.low_light {
                lines.push(format!("[low_light]\nbelow = {below}\nto = {to}\n"));
            }
            lines.push(line.to_owned());
        } else {
            lines.push(line.to_owned());
        }
    }
    lines.join("\n") + "\n"
}

/// Reads a gain as `BELOW:TO`.
///
/// # Errors
/// Returns [`Error::BadInput`] if it is not two numbers with 1 <= BELOW <= TO <= 255.
pub fn parse(text: &str) -> crate::Result<LowLightGain> {
    let numbers = text.split_once(':').and_then(|(below, to)| Some((below.parse().ok()?, to.parse().ok()?)));
    let gain = numbers.map(|(below, to)| LowLightGain { below, to }).filter(|gain| gain.checked().is_some());
    gain.ok_or_else(|| {
        Error::BadInput(format!(
            "invalid gain {text:?}: expected BELOW:TO with 1 <= BELOW <= TO <= 255, such as 70:100"
        ))
    })
}

#[cfg(test)]
mod tests {
    use expression_engine::Bundle;

    use super::*;

    /// A copy of the shipped bundle without a gain.
    fn shipped() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let bundle = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/ferplus-edge"));
        let copy = folder.path().join("bundle");
        fs::create_dir(&copy).unwrap();
        for entry in fs::read_dir(bundle).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
        let bundle = Bundle::open(&copy).unwrap();
        let mut manifest = bundle.manifest().clone();
        (manifest.format, manifest.low_light) = (1, None);
        let engine = Engine::open(&bundle, EngineOptions::default()).unwrap();
        // Faces that no gain changes.
        let vectors = selftest::vectors(&bundle).unwrap().into_iter();
        let (faces, scores): (Vec<_>, Vec<_>) = vectors
            .filter(|vector| *engine.seen(&vector.face) == vector.face)
            .map(|vector| (vector.face, vector.scores))
            .unzip();
        assert!(faces.len() >= 24);
        let vectors = selftest::file(&manifest, &faces, &scores).unwrap();
        manifest.files.insert(bundle::SELFTEST.into(), files::sha256(&vectors));
        fs::write(copy.join(bundle::SELFTEST), vectors).unwrap();
        fs::write(copy.join(bundle::MANIFEST), toml::to_string(&manifest).unwrap()).unwrap();
        selftest::open(&copy, EngineOptions::default()).unwrap();
        folder
    }

    #[test]
    fn a_bundle_gets_a_gain_dark_vectors_and_nothing_else() {
        let folder = shipped();
        let bundle = folder.path().join("bundle");
        let before = Bundle::open(&bundle).unwrap();
        let net = fs::read(bundle.join(bundle::INT8)).unwrap();
        for gain in [LowLightGain { below: 60, to: 90 }, LowLightGain { below: 70, to: 100 }] {
            set(&bundle, gain).unwrap();
            let (after, engine) = selftest::open(&bundle, EngineOptions::default()).unwrap();
            assert_eq!((after.manifest().format, after.manifest().low_light), (2, Some(gain)));
            assert_eq!(fs::read(bundle.join(bundle::INT8)).unwrap(), net);
            let vectors = selftest::vectors(&after).unwrap();
            let dark = vectors.iter().filter(|vector| gain.checked().unwrap().gain(&vector.face).is_some()).count();
            assert!(dark >= 8, "{dark} of {} vectors are dark", vectors.len());
            assert!(vectors.iter().all(|vector| engine.classify(&vector.face).unwrap().integer == vector.scores));
            let mut expected = before.manifest().clone();
            (expected.format, expected.low_light) = (2, Some(gain));
            for name in [bundle::SELFTEST, bundle::MODEL_CARD] {
                expected.files.insert(name.into(), after.manifest().files[name].clone());
            }
            assert_eq!(*after.manifest(), expected);
            let card = String::from_utf8(after.read(bundle::MODEL_CARD).unwrap()).unwrap();
            let told = format!("{} {UNMEASURED}\n\n## Where it comes from", export::of_gain(gain));
            assert!(card.contains(&told) && card.matches(UNMEASURED).count() == 1, "{card}");
        }
        let before = fs::read(bundle.join(bundle::MANIFEST)).unwrap();
        assert_eq!(set(&bundle, LowLightGain { below: 70, to: 100 }).unwrap(), Upgrade::UpToDate);
        assert_eq!(fs::read(bundle.join(bundle::MANIFEST)).unwrap(), before);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn evidence_of_the_bundle_without_the_gain_is_removed() {
        let folder = shipped();
        let bundle = folder.path().join("bundle");
        let path = bundle.join(bundle::MANIFEST);
        let before = Bundle::open(&bundle).unwrap().manifest().clone();
        let comparison = crate::evaluate::Comparison { samples: 10, both: 5, gained: 4, lost: 0 };
        let adoption =
            Adoption { from: "abc".into(), own: ("room".into(), comparison), old: ("old".into(), comparison) };
        let mut manifest = before.clone();
        manifest.metrics.extend(adoption.metrics());
        manifest.provenance.extend(adoption.provenance());
        fs::write(&path, toml::to_string(&manifest).unwrap()).unwrap();
        assert_eq!(Adoption::of_manifest(Bundle::open(&bundle).unwrap().manifest()), Some(adoption));
        set(&bundle, LowLightGain { below: 70, to: 100 }).unwrap();
        let after = Bundle::open(&bundle).unwrap().manifest().clone();
        assert_eq!((after.metrics, after.provenance), (before.metrics, before.provenance));
    }

    #[test]
    fn the_gain_is_covered_by_the_vectors() {
        let folder = shipped();
        let bundle = folder.path().join("bundle");
        set(&bundle, LowLightGain { below: 70, to: 100 }).unwrap();
        let path = bundle.join(bundle::MANIFEST);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("to = 100", "to = 101")).unwrap();
        let error = selftest::open(&bundle, EngineOptions::default()).err().expect("refused").to_string();
        assert!(error.contains("low_light = \"below 70, to 101\"") && error.contains("below 70, to 100"), "{error}");
    }

    #[test]
    fn gains_are_read_and_refused() {
        assert_eq!(parse("70:100").unwrap(), LowLightGain { below: 70, to: 100 });
        for text in ["70", "70:60", "0:100", "70:256", "70:100:1", ":"] {
            assert!(parse(text).unwrap_err().to_string().contains("BELOW:TO"), "{text}");
        }
    }
}
