//! The nets of a study, ready to be inspected side by side.

use std::path::Path;

use expression_core::Label;
use tch::{Device, Kind, Tensor};

use super::{Inspected, layers};
use crate::config::Config;
use crate::dataset::{self, Request, Sample, Source};
use crate::error::Error;
use crate::net::{ExpressionNet, FaceNet};
use crate::run::{self, Identity};
use crate::study::{Method, Plan};
use crate::train::checkpoint::Checkpoint;
use crate::train::face_net_tuning::FaceClassifier;
use crate::train::faces::{Faces, face_net_input};
use crate::train::views;

/// Pictures that go through the face net at once.
const BATCH: usize = 64;

/// The nets of one seed of a study on its test samples.
pub struct OfStudy {
    /// From scratch, fine-tuned, FaceNet2ExpNet.
    pub nets: Vec<Inspected>,
    /// Centre crops of the test samples, u8 `[n, channels, size, size]`.
    pub faces: Tensor,
    /// Of each of them.
    pub labels: Vec<Label>,
}

impl OfStudy {
    /// Of the study in `folder` with `samples` training samples and one seed, on `device`. The test samples are loaded anew.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if there is no such study, or its data is not where it was.
    pub fn open(folder: &Path, samples: usize, seed: u64, device: Device) -> crate::Result<OfStudy> {
        let place = |method| Plan::place(folder, samples, seed, method);
        let of = |method| {
            let place = place(method);
            let advice = "give the folder of a finished study, and --samples and --seed that it has";
            Identity::read(&place)
                .ok_or_else(|| Error::BadInput(format!("{}: no training here; {advice}", place.display())))
        };
        let (scratch, fn2en) = (of(Method::Scratch)?, of(Method::Fn2en)?);
        let config = &fn2en.config;
        let test = test_samples(&fn2en.data, samples, seed, config)?;
        let faces = Faces::new(&test, config.face_input(), device)?;
        let side = config.net.size as i64;

        let mut face_net = FaceNet::open(&config.face_net, device)?;
        let adapter = face_net.channels(&config.face_net.layer)?;
        let expression_net = |method, config: &Config| -> crate::Result<Inspected> {
            let net = ExpressionNet::new(&config.net, adapter, Label::COUNT as i64, Kind::Float, device);
            let path = place(method).join(run::STAGE_TWO);
            let missing = || Error::BadInput(format!("{}: no such file; train again", path.display()));
            Checkpoint::open(&path)?.ok_or_else(missing)?.result(net.store())?;
            layers::of_expression_net(method.name(), &net, &faces.aligned, side)
        };
        let from_scratch = expression_net(Method::Scratch, &scratch.config)?;
        let by_the_method = expression_net(Method::Fn2en, config)?;
        FaceClassifier::new(&mut face_net, config, &test)?.restore(&place(Method::Fn2en).join(run::TUNED_FACE_NET))?;
        let batches = test.chunks(BATCH).map(|batch| {
            let pictures: Vec<_> = batch.iter().map(|sample| &sample.picture).collect();
            face_net_input(&pictures, config.face_net.size, device)
        });
        let mut shown = vec![config.face_net.layer.as_str(), face_net.last()];
        shown.dedup();
        let fine_tuned =
            layers::of_face_net(Method::FineTuned.name(), &face_net, &shown, batches, config.run.precision.kind())?;
        Ok(OfStudy {
            nets: vec![from_scratch, fine_tuned, by_the_method],
            faces: views::centre(&faces.aligned, side).to_device(Device::Cpu),
            labels: test.iter().map(|sample| sample.label).collect(),
        })
    }
}

fn test_samples(data: &str, samples: usize, seed: u64, config: &Config) -> crate::Result<Vec<Sample>> {
    let source: Source = data.parse().map_err(Error::BadInput)?;
    let calibration = config.quantize.calibration_samples;
    let all = samples + calibration;
    let request = Request { rendered: all, limit: Some(all), calibration, seed };
    Ok(dataset::load(&source, request)?.test)
}
