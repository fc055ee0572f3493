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
use crate::evaluate::robustness::Robustness;
use crate::evaluate::{Metrics, confidence, metrics};
use crate::export;
use crate::net::low_light;
use crate::onnx::builder;
use crate::outcome::{Answer, MetricsFile, Summary};
use crate::parity::{self, AnswerPairs, Rung};
use crate::quantize::{FloatNet, IntegerNet, graph, quantize};
use crate::run::{self, Run};
use crate::train::faces::Faces;
use crate::train::method::Trained;
use crate::train::{stage_two, views};

/// Pictures that rung 5 writes to files and reads back.
const ALIGNED_PICTURES: usize = 500;
/// Test samples that a run disturbs. `host-trainer robustness` takes all.
const DISTURBED: usize = 1000;

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
        let started = Instant::now();
        let held_out = Faces::new(&data.calibration, config.face_input(), Device::Cpu)?.aligned;
        let quantized = Quantized::new(config, &trained, &held_out)?;
        let quantizing = started.elapsed().as_secs_f64();

        let started = Instant::now();
        run.say("measuring on the test samples");
        let trial = Trial::new(config, data, &trained, &quantized)?;
        let calibration = trial.calibration(&held_out)?;
        let confidence = trial.confidence(&calibration.int8);
        let (test, [rung_1, rung_2, rung_5]) = trial.test()?;
        let mut rung_3 = trial.accuracy(&calibration, &test);
        rung_3.accepted = accept_rung_3 && !rung_3.holds;
        let parity = vec![rung_1, rung_2, rung_3, rung_5];
        let least = confidence.least;
        let robustness = Robustness::of_samples(&trial.engine, least, &data.name, &data.test, DISTURBED, run.seed())?;
        let measuring = started.elapsed().as_secs_f64();

        let mut seconds = vec![("data".to_owned(), loading)];
        seconds.extend(trained.seconds.iter().cloned());
        seconds.extend([("quantizing".to_owned(), quantizing), ("measuring and parity".to_owned(), measuring)]);
        let summary = trial.summary(run, &test, robustness, parity, seconds)?;
        let Quantized { net, float_onnx, int8_onnx, .. } = quantized;
        let (labels, float_answers, int8_answers) = (trained.labels, test.float, test.int8);
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

/// A trained net after it was quantized.
struct Quantized {
    /// The trained net as a plain chain of layers.
    folded: FloatNet,
    /// The int8 net.
    net: IntegerNet,
    /// The file of the float graph.
    float_onnx: Vec<u8>,
    /// The file of the int8 graph.
    int8_onnx: Vec<u8>,
}

impl Quantized {
    /// Folds a trained net, quantizes it and describes both graphs. `held_out`: the calibration samples, u8 `[n, channels,
    /// aligned, aligned]`.
    fn new(config: &Config, trained: &Trained, held_out: &Tensor) -> crate::Result<Quantized> {
        let (input, labels) = (config.face_input(), &trained.labels);
        let folded = FloatNet::fold(&trained.net, input.channels, input.size)?.with_classes(labels);
        let net = quantize(&folded, &calibrating(config, trained, held_out), &config.quantize)?;
        let described = |graph| {
            let shape = (input.channels, input.aligned, input.size);
            builder::bytes(&graph::describe(graph, labels, shape, config.net.low_light))
        };
        let float_onnx = described(graph::float(&folded));
        let int8_onnx = described(graph::int8(&net));
        Ok(Quantized { folded, net, float_onnx, int8_onnx })
    }
}

/// Returns the faces on which activation ranges are measured, u8 `[n, channels, size, size]` as the net sees them: the
/// calibration samples, and what training adds to them.
fn calibrating(config: &Config, trained: &Trained, held_out: &Tensor) -> Tensor {
    let aligned = match &trained.ranges {
        Some(others) => Tensor::cat(&[held_out, &others.to_device(Device::Cpu)], 0),
        None => held_out.shallow_clone(),
    };
    low_light::brightened(&views::centre(&aligned, config.net.size as i64).contiguous(), config.net.low_light)
}

/// What both nets answered to samples.
struct Answers {
    /// The classes that the float net gave.
    float: Vec<usize>,
    /// The scores that the int8 net gave.
    int8: Vec<Scores>,
}

/// Both nets and the samples that they are measured on.
struct Trial<'a> {
    config: &'a Config,
    data: &'a DataSet,
    trained: &'a Trained,
    quantized: &'a Quantized,
    /// Runs the int8 graph.
    engine: Engine,
}

