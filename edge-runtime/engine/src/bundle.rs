//! The bundle: a folder with a model, all that workstation and board share besides code. `models/README.md` states its format.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use expression_core::{FaceInput, Label, LabelSet, LowLight};
use serde::{Deserialize, Serialize};

use crate::error::{Classify, ErrorKind};
use crate::files;
use crate::trust::{Trust, TrustError, Verdict};

/// The newest bundle format that this version reads.
pub const FORMAT: u32 = 2;
/// The format that introduced [`Manifest::low_light`]: an older program would ignore the gain and answer otherwise.
const LOW_LIGHT_FORMAT: u32 = 2;
/// The file name of the manifest.
pub const MANIFEST: &str = "manifest.toml";
/// The file name of the int8 graph.
pub const INT8: &str = "expression.onnx";
/// The file name of the float graph. It may be absent: boards do not need it.
pub const FLOAT: &str = "expression-f32.onnx";
/// The file name of the face detector. It may be absent from a bundle that is committed or passed on.
pub const DETECTOR: &str = "detector.onnx";
/// The file name of the self-test's inputs and expected integer outputs.
pub const SELFTEST: &str = "selftest.safetensors";
/// The file name of the model card.
pub const MODEL_CARD: &str = "MODEL_CARD.md";

/// The most bytes that are read of a file of a bundle.
const MAX_FILE: u64 = crate::graph::MAX_BYTES as u64;
/// Bytes of a manifest, at most.
const MAX_MANIFEST: u64 = 1 << 18;

/// The content of `manifest.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The bundle format. Readers refuse a newer one than they know.
    pub format: u32,
    /// The name of the model.
    pub name: String,
    /// The class names in the order of the scores.
    pub labels: Vec<String>,
    /// The geometry of the aligned face.
    pub input: Input,
    /// The gain for dark faces, or `None` if the net sees every face as it is aligned. Needs format 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_light: Option<LowLightGain>,
    /// The affine quantization of the integer scores.
    pub output: Output,
    /// How the int8 graph was made.
    pub quantization: Quantization,
    /// When to give no label, or `None` if that was not calibrated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Confidence>,
    /// The sha256 of each file, in lower-case hexadecimal, by file name.
    pub files: BTreeMap<String, String>,
    /// Where weights and data come from, by topic.
    pub provenance: BTreeMap<String, String>,
    /// The model's figures by name.
    pub metrics: BTreeMap<String, f64>,
}

/// The geometry of the aligned face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The number of channels: 1 for grey, 3 for RGB.
    pub channels: usize,
    /// The side in pixels to which a face picture is resampled.
    pub aligned: usize,
    /// The side in pixels of the centred crop that the net sees.
    pub size: usize,
}

/// The low-light gain: a face whose mean is below `below` is brightened to the mean `to` before the net sees it. The formula is
/// that of [`expression_core::light`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LowLightGain {
    /// The mean below which a face is dark, 1 to `to`.
    pub below: u8,
    /// The mean that a dark face gets, at most 255.
    pub to: u8,
}

impl LowLightGain {
    /// Returns the gain in the form that `expression-core` takes, or `None` unless `1 <= below <= to`.
    pub fn checked(self) -> Option<LowLight> {
        LowLight::new(self.below, self.to)
    }
}

/// The affine quantization of the integer scores: `logit = scale * (score - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// The logit difference of one step.
    pub scale: f32,
    /// The score of logit zero.
    pub zero_point: u8,
}

/// How the int8 graph was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantization {
    /// The type of activations: `u8`.
    pub activations: String,
    /// The type and granularity of weights: `s8 per channel` or `s8 per tensor`.
    pub weights: String,
    /// The number of samples on which activation ranges were measured.
    pub calibration_samples: usize,
}

/// When to give no label rather than a bad one. Chosen on held-out samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Confidence {
    /// The least probability of the likeliest label, 0 to 1; below it there is no label.
    pub least: f32,
    /// The share of held-out samples that reach it, 0 to 1.
    pub answered: f32,
    /// The accuracy on those, 0 to 1.
    pub accuracy: f32,
}

