//! The nets that teach, with one way to ask them.

use std::path::PathBuf;

use expression_core::Label;
use expression_engine::files;
use tch::nn::{self, Module};
use tch::{Device, Kind, Tensor};

use crate::config::{TeacherNet, TeacherSource};
use crate::dataset::Sample;
use crate::error::{Context, Error};
use crate::net::expression_net::normalised;
use crate::net::{FaceNet, GraphNet, ResidualNet};
use crate::train::faces;

/// A net that classifies faces by the eight labels.
pub enum Classifier {
    /// The face net, with a linear classifier on the mean of its deepest maps.
    Face { net: Box<FaceNet>, head: nn::Linear },
    /// DenseNet-121.
    Dense(GraphNet),
    /// A net from scratch.
    Scratch(Box<ResidualNet>),
}

/// sha256 of the pinned file of DenseNet-121.
pub const DENSENET_SHA256: &str = "88959314d9dc14d6c968cca31dc068e4350bf1944154e3bdd2eece5d0f318d05";

/// The file's outputs of our labels in their order: it has angry, disgust, fear, happy, sad, surprise, neutral, and no contempt.
const DENSENET_OUTPUTS: [Option<usize>; Label::COUNT] =
    [Some(6), Some(3), Some(5), Some(4), Some(0), Some(1), Some(2), None];

/// The name of the face net's classifier.
const HEAD: &str = "tuning_head";

/// Samples on which the face net's batch norm is measured before training.
const MEASURED: usize = 128;

/// Where set-up puts the file of DenseNet-121: `fr_expression.onnx` of the npm package `faceplugin-face-recognition-js` (MIT).
pub fn densenet_file() -> PathBuf {
    crate::assets::folder().join("densenet/fr_expression.onnx")
}

/// The bytes of the pinned file of DenseNet-121.
///
/// # Errors
/// Returns [`Error::BadInput`] if it is missing or another one.
pub fn densenet() -> crate::Result<Vec<u8>> {
    let path = densenet_file();
    let advice = "run `cargo xtask setup`";
    let bytes =
        std::fs::read(&path).map_err(|error| Error::BadInput(format!("{}: {error}; {advice}", path.display())))?;
    if files::sha256(&bytes) != DENSENET_SHA256 {
        return Err(Error::BadInput(format!("{}: not the file that is pinned; {advice}", path.display())));
    }
    Ok(bytes)
}

/// Where the weights of a teacher come from, for model cards: a sentence without a full stop.
pub fn provenance(settings: &TeacherNet) -> String {
    let origin = match settings.source {
        TeacherSource::FaceNet => "the face net".to_owned(),
        TeacherSource::DenseNet121 => format!(
            "DenseNet-121 `fr_expression.onnx` of the npm package faceplugin-face-recognition-js 0.0.1 (MIT; it does not say on what \
             pictures it was trained), sha256 {DENSENET_SHA256}"
        ),
        TeacherSource::Scratch => "from scratch".to_owned(),
    };
    format!("{} ({origin}), tuned for {} epochs at {} px", settings.name, settings.epochs, settings.size)
}

impl Classifier {
    /// Opens the net of `settings`; the run's face net is taken out of `face_net` if it is that. What is fresh in it is drawn from
    /// torch's generator.
    ///
    /// # Errors
    /// Returns an error if a file is missing or does not fit, or a picture is empty.
    pub fn open(
        settings: &TeacherNet,
        face_net: &mut Option<FaceNet>,
        samples: &[Sample],
        device: Device,
    ) -> crate::Result<Classifier> {
        let classes = Label::COUNT as i64;
        match settings.source {
            TeacherSource::FaceNet => {
                let mut net = face_net.take().context("one teacher is the face net")?;
                let some: Vec<_> = samples.iter().take(MEASURED).map(|sample| &sample.picture).collect();
                net.normalise(&faces::face_net_input(&some, settings.size, device)?);
                let channels = net.channels(net.last())?;
                let head = nn::linear(net.store().root().sub(HEAD), channels, classes, Default::default());
                Ok(Classifier::Face { net: Box::new(net), head })
            }
            TeacherSource::DenseNet121 => {
                let mut net = GraphNet::read(&densenet()?, Some(&DENSENET_OUTPUTS), device)?;
                net.freeze(settings.frozen)?;
                Ok(Classifier::Dense(net))
            }
            TeacherSource::Scratch => {
                let shape = settings.scratch.as_ref().context("a net from scratch has a shape")?;
                Ok(Classifier::Scratch(Box::new(ResidualNet::new(shape, classes, device))))
            }
        }
    }

    /// Logits f32 `[n, 8]` of faces `[n, 3, side, side]`, RGB in `0..=255`, computed in `kind`; `train` with the batch's own
    /// statistics.
    ///
    /// # Errors
    /// Returns the errors of [`FaceNet::forward`].
    pub fn forward(&self, faces: &Tensor, kind: Kind, train: bool) -> crate::Result<Tensor> {
        Ok(match self {
            Classifier::Face { net, head } => {
                let maps = net.forward(faces, net.last(), kind, train)?;
                head.forward(&maps.mean_dim([2i64, 3].as_slice(), false, Kind::Float))
            }
            Classifier::Dense(net) => net.forward(&(faces / 255.0), kind, train),
            Classifier::Scratch(net) => net.forward(&normalised(faces), kind, train),
        })
    }

    /// Weights, and running statistics of batch norm.
    pub fn store(&self) -> &nn::VarStore {
        match self {
            Classifier::Face { net, .. } => net.store(),
            Classifier::Dense(net) => net.store(),
            Classifier::Scratch(net) => net.store(),
        }
    }

    /// Whether a variable is one of the classifier, by its name.
    pub fn is_of_head(&self, name: &str) -> bool {
        match self {
            Classifier::Face { .. } => name.starts_with(HEAD),
            Classifier::Dense(net) => net.is_of_last_layer(name),
            Classifier::Scratch(_) => name.starts_with("head"),
        }
    }

    /// The face net, if it is that.
    pub fn into_face_net(self) -> Option<FaceNet> {
        match self {
            Classifier::Face { net, .. } => Some(*net),
            _ => None,
        }
    }
}
