//! Quantizing a trained net and measuring it: what a run to a bundle and a fold of a cross-validation have in common.

use std::time::Instant;

use expression_core::Label;
use expression_engine::EngineOptions;
use expression_engine::bundle::Confidence;
use expression_engine::{Engine, Scores, files};
use tch::{Device, Tensor};

use crate::config::Config;
use crate::coverage;
use crate::dataset::{DataSet, Sample};
use crate::error::Context;
use crate::evaluate::{Metrics, confidence, metrics};
use crate::export;
use crate::onnx::builder;
use crate::outcome::{Answer, MetricsFile, Summary};
use crate::parity::{self, AnswerPairs};
use crate::quantize::{FloatNet, IntegerNet, graph, quantize};
use crate::run::{self, Run};
use crate::train::faces::Faces;
use crate::train::method::Trained;
use crate::train::{stage_two, views};

/// Pictures that rung 5 writes to files and reads back.
const ALIGNED_PICTURES: usize = 500;

/// A trained and quantized net, and what it answered on the test samples.
pub struct Measurement {
    /// Every figure of the run so far: parity without the bundle's own rung 6.
    pub summary: Summary,
    /// Labels of the nets' outputs, in order: those that occur in the training samples.
    pub labels: Vec<Label>,
    /// The int8 net.
    pub net: IntegerNet,
    /// The file of the float graph.
    pub float_onnx: Vec<u8>,
    /// The file of the int8 graph.
    pub int8_onnx: Vec<u8>,
    /// The class that the float net gave to each test sample.
    pub float_answers: Vec<usize>,
    /// The scores that the int8 net gave to each test sample.
    pub int8_answers: Vec<Scores>,
    /// When the board gives no label, chosen on the calibration samples.
    pub confidence: Confidence,
}

