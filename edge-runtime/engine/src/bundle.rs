//! The bundle: the only thing besides code that workstation and board share. Format: `models/README.md`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use expression_core::{FaceInput, Label, LabelSet};
use serde::{Deserialize, Serialize};

use crate::error::{Classify, ErrorKind};
use crate::files;

/// The format that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
/// File names inside a bundle.
pub const MANIFEST: &str = "manifest.toml";
/// The int8 graph.
pub const INT8: &str = "expression.onnx";
/// The float graph.
pub const FLOAT: &str = "expression-f32.onnx";
/// The face detector; may be absent from a bundle that is committed or passed on.
pub const DETECTOR: &str = "detector.onnx";
/// Inputs and expected integer outputs.
pub const SELFTEST: &str = "selftest.safetensors";
/// The model card.
pub const MODEL_CARD: &str = "MODEL_CARD.md";

/// `manifest.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Bundle format; readers refuse a newer one than they know.
    pub format: u32,
    /// Name of the model.
    pub name: String,
    /// Class names in the order of the scores.
    pub labels: Vec<String>,
    /// Geometry of the aligned face.
    pub input: Input,
    /// Affine quantisation of the integer scores.
    pub output: Output,
    /// How the int8 graph was made.
    pub quantization: Quantization,
    /// When to give no label; absent where it was not calibrated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Confidence>,
    /// File name to sha256.
    pub files: BTreeMap<String, String>,
    /// Where weights and data come from.
    pub provenance: BTreeMap<String, String>,
    /// Figures by name.
    pub metrics: BTreeMap<String, f64>,
}

/// Geometry of the aligned face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// 1: grey, 3: RGB.
    pub channels: usize,
    /// Side in pixels to which a face picture is resampled.
    pub aligned: usize,
    /// Side in pixels of the centred crop that the net sees.
    pub size: usize,
}

/// Affine quantisation of the integer scores: `logit = scale * (score - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Logit units a step.
    pub scale: f32,
    /// The score that means logit zero.
    pub zero_point: u8,
}

/// How the int8 graph was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantization {
    /// Type of activations: `u8`.
    pub activations: String,
    /// Type and granularity of weights: `s8 per channel` or `s8 per tensor`.
    pub weights: String,
    /// How many samples the activation ranges were measured on.
    pub calibration_samples: usize,
}

/// When to give no label rather than a bad one, chosen on held-out samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Confidence {
    /// Probability of the likeliest label below which there is none, 0 to 1.
    pub least: f32,
    /// Share of the held-out samples that reach it.
    pub answered: f32,
    /// Accuracy on those.
    pub accuracy: f32,
}

/// Why a bundle was refused.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// No manifest there.
    #[error("{folder}: no {MANIFEST} here; give the folder of a bundle, such as runs/NAME/bundle ({reason})")]
    NoManifest {
        /// The folder.
        folder: PathBuf,
        /// What the file system said.
        reason: String,
    },
    /// The manifest does not say what it must.
    #[error("{path}: damaged manifest ({reason}); export the bundle again")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Written by a newer version.
    #[error(
        "{folder}: bundle format {found} is newer than {FORMAT}, the newest this program reads; update edge-runtime"
    )]
    Newer {
        /// The folder.
        folder: PathBuf,
        /// The format found.
        found: u32,
    },
    /// A file is missing.
    #[error("{path}: missing from the bundle ({reason}); {advice}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// A file is not the one that the manifest names.
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

/// A bundle whose manifest was read and checked. Files are verified as they are read.
#[derive(Debug, Clone)]
pub struct Bundle {
    folder: PathBuf,
    manifest: Manifest,
}

