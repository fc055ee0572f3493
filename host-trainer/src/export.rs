//! Writes a bundle: graphs, detector, self-test vectors, model card, manifest with hashes. Format: `models/README.md`.

pub mod gain;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use expression_core::{FaceInput, Label};
use expression_engine::bundle::{self, Confidence, LowLightGain, Manifest, Quantization};
use expression_engine::selftest::{self, SelfTestError};
use expression_engine::trust::signature_path;
use expression_engine::{Bundle, EngineOptions, files};
use rand::RngExt;
use tempfile::TempDir;

use crate::config::{Config, WeightScales};
use crate::dataset::rendered;
use crate::detector;
use crate::error::{Context, Error};
use crate::evaluate::robustness::Robustness;
use crate::net::low_light;
use crate::parity::{self, Rung};
use crate::quantize::IntegerNet;

/// Number of rendered faces of each label among the self-test vectors.
const FACES_PER_LABEL: u64 = 3;
/// Number of pictures of noise among them, which reach values that faces do not.
const NOISE: usize = 8;

/// Aligned faces for the self-test: rendered ones and noise, never a photograph of a person.
///
/// # Errors
/// Returns [`crate::Error::BadInput`] if the assets are missing.
pub fn self_test_faces(input: FaceInput, seed: u64) -> crate::Result<Vec<Vec<u8>>> {
    let renderer = rendered::open()?;
    let mut faces = Vec::new();
    for identity in 0..FACES_PER_LABEL {
        for label in Label::ALL {
            let drawn = renderer.draw(seed ^ SELF_TEST_SEED, identity, label as usize, 0, 96).image;
            let (width, height) = (drawn.width() as usize, drawn.height() as usize);
            let picture = expression_engine::Picture { width, height, channels: 3, data: drawn.into_raw() };
            faces.push(picture.aligned_face(input)?);
        }
    }
    let mut rng = crate::random::rng(seed, "self-test", 0);
    faces.extend((0..NOISE).map(|_| (0..input.len()).map(|_| rng.random::<u8>()).collect::<Vec<u8>>()));
    Ok(faces)
}

/// Adds a dark copy of every third face to `faces`, which a low-light gain brightens.
fn with_dark_faces(mut faces: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let dark = |face: &Vec<u8>| face.iter().map(|byte| byte / 4).collect();
    let dark: Vec<Vec<u8>> = faces.iter().step_by(3).map(dark).collect();
    faces.extend(dark);
    faces
}

/// Keeps the self-test's identities apart from those of any data set.
const SELF_TEST_SEED: u64 = 0x5E1F_7E57 << 32;

/// The parts of a bundle that do not depend on the training: what they are made of is missed before it begins.
pub struct Fixed {
    /// Aligned faces of the self-test.
    self_test: Vec<Vec<u8>>,
    /// The file of the face detector.
    detector: Vec<u8>,
}

impl Fixed {
    /// From the fetched assets.
    ///
    /// # Errors
    /// Returns [`crate::Error::BadInput`] if they are missing or damaged.
    pub fn new(input: FaceInput, seed: u64) -> crate::Result<Fixed> {
        Ok(Fixed { self_test: self_test_faces(input, seed)?, detector: detector::file()? })
    }
}

/// What a bundle is made of.
pub struct Parts<'a> {
    /// Name of the model.
    pub name: &'a str,
    /// Labels of the net's outputs, in order.
    pub labels: &'a [Label],
    /// The int8 net.
    pub net: &'a IntegerNet,
    /// The file of the float graph.
    pub float_onnx: &'a [u8],
    /// The file of the int8 graph.
    pub int8_onnx: &'a [u8],
    /// What does not depend on the training.
    pub fixed: &'a Fixed,
    /// How many samples calibrated it.
    pub calibration_samples: usize,
    /// When the board gives no label.
    pub confidence: Confidence,
    /// Where weights and data come from.
    pub provenance: BTreeMap<String, String>,
    /// Figures by name.
    pub metrics: BTreeMap<String, f64>,
    /// The model card.
    pub model_card: String,
}

/// The manifest without its files: enough to load the int8 graph.
pub fn manifest(
    config: &Config,
    name: &str,
    labels: &[Label],
    net: &IntegerNet,
    calibration_samples: usize,
) -> Manifest {
    let granularity = match config.quantize.weights {
        WeightScales::PerChannel => "s8 per channel",
        WeightScales::PerTensor => "s8 per tensor",
    };
    let input = config.face_input();
    Manifest {
        format: Manifest::format_for(config.net.low_light),
        name: name.to_owned(),
        labels: labels.iter().map(|label| label.name().to_owned()).collect(),
        input: bundle::Input { channels: input.channels, aligned: input.aligned, size: input.size },
        low_light: config.net.low_light,
        output: net.output(),
        quantization: Quantization { activations: "u8".into(), weights: granularity.into(), calibration_samples },
        confidence: None,
        files: BTreeMap::new(),
        provenance: BTreeMap::new(),
        metrics: BTreeMap::new(),
    }
}