impl Measurement {
    /// Quantizes a trained net, and measures both nets on the test samples with rungs 1, 2, 3 and 5. `loading`: seconds that
    /// the data took. `accept_rung_3`: whether a bundle may be exported although rung 3 does not hold.
    ///
    /// # Errors
    /// Returns an error if the run is interrupted or a graph cannot be run. A rung that does not hold is not an error: the
    /// summary tells of it.
    pub fn new(
        run: &Run,
        config: &Config,
        data: &DataSet,
        loading: f64,
        trained: Trained,
        accept_rung_3: bool,
    ) -> crate::Result<Measurement> {
        let device = trained.net.store().device();

        let started = Instant::now();
        let input = config.face_input();
        let size = config.net.size as i64;
        let crops = |faces: &Faces| views::centre(&faces.aligned, size).to_device(Device::Cpu).contiguous();
        let labels = trained.labels.clone();
        let kept: Vec<i64> = labels.iter().map(|label| *label as i64).collect();
        let folded = FloatNet::fold(&trained.net, input.channels, input.size)?.with_classes(&labels);
        let held_out = Faces::new(&data.calibration, input, Device::Cpu)?;
        let calibrating = match &trained.ranges {
            Some(others) => Tensor::cat(&[&held_out.aligned, &others.to_device(Device::Cpu)], 0),
            None => held_out.aligned.shallow_clone(),
        };
        let net = quantize(&folded, &views::centre(&calibrating, size).contiguous(), &config.quantize)?;
        let described =
            |graph| builder::bytes(&graph::describe(graph, &labels, (input.channels, input.aligned, input.size)));
        let float_onnx = described(graph::float(&folded));
        let int8_onnx = described(graph::int8(&net));
        let quantizing = started.elapsed().as_secs_f64();

        let started = Instant::now();
        run.say("measuring on the test samples");
        let manifest = export::manifest(config, "draft", &labels, &net, data.calibration.len());
        let engine = Engine::from_bytes(&int8_onnx, &manifest, EngineOptions::default())?;
        let calibration = Faces::new(&data.calibration, input, device)?;
        let calibration_scores =
            rows(&crops(&held_out))?.iter().map(|face| engine.classify(face)).collect::<Result<Vec<_>, _>>()?;
        // Too few held-out samples choose nothing: the threshold that the net came with stays.
        let stays = trained.confidence.filter(|_| data.calibration.len() < confidence::MIN_SAMPLES);
        let confidence =
            stays.unwrap_or_else(|| confidence::calibrated(&calibration_scores, &data.calibration, &labels));
        let test = Faces::new(&data.test, input, device)?;
        let logits = |faces: &Faces| {
            let all = stage_two::logits(&trained.net, &faces.aligned, size).to_device(Device::Cpu);
            all.index_select(1, &Tensor::from_slice(&kept))
        };
        let faces = rows(&crops(&test))?;
        let (rung_1, float_places) = parity::float(&logits(&test), &float_onnx, &faces, input)?;
        let (rung_2, reference) = parity::integer(&net, &engine, &faces)?;
        let int8_answers: Vec<Scores> =
            reference.into_iter().map(|scores| Scores::from_integer(scores, net.output())).collect();
        let class = |place: usize| labels[place] as usize;
        let float_answers: Vec<usize> = float_places.into_iter().map(class).collect();
        let classes: Vec<usize> = int8_answers.iter().map(|scores| class(scores.class)).collect();
        let [float, int8] = [&float_answers, &classes].map(|answers| Metrics::new(&data.test, answers));
        let agreement = metrics::agreement(&float_answers, &classes);
        let calibration_places: Vec<i64> = logits(&calibration).argmax(-1, false).try_into()?;
        let on_calibration = data
            .calibration
            .iter()
            .zip(calibration_places.iter().zip(&calibration_scores))
            .map(|(sample, (float, int8))| (sample.label as usize, [class(*float as usize), class(int8.class)]));
        let on_test = data.test.iter().zip(float_answers.iter().zip(&classes));
        let on_test = on_test.map(|(sample, (float, int8))| (sample.label as usize, [*float, *int8]));
        let mut rung_3 = parity::accuracy(&AnswerPairs::new(on_calibration.chain(on_test)));
        rung_3.accepted = accept_rung_3 && !rung_3.holds;
        let some = data.test.len().min(ALIGNED_PICTURES);
        let pictures: Vec<_> = data.test[..some].iter().map(|sample| &sample.picture).collect();
        let rung_5 = parity::aligned_faces(&pictures, &faces[..some], input)?;
        let measuring = started.elapsed().as_secs_f64();

        let mut seconds = vec![("data".to_owned(), loading)];
        seconds.extend(trained.seconds);
        seconds.extend([("quantizing".to_owned(), quantizing), ("measuring and parity".to_owned(), measuring)]);
        let summary = Summary {
            name: run.name(),
            data: data.name.clone(),
            source: data.source.clone(),
            samples: [data.train.len(), data.calibration.len(), data.test.len()],
            skipped: data.skipped.clone(),
            warnings: coverage::warnings(data, config.start.is_some()),
            labels: labels.iter().map(|label| label.name().to_owned()).collect(),
            seed: run.seed(),
            device: crate::device::name(device),
            config: toml::to_string(config)?,
            multiply_accumulates: folded.multiply_accumulates(),
            parameters: folded.parameters(),
            curves: trained.curves,
            float,
            int8,
            agreement,
            parity: vec![rung_1, rung_2, rung_3, rung_5],
            seconds,
            peak_memory_bytes: expression_engine::memory::peak(),
            int8_bytes: int8_onnx.len() as u64,
            adoption: None,
            bundle: None,
        };
        Ok(Measurement { summary, labels, net, float_onnx, int8_onnx, float_answers, int8_answers, confidence })
    }

    /// Writes `answers.jsonl`, one line per test sample, and then `metrics.json`, which says that the run is finished.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn write(&self, run: &Run, samples: &[Sample]) -> crate::Result<()> {
        let name = |class: usize| Label::from_index(class).map_or("?", Label::name).to_owned();
        files::write_atomic(&run.path(run::ANSWERS), |file| {
            for ((sample, scores), float) in samples.iter().zip(&self.int8_answers).zip(&self.float_answers) {
                let answer = Answer {
                    sample: sample.name.clone(),
                    subject: sample.subject.clone(),
                    label: sample.label.name().to_owned(),
                    majority: sample.majority,
                    int8: self.labels[scores.class].name().to_owned(),
                    float: name(*float),
                    integer_scores: scores.integer.clone(),
                };
                writeln!(file, "{}", serde_json::to_string(&answer)?)?;
            }
            Ok(())
        })?;
        let metrics = MetricsFile { figures: self.summary.figures(), run: self.summary.clone() };
        Ok(files::write_bytes(&run.path(run::METRICS), &serde_json::to_vec_pretty(&metrics)?)?)
    }
}

/// The rows of u8 `[n, ...]` as bytes.
fn rows(faces: &Tensor) -> crate::Result<Vec<Vec<u8>>> {
    let length = faces.numel() / faces.size()[0].max(1) as usize;
    let bytes: Vec<u8> = faces.contiguous().view(-1).try_into().context("faces to bytes")?;
    Ok(bytes.chunks_exact(length).map(<[u8]>::to_vec).collect())
}