impl Bundle {
    /// Reads and checks the manifest in `folder`.
    ///
    /// # Errors
    /// [`BundleError`] where there is none, it is damaged, or its format is newer than [`FORMAT`].
    pub fn open(folder: &Path) -> Result<Bundle, BundleError> {
        let path = folder.join(MANIFEST);
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => BundleError::Manifest { path: path.clone(), reason: error.to_string() },
            _ => BundleError::NoManifest { folder: folder.to_owned(), reason: error.to_string() },
        })?;
        Ok(Bundle { folder: folder.to_owned(), manifest: Manifest::from_toml(&text, folder)? })
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Reads a file of the bundle and compares it with its hash.
    ///
    /// # Errors
    /// [`BundleError::Missing`] or [`BundleError::Altered`].
    pub fn read(&self, name: &str) -> Result<Vec<u8>, BundleError> {
        let path = self.folder.join(name);
        let advice = match name {
            DETECTOR => "the bundle came without its face detector; `host-trainer detector DIR` puts it there",
            FLOAT => "the bundle was passed on without its float graph; copy it from the run that made the bundle",
            _ => "copy the bundle again",
        };
        let missing = |reason: String| BundleError::Missing { path: path.clone(), reason, advice };
        let expected = self.manifest.files.get(name).ok_or_else(|| missing("not in the manifest".into()))?;
        let bytes = std::fs::read(&path).map_err(|error| missing(error.to_string()))?;
        let found = files::sha256(&bytes);
        if found != *expected {
            return Err(BundleError::Altered { path, found, expected: expected.clone() });
        }
        Ok(bytes)
    }

    /// Whether `name` lies in the bundle's folder.
    pub fn has(&self, name: &str) -> bool {
        self.folder.join(name).exists()
    }

    /// Verifies every file that the manifest names. The detector and the float graph may be absent: the one is not always
    /// ours to pass on, the other no board needs.
    ///
    /// # Errors
    /// As [`Bundle::read`], for the first file that does not match.
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
    /// Reads and checks the text of a manifest that lies in `folder`, which errors name.
    ///
    /// # Errors
    /// [`BundleError`] where it is damaged or its format is newer than [`FORMAT`].
    pub fn from_toml(text: &str, folder: &Path) -> Result<Manifest, BundleError> {
        let damaged =
            |reason: String| BundleError::Manifest { path: folder.join(MANIFEST), reason: reason.replace('\n', " ") };
        // The format is looked at first: a newer manifest may lack what this version expects.
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| damaged(error.message().to_owned()))?;
        let format = table.get("format").and_then(toml::Value::as_integer);
        match format.map(u32::try_from) {
            Some(Ok(found)) if found > FORMAT => {
                return Err(BundleError::Newer { folder: folder.to_owned(), found });
            }
            Some(Ok(1..)) => {}
            _ => return Err(damaged("no usable `format`".into())),
        }
        let manifest: Manifest =
            table.try_into().map_err(|error: toml::de::Error| damaged(error.message().to_owned()))?;
        manifest.check().map_err(damaged)?;
        Ok(manifest)
    }

    /// The geometry of the aligned face, as `expression-core` takes it.
    pub fn face_input(&self) -> FaceInput {
        FaceInput { channels: self.input.channels, aligned: self.input.aligned, size: self.input.size }
    }

    /// The labels in the order of the scores; opening a bundle has checked them.
    pub fn label_set(&self) -> Option<LabelSet> {
        LabelSet::from_names(self.labels.iter().map(String::as_str))
    }

    fn check(&self) -> Result<(), String> {
        let Input { channels, aligned, size } = self.input;
        if !matches!(channels, 1 | 3) || size == 0 || size > aligned || aligned > 1024 {
            return Err(format!("input {channels}x{size}x{size} of {aligned}x{aligned} makes no sense"));
        }
        if self.label_set().is_none() {
            return Err(format!("labels {:?} are not two to {} known ones, once each", self.labels, Label::COUNT));
        }
        if !(self.output.scale.is_finite() && self.output.scale > 0.0) {
            return Err(format!("output scale {}", self.output.scale));
        }
        // Names, not paths: a bundle never reaches outside its folder.
        if let Some(name) = self.files.keys().find(|name| name.contains(['/', '\\']) || name.starts_with('.')) {
            return Err(format!("file name {name:?}"));
        }
        Ok(())
    }
}