/// Why a bundle was refused.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The folder holds no readable manifest.
    #[error("{folder}: no {MANIFEST} here; give the folder of a bundle, such as runs/NAME/bundle ({reason})")]
    NoManifest {
        /// The folder.
        folder: PathBuf,
        /// The file system's message.
        reason: String,
    },
    /// The manifest is damaged or contradicts itself.
    #[error("{path}: damaged manifest ({reason}); export the bundle again")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A newer version wrote the bundle.
    #[error(
        "{folder}: bundle format {found} is newer than {FORMAT}, the newest this program reads; update edge-runtime"
    )]
    Newer {
        /// The folder.
        folder: PathBuf,
        /// The format found.
        found: u32,
    },
    /// The bundle is not signed as it must be.
    #[error("{0}")]
    Trust(#[from] TrustError),
    /// A file is missing from the bundle.
    #[error("{path}: missing from the bundle ({reason}); {advice}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The file system's message.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// A file does not match its hash in the manifest.
    #[error(
        "{path}: sha256 is {found}, the manifest says {expected}; the file was altered or cut: copy the bundle again"
    )]
    Altered {
        /// The file.
        path: PathBuf,
        /// Its hash.
        found: String,
        /// The hash it should have.
        expected: String,
    },
}

impl Classify for BundleError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::BadInput
    }
}

/// A bundle whose manifest has been read and checked. Each file is verified when it is read.
#[derive(Debug, Clone)]
pub struct Bundle {
    folder: PathBuf,
    manifest: Manifest,
    verdict: Verdict,
}

impl Bundle {
    /// Reads and checks the manifest in `folder`, whoever signed it.
    ///
    /// # Errors
    /// Returns the errors of [`Bundle::open_trusted`] for a [`Trust`] without keys.
    pub fn open(folder: &Path) -> Result<Bundle, BundleError> {
        Bundle::open_trusted(folder, &Trust::default())
    }

    /// Reads the manifest in `folder`, verifies its signature and checks it. The manifest is read once: the bytes that were
    /// verified are those that are parsed, and they hold the hashes of all other files.
    ///
    /// # Errors
    /// Returns [`BundleError`] if there is no manifest, if it is not to be trusted, if it is damaged, or if its format is newer
    /// than [`FORMAT`].
    pub fn open_trusted(folder: &Path, trust: &Trust) -> Result<Bundle, BundleError> {
        let path = folder.join(MANIFEST);
        let bytes = files::read_at_most(&path, MAX_MANIFEST).map_err(|error| match error.kind() {
            std::io::ErrorKind::FileTooLarge => BundleError::Manifest { path: path.clone(), reason: error.to_string() },
            _ => BundleError::NoManifest { folder: folder.to_owned(), reason: error.to_string() },
        })?;
        let verdict = trust.verify(&path, &bytes)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|error| BundleError::Manifest { path: path.clone(), reason: error.to_string() })?;
        Ok(Bundle { folder: folder.to_owned(), manifest: Manifest::from_toml(text, folder)?, verdict })
    }

    /// Returns what is known about who signed the bundle.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Returns the manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Reads a file of the bundle and verifies its hash.
    ///
    /// # Errors
    /// Returns [`BundleError::Missing`] if the file or its hash is missing, and [`BundleError::Altered`] if they do not match.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, BundleError> {
        let path = self.folder.join(name);
        let advice = match name {
            DETECTOR => "the bundle came without its face detector; `host-trainer detector DIR` adds it",
            FLOAT => "the bundle was passed on without its float graph; copy it from the run that made the bundle",
            _ => "copy the bundle again",
        };
        let missing = |reason: String| BundleError::Missing { path: path.clone(), reason, advice };
        let expected = self.manifest.files.get(name).ok_or_else(|| missing("not in the manifest".into()))?;
        let bytes = files::read_at_most(&path, MAX_FILE).map_err(|error| missing(error.to_string()))?;
        let found = files::sha256(&bytes);
        if found != *expected {
            return Err(BundleError::Altered { path, found, expected: expected.clone() });
        }
        Ok(bytes)
    }

    /// Returns whether the bundle's folder contains a file of this name.
    pub fn has(&self, name: &str) -> bool {
        self.folder.join(name).exists()
    }

    /// Verifies every file that the manifest names. The detector and the float graph may be absent: the former is not always
    /// ours to pass on, and boards do not need the latter.
    ///
    /// # Errors
    /// Returns the error of [`Bundle::read`] for the first file that is missing or does not match.
    pub fn verify(&self) -> Result<(), BundleError> {
        for name in self.manifest.files.keys() {
            if [DETECTOR, FLOAT].contains(&name.as_str()) && !self.has(name) {
                continue;
            }
            self.read(name)?;
        }
        Ok(())
    }
}