/// Writes the bundle to `folder`, in the place of an older one: whole and with a self-test that passes, or not at all.
/// Gives the rung of that self-test.
///
/// # Errors
/// Returns an error if a file cannot be written; an older bundle then stays.
pub fn write(folder: &Path, config: &Config, parts: &Parts) -> crate::Result<Rung> {
    // A link to a folder stays: what it leads to is replaced.
    let folder = if folder.exists() { folder.canonicalize()? } else { folder.to_owned() };
    let draft = draft_beside(&folder)?;
    let mut manifest = manifest(config, parts.name, parts.labels, parts.net, parts.calibration_samples);
    manifest.confidence = Some(parts.confidence);
    let mut faces = parts.fixed.self_test.clone();
    if manifest.low_light.is_some() {
        faces = with_dark_faces(faces);
    }
    let seen = low_light::seen(&faces, manifest.low_light());
    let scores: Vec<Vec<u8>> = seen.iter().map(|face| parts.net.scores(face)).collect();
    let self_test = selftest::file(&manifest, &faces, &scores)?;
    let mut put = |name: &str, bytes: &[u8]| -> crate::Result<()> {
        files::write_bytes(&draft.path().join(name), bytes)?;
        manifest.files.insert(name.into(), files::sha256(bytes));
        Ok(())
    };
    put(bundle::INT8, parts.int8_onnx)?;
    put(bundle::FLOAT, parts.float_onnx)?;
    put(bundle::DETECTOR, &parts.fixed.detector)?;
    put(bundle::SELFTEST, &self_test)?;
    put(bundle::MODEL_CARD, parts.model_card.as_bytes())?;
    manifest.provenance.clone_from(&parts.provenance);
    manifest.metrics.clone_from(&parts.metrics);
    files::write_bytes(&draft.path().join(bundle::MANIFEST), toml::to_string(&manifest)?.as_bytes())?;
    let rung = parity::self_test(draft.path());
    if rung.holds {
        put_in_place(draft, &folder)?;
    }
    Ok(rung)
}

/// Adds the labels to the self-test vectors of a bundle that an earlier version wrote. Faces and scores stay as they are. The
/// bundle is replaced whole, and only if its self-test passes; its signature, which no longer matches, is left out.
///
/// # Errors
/// Returns an error if the bundle is refused, or if a file cannot be written; the bundle then stays as it was.
pub fn upgrade(folder: &Path) -> crate::Result<Upgrade> {
    let bundle = Bundle::open(folder)?;
    bundle.verify()?;
    match selftest::vectors(&bundle) {
        Ok(_) => return Ok(Upgrade::UpToDate),
        Err(SelfTestError::WithoutLabels) => {}
        Err(error) => return Err(error.into()),
    }
    let old = bundle.read(bundle::SELFTEST)?;
    let new = selftest::with_labels(&old, bundle.manifest())?;
    // The manifest's text stays otherwise: people have comments in it.
    let manifest = fs::read_to_string(folder.join(bundle::MANIFEST))?;
    let manifest = manifest.replace(&files::sha256(&old), &files::sha256(&new));
    let was_signed = replace(folder, &[(bundle::SELFTEST, &new), (bundle::MANIFEST, manifest.as_bytes())])?;
    Ok(Upgrade::Done { was_signed })
}

/// Replaces files of a bundle, all at once and only if its self-test then passes. Returns whether the bundle had a signature, which
/// no longer matches and is left out.
fn replace(folder: &Path, new: &[(&str, &[u8])]) -> crate::Result<bool> {
    let folder = folder.canonicalize()?;
    let signature = signature_path(&folder.join(bundle::MANIFEST));
    let draft = draft_beside(&folder)?;
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        if entry.path() == signature {
            continue;
        }
        let path = entry.path();
        if !path.is_file() {
            return Err(Error::BadInput(format!("{}: a bundle holds only files; move this elsewhere", path.display())));
        }
        let place = || format!("cannot copy {} to a new bundle beside it", path.display());
        fs::copy(&path, draft.path().join(entry.file_name())).with_context(place)?;
    }
    for (name, bytes) in new {
        files::write_bytes(&draft.path().join(name), bytes)?;
    }
    selftest::open(draft.path(), EngineOptions::default())?;
    let was_signed = signature.exists();
    put_in_place(draft, &folder)?;
    Ok(was_signed)
}

/// What [`upgrade`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    /// The bundle has labels already, and stays as it is.
    UpToDate,
    /// The bundle was replaced.
    Done {
        /// Whether it had a signature, which was left out.
        was_signed: bool,
    },
}