impl<'a> Trial<'a> {
    fn new(
        config: &'a Config,
        data: &'a DataSet,
        trained: &'a Trained,
        quantized: &'a Quantized,
    ) -> crate::Result<Trial<'a>> {
        let manifest = export::manifest(config, "draft", &trained.labels, &quantized.net, data.calibration.len());
        let engine = Engine::from_bytes(&quantized.int8_onnx, &manifest, EngineOptions::default())?;
        Ok(Trial { config, data, trained, quantized, engine })
    }

    /// Returns the answers to the calibration samples, whose aligned faces are `held_out`.
    fn calibration(&self, held_out: &Tensor) -> crate::Result<Answers> {
        let faces = self.crops(held_out)?;
        let int8 = faces.iter().map(|face| self.engine.classify(face)).collect::<Result<Vec<_>, _>>()?;
        let places: Vec<i64> = self.logits(&held_out.to_device(self.device())).argmax(-1, false).try_into()?;
        let float = places.into_iter().map(|place| self.class(place as usize)).collect();
        Ok(Answers { float, int8 })
    }

    /// Returns when the board gives no label. `calibration`: the int8 net's answers to the calibration samples.
    fn confidence(&self, calibration: &[Scores]) -> Confidence {
        let samples = &self.data.calibration;
        // Too few held-out samples choose nothing: the threshold that the net came with stays.
        let stays = self.trained.confidence.filter(|_| samples.len() < confidence::MIN_SAMPLES);
        stays.unwrap_or_else(|| confidence::calibrated(calibration, samples, &self.trained.labels))
    }

    /// Returns the answers to the test samples, and rungs 1, 2 and 5.
    fn test(&self) -> crate::Result<(Answers, [Rung; 3])> {
        let (samples, input) = (&self.data.test, self.config.face_input());
        let aligned = Faces::new(samples, input, self.device())?.aligned;
        let faces = self.crops(&aligned)?;
        let seen = low_light::seen(&faces, self.engine.low_light());
        let (rung_1, places) = parity::float(&self.logits(&aligned), &self.quantized.float_onnx, &seen, input)?;
        let float = places.into_iter().map(|place| self.class(place)).collect();
        let net = &self.quantized.net;
        let (rung_2, reference) = parity::integer(net, &self.engine, &faces)?;
        let int8 = reference.into_iter().map(|scores| Scores::from_integer(scores, net.output())).collect();
        let some = samples.len().min(ALIGNED_PICTURES);
        let pictures: Vec<_> = samples[..some].iter().map(|sample| &sample.picture).collect();
        let rung_5 = parity::aligned_faces(&pictures, &faces[..some], input)?;
        Ok((Answers { float, int8 }, [rung_1, rung_2, rung_5]))
    }

    /// Rung 3, on the calibration and the test samples.
    fn accuracy(&self, calibration: &Answers, test: &Answers) -> Rung {
        let calibration = self.pairs(&self.data.calibration, calibration);
        parity::accuracy(&AnswerPairs::new(calibration.chain(self.pairs(&self.data.test, test))))
    }

    /// Returns the class of each sample, and those that the float and the int8 net gave.
    fn pairs(&self, samples: &[Sample], answers: &Answers) -> impl Iterator<Item = (usize, [usize; 2])> {
        let answers = answers.float.iter().zip(&answers.int8);
        let pairs = samples.iter().zip(answers);
        pairs.map(move |(sample, (float, int8))| (sample.label as usize, [*float, self.class(int8.class)]))
    }

    fn summary(
        &self,
        run: &Run,
        test: &Answers,
        robustness: Robustness,
        parity: Vec<Rung>,
        seconds: Vec<(String, f64)>,
    ) -> crate::Result<Summary> {
        let Trial { config, data, trained, quantized, .. } = self;
        let classes: Vec<usize> = test.int8.iter().map(|scores| self.class(scores.class)).collect();
        let [float, int8] = [&test.float, &classes].map(|answers| Metrics::new(&data.test, answers));
        Ok(Summary {
            name: run.name(),
            data: data.name.clone(),
            source: data.source.clone(),
            samples: [data.train.len(), data.calibration.len(), data.test.len()],
            skipped: data.skipped.clone(),
            warnings: coverage::warnings(data, &coverage::known(config)?),
            labels: trained.labels.iter().map(|label| label.name().to_owned()).collect(),
            seed: run.seed(),
            device: crate::device::name(self.device()),
            config: toml::to_string(config)?,
            multiply_accumulates: quantized.folded.multiply_accumulates(),
            parameters: quantized.folded.parameters(),
            curves: trained.curves.clone(),
            float,
            int8,
            agreement: metrics::agreement(&test.float, &classes),
            robustness: Some(robustness),
            parity,
            seconds,
            peak_memory_bytes: expression_engine::memory::peak(),
            int8_bytes: quantized.int8_onnx.len() as u64,
            adoption: None,
            bundle: None,
        })
    }

    /// Where the trained net runs.
    fn device(&self) -> Device {
        self.trained.net.store().device()
    }

    /// Returns the class of an output of the nets.
    fn class(&self, place: usize) -> usize {
        self.trained.labels[place] as usize
    }

    /// Returns what the board's net sees of aligned faces, before the gain for dark ones.
    fn crops(&self, aligned: &Tensor) -> crate::Result<Vec<Vec<u8>>> {
        rows(&views::centre(aligned, self.config.net.size as i64).to_device(Device::Cpu).contiguous())
    }

    /// Returns the trained net's logits of aligned faces, on the CPU: those of the labels that are kept.
    fn logits(&self, aligned: &Tensor) -> Tensor {
        let kept: Vec<i64> = self.trained.labels.iter().map(|label| *label as i64).collect();
        let all = stage_two::logits(&self.trained.net, aligned, self.config.net.size as i64).to_device(Device::Cpu);
        all.index_select(1, &Tensor::from_slice(&kept))
    }
}

/// The rows of u8 `[n, ...]` as bytes.
fn rows(faces: &Tensor) -> crate::Result<Vec<Vec<u8>>> {
    let length = faces.numel() / faces.size()[0].max(1) as usize;
    let bytes: Vec<u8> = faces.contiguous().view(-1).try_into().context("faces to bytes")?;
    Ok(bytes.chunks_exact(length).map(<[u8]>::to_vec).collect())
}