impl Manifest {
    /// Parses and checks the text of a manifest. Errors name `folder` as its place.
    ///
    /// # Errors
    /// Returns [`BundleError`] if the manifest is damaged or its format is newer than [`FORMAT`].
    pub fn from_toml(text: &str, folder: &Path) -> Result<Manifest, BundleError> {
        let damaged =
            |reason: String| BundleError::Manifest { path: folder.join(MANIFEST), reason: reason.replace('\n', " ") };
        // The format is checked first: a newer manifest may lack what this version expects.
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| damaged(error.message().to_owned()))?;
        let format = table.get("format").and_then(toml::Value::as_integer);
        match format.map(u32::try_from) {
            Some(Ok(found)) if found > FORMAT => {
                return Err(BundleError::Newer { folder: folder.to_owned(), found });
            }
            Some(Ok(1..)) => {}
            _ => return Err(damaged("`format` is missing or not a positive number".into())),
        }
        let manifest: Manifest =
            table.try_into().map_err(|error: toml::de::Error| damaged(error.message().to_owned()))?;
        manifest.check().map_err(damaged)?;
        Ok(manifest)
    }

    /// Returns the geometry of the aligned face in the form that `expression-core` takes.
    pub fn face_input(&self) -> FaceInput {
        FaceInput { channels: self.input.channels, aligned: self.input.aligned, size: self.input.size }
    }

    /// Returns the labels in the order of the scores, or `None` if they are not a valid set. In an opened bundle they are.
    pub fn label_set(&self) -> Option<LabelSet> {
        LabelSet::from_names(self.labels.iter().map(String::as_str))
    }

    /// Returns the gain for dark faces, if the manifest has a valid one. In an opened bundle it is valid.
    pub fn low_light(&self) -> Option<LowLight> {
        self.low_light.and_then(LowLightGain::checked)
    }

    /// Returns the format of a bundle with or without a low-light gain: the oldest that says all, so that older programs read
    /// what they can and refuse the rest.
    pub fn format_for(low_light: Option<LowLightGain>) -> u32 {
        if low_light.is_some() { LOW_LIGHT_FORMAT } else { 1 }
    }

    fn check(&self) -> Result<(), String> {
        // It stands in tables, logs and topics.
        if self.name.contains(char::is_control) {
            return Err(format!("name {:?}: expected a name without line breaks and control characters", self.name));
        }
        if let Some(gain @ LowLightGain { below, to }) = self.low_light {
            if gain.checked().is_none() {
                return Err(format!("low_light from {below} to {to}: expected 1 <= below <= to <= 255"));
            }
            if self.format < LOW_LIGHT_FORMAT {
                return Err(format!("low_light needs `format = {LOW_LIGHT_FORMAT}`, not {}", self.format));
            }
        }
        let Input { channels, aligned, size } = self.input;
        if !matches!(channels, 1 | 3) || size == 0 || size > aligned || aligned > 1024 {
            return Err(format!(
                "input {channels}x{size}x{size} of {aligned}x{aligned} is not a geometry of faces: expected 1 or 3 channels and a crop within at most 1024 pixels"
            ));
        }
        if self.label_set().is_none() {
            return Err(format!("labels {:?}: expected two to {} known labels, each once", self.labels, Label::COUNT));
        }
        if !(self.output.scale.is_finite() && self.output.scale > 0.0) {
            return Err(format!("output scale {}: expected a positive number", self.output.scale));
        }
        // Names, not paths: a bundle never reaches outside its folder.
        if let Some(name) = self.files.keys().find(|name| name.contains(['/', '\\']) || name.starts_with('.')) {
            return Err(format!("file name {name:?}: expected a plain name without a path"));
        }
        Ok(())
    }
}