fn draft_beside(folder: &Path) -> crate::Result<TempDir> {
    let parent = folder.parent().context("a bundle lies in a folder")?;
    let place = || format!("cannot write to {}, where the bundle lies", parent.display());
    tempfile::Builder::new().prefix(".bundle-").tempdir_in(parent).with_context(place)
}

/// Makes a draft the bundle at `folder`, in the place of an older one.
fn put_in_place(draft: TempDir, folder: &Path) -> crate::Result<()> {
    fs::set_permissions(draft.path(), fs::Permissions::from_mode(0o755))?;
    let place = || format!("cannot put the bundle at {}", folder.display());
    let parent = folder.parent().context("a bundle lies in a folder")?;
    let old = tempfile::Builder::new().prefix(".replaced-").tempdir_in(parent)?;
    let kept = old.path().join("bundle");
    if folder.exists() {
        fs::rename(folder, &kept).with_context(place)?;
    }
    if let Err(error) = fs::rename(draft.path(), folder) {
        if kept.exists() && fs::rename(&kept, folder).is_err() {
            // It cannot go back, but it must not be removed with the folder that holds it.
            let _ = old.keep();
        }
        return Err(error).with_context(place);
    }
    // The draft is the bundle now: nothing is left to remove.
    let _ = draft.keep();
    Ok(())
}

/// The heading of a model card that follows its figures.
pub(crate) const ORIGIN: &str = "## Where it comes from";

/// What a model card says of a low-light gain.
pub(crate) fn of_gain(LowLightGain { below, to }: LowLightGain) -> String {
    format!("Faces whose mean is below {below} are brightened to the mean {to} before the net (low-light gain).")
}

/// The model card: what the model is, what it is for and not for, and its figures.
pub fn model_card(parts: &CardFacts) -> String {
    let CardFacts { name, data, source, face_net, teachers, command, table, recall, labels, robustness, low_light } =
        parts;
    let teachers =
        teachers.map_or(String::new(), |teachers| format!("- Teachers, whose answers it learned: {teachers}.\n"));
    let labels = labels.iter().map(|label| label.name()).collect::<Vec<_>>().join(", ");
    let robustness = robustness.map_or(String::new(), |robustness| {
        format!("Robustness: lengths are in pixels of the aligned face, other and lost labels in shares of the confident faces.\n\n{}\n", robustness.table())
    });
    let low_light = low_light.map_or(String::new(), |gain| format!("{}\n\n", of_gain(gain)));
    let detector = detector::SOURCE;
    let recall: String = Label::ALL
        .iter()
        .zip(recall.iter())
        .map(|(label, recall)| {
            let share = recall.map_or("does not occur".into(), |share| format!("{:.1} %", 100.0 * share));
            format!("| {} | {share} |\n", label.name())
        })
        .collect();
    format!(
        "# {name}

Tells the expression that a face shows: {labels}. It was
trained by FaceNet2ExpNet (arXiv 1609.06591; see below for its face net) and quantized to 8-bit integers.

## Figures

```{table}```

Recall of the int8 net on the test samples:

| label | recall |
| --- | --- |
{recall}
{robustness}{low_light}{ORIGIN}

- Data: {data}. {source}.
- Face net that supervised it: {face_net}
{teachers}- Face detector beside it, `detector.onnx`: {detector}.
- Made by: `{command}`
- Self-test vectors: rendered faces and noise; the bundle holds no picture of a person.

## What it is not for

An expression is not an emotion: the net names what a face looks like in one picture, not what a person feels or intends.
It errs, and it errs more often for people, ages, poses and lights that its data lacks. Do not decide about people by it. Ask
those who are recorded for their consent. Inferring emotions of people at work or in education is prohibited in the EU,
medical and safety reasons aside (Regulation (EU) 2024/1689, article 5(1)(f)).
"
    )
}

/// What a model card tells.
pub struct CardFacts<'a> {
    /// Name of the model.
    pub name: &'a str,
    /// The data set.
    pub data: &'a str,
    /// Where its pictures come from and under which terms.
    pub source: &'a str,
    /// The face net, its origin and terms.
    pub face_net: &'a str,
    /// The teachers, their origins and terms, if there were any.
    pub teachers: Option<&'a str>,
    /// The command that made the model.
    pub command: &'a str,
    /// The closing table.
    pub table: &'a str,
    /// Labels of the net's outputs.
    pub labels: &'a [Label],
    /// Recall of each label by the int8 net.
    pub recall: &'a [Option<f64>],
    /// The table of disturbances.
    pub robustness: Option<&'a Robustness>,
    /// The gain for dark faces.
    pub low_light: Option<LowLightGain>,
}
