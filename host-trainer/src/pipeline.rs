//! The main job, step by step: data set to bundle, parity and report.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, ensure};
use edge_runtime::{Engine, Scores, files};
use expression_core::Label;
use tch::{Device, Kind, Tensor};

use crate::config::Config;
use crate::dataset::{DataSet, Sample, contact_sheet};
use crate::evaluate::{Metrics, metrics};
use crate::export;
use crate::net::{ExpressionNet, FaceNet};
use crate::onnx::{builder, expression};
use crate::parity::{self, Rung};
use crate::quantize::{FloatNet, IntegerNet, quantize};
use crate::report::{Answered, Summary, html};
use crate::run::Run;
use crate::train::face_net_tuning::FaceClassifier;
use crate::train::faces::Faces;
use crate::train::target_maps::TargetMaps;
use crate::train::{Curve, stage_one, stage_two, views};

/// Name of the bundle's folder in a run.
const BUNDLE: &str = "bundle";
/// Right and wrong answers on the report's sheet, of each label.
const ANSWERS_PER_LABEL: usize = 8;
/// Pictures that rung 5 writes to files and reads back.
const ALIGNED_PICTURES: usize = 500;

/// What a run takes besides its data, opened before anything of an older run goes.
pub struct Given {
    /// The face net, on the device of the run.
    pub face_net: FaceNet,
    /// The parts of the bundle that do not depend on the training.
    pub fixed: export::Fixed,
}

/// What training gave.
pub struct Trained {
    /// The net after stage two, in single precision.
    pub net: ExpressionNet,
    /// Learning curves by stage, in the order they ran.
    pub curves: Vec<(String, Curve)>,
    /// Seconds by step.
    pub seconds: Vec<(String, f64)>,
}

/// What the float and int8 nets answer on one set of samples, and the rungs that compare them.
struct Answers {
    float: Vec<usize>,
    int8: Vec<Scores>,
    rungs: Vec<Rung>,
}

/// Runs everything on a loaded data set: trains, quantizes, checks parity, exports, reports.
///
/// # Errors
/// [`crate::interrupt::Interrupted`], bad input, of the file system, or a parity rung that does not hold: then the
/// report is written and the bundle is not.
pub fn run(run: &Run, config: &Config, data: &DataSet, loading: f64, given: Given) -> anyhow::Result<()> {
    let Given { face_net, fixed } = given;
    let device = face_net.store().device();
    let (train, calibration, test) = (data.train.len(), data.calibration.len(), data.test.len());
    run.say(&format!("{}: {train} training, {calibration} calibration, {test} test samples", data.name));
    let sheet = contact_sheet::png(&contact_sheet::sheet(&data.train))?;
    files::write_bytes(&run.path("samples.png"), &sheet)?;
    let trained = self::train(run, config, data, face_net)?;

    let started = Instant::now();
    let input = config.face_input();
    let size = config.net.size as i64;
    let crops = |faces: &Faces| views::centre(&faces.aligned, size).to_device(Device::Cpu).contiguous();
    let folded = FloatNet::fold(&trained.net, input.channels, input.size)?;
    let held_out = Faces::new(&data.calibration, input, Device::Cpu)?;
    let int8 = quantize(&folded, &crops(&held_out), &config.quantize)?;
    let float_onnx = builder::bytes(&expression::float(&folded));
    let int8_onnx = builder::bytes(&expression::int8(&int8));
    let quantizing = started.elapsed().as_secs_f64();

    let started = Instant::now();
    run.say("measuring on the test samples");
    let manifest = export::manifest(config, "draft", &int8, calibration);
    let engine = Engine::from_bytes(&int8_onnx, &manifest)?;
    let test = Faces::new(&data.test, input, device)?;
    let torch = stage_two::logits(&trained.net, &test.aligned, size).to_device(Device::Cpu);
    let mut answers = answer(&torch, &float_onnx, &int8, &engine, &rows(&crops(&test))?, config)?;
    let float = Metrics::new(&data.test, &answers.float);
    let classes: Vec<usize> = answers.int8.iter().map(|scores| scores.class).collect();
    let of_int8 = Metrics::new(&data.test, &classes);
    let agreement = metrics::agreement(&answers.float, &classes);
    answers.rungs.push(parity::accuracy(&float, &of_int8, agreement));
    let some = data.test.len().min(ALIGNED_PICTURES);
    let pictures: Vec<_> = data.test[..some].iter().map(|sample| &sample.picture).collect();
    answers.rungs.push(parity::aligned_faces(&pictures, &rows(&crops(&test).narrow(0, 0, some as i64))?, input)?);
    let measuring = started.elapsed().as_secs_f64();

    let mut seconds = vec![("data".to_owned(), loading)];
    seconds.extend(trained.seconds);
    seconds.extend([("quantizing".to_owned(), quantizing), ("measuring and parity".to_owned(), measuring)]);
    let mut summary = Summary {
        name: run.name(),
        data: data.name.clone(),
        source: data.source.clone(),
        samples: [train, calibration, data.test.len()],
        skipped: data.skipped.clone(),
        seed: run.seed(),
        device: crate::device::name(device),
        config: toml::to_string(config)?,
        multiply_accumulates: folded.multiply_accumulates(),
        parameters: folded.parameters(),
        curves: trained.curves,
        float,
        int8: of_int8,
        agreement,
        parity: std::mem::take(&mut answers.rungs),
        seconds,
        peak_memory_bytes: edge_runtime::command::bench::peak_memory(),
        int8_bytes: int8_onnx.len() as u64,
        bundle: run.path(BUNDLE).display().to_string(),
    };
    crate::interrupt::check()?;
    if summary.parity.iter().all(|rung| rung.holds) {
        let rung = self::export(run, config, &int8, (&float_onnx, &int8_onnx), &fixed, &summary)?;
        summary.parity.push(rung);
    }
    summary.parity.sort_by_key(|rung| rung.number);
    let exported = summary.parity.iter().all(|rung| rung.holds);
    let page = html::page(&summary, &answered(&data.test, &answers.int8)?, &sheet);
    files::write_bytes(&run.path("report.html"), page.as_bytes())?;
    write_answers(run, &data.test, &answers)?;
    let metrics = serde_json::json!({ "figures": summary.figures(), "run": &summary });
    files::write_bytes(&run.path("metrics.json"), &serde_json::to_vec_pretty(&metrics)?)?;

    let bundle = if exported { &summary.bundle } else { "not written: a parity rung fails" };
    let report = run.path("report.html");
    edge_runtime::exit::print(&format!("{}bundle  {bundle}\nreport  {}", summary.table(), report.display()))?;
    let failing: Vec<_> = summary.parity.iter().filter(|rung| !rung.holds).map(|rung| rung.number).collect();
    ensure!(failing.is_empty(), "parity rungs {failing:?} do not hold; the report tells by how much");
    Ok(())
}

/// The method: the face net's target maps, stage one, stage two.
///
/// # Errors
/// [`crate::interrupt::Interrupted`], bad input, or of the file system.
pub fn train(run: &Run, config: &Config, data: &DataSet, mut face_net: FaceNet) -> anyhow::Result<Trained> {
    let device = face_net.store().device();
    let (mut curves, mut seconds) = (Vec::new(), Vec::new());
    let mut started = Instant::now();
    let mut clock = |step: &str| {
        seconds.push((step.to_owned(), started.elapsed().as_secs_f64()));
        started = Instant::now();
    };
    let input = config.face_input();
    let faces = Faces::new(&data.train, input, device)?;
    let held_out = Faces::new(&data.calibration, input, device)?;
    let channels = face_net.channels(&config.face_net.layer)?;

    // Fresh weights are drawn from torch's generator: those of the tuning head here, those of the net below.
    tch::manual_seed(run.seed() as i64);
    let mut teacher = None;
    if config.face_net_tuning.epochs > 0 {
        let (train, calibration) = ((&data.train[..], &faces), (&data.calibration[..], &held_out));
        let classifier = FaceClassifier::new(&mut face_net, config, &data.train)?;
        let curve = classifier.train(train, calibration, run.seed(), &run.path("face-net.safetensors"))?;
        curves.push(("tuning the face net".to_owned(), curve));
        clock("tuning the face net");
        if config.stage_two.teacher > 0.0 {
            teacher = Some(classifier.answers(&data.train, &run.path("teacher-answers.f32"))?);
            clock("the teacher's answers");
        }
    }

    tch::manual_seed(run.seed() as i64);
    let mut net = ExpressionNet::new(&config.net, channels, Label::COUNT as i64, config.run.precision.kind(), device);
    if config.stage_one.epochs > 0 {
        let maps =
            |samples, file: &str| TargetMaps::of(samples, &face_net, config, run.seed(), &run.path(file), device);
        let targets = maps(&data.train, "target-maps-train.f16")?;
        let held_out_targets = maps(&data.calibration, "target-maps-calibration.f16")?;
        clock("target maps");
        let checkpoint = run.path("stage-one.safetensors");
        let (of_train, of_held_out) = ((&faces, &targets), (&held_out, &held_out_targets));
        let curve = stage_one::train(&net, of_train, of_held_out, config, run.seed(), &checkpoint)?;
        curves.push(("stage one".to_owned(), curve));
        clock("stage one");
    }
    drop(face_net);

    let checkpoint = run.path("stage-two.safetensors");
    let curve = stage_two::train(&net, (&faces, teacher.as_ref()), &held_out, config, run.seed(), &checkpoint)?;
    curves.push(("stage two".to_owned(), curve));
    clock("stage two");
    net.set_kind(Kind::Float);
    Ok(Trained { net, curves, seconds })
}

/// Rungs 1 and 2 on the test samples, and what the nets answer there.
fn answer(
    torch: &Tensor,
    float_onnx: &[u8],
    int8: &IntegerNet,
    engine: &Engine,
    faces: &[Vec<u8>],
    config: &Config,
) -> anyhow::Result<Answers> {
    let (rung_1, float) = parity::float(torch, float_onnx, faces, config.face_input())?;
    let (rung_2, reference) = parity::integer(int8, engine, faces)?;
    let output = int8.output();
    let int8 = reference.into_iter().map(|scores| Scores::from_integer(scores, output)).collect();
    Ok(Answers { float, int8, rungs: vec![rung_1, rung_2] })
}

/// The rows of u8 `[n, ...]` as bytes.
fn rows(faces: &Tensor) -> anyhow::Result<Vec<Vec<u8>>> {
    let length = faces.numel() / faces.size()[0].max(1) as usize;
    let bytes: Vec<u8> = faces.contiguous().view(-1).try_into().context("faces to bytes")?;
    Ok(bytes.chunks_exact(length).map(<[u8]>::to_vec).collect())
}

fn export(
    run: &Run,
    config: &Config,
    net: &IntegerNet,
    (float_onnx, int8_onnx): (&[u8], &[u8]),
    fixed: &export::Fixed,
    summary: &Summary,
) -> anyhow::Result<Rung> {
    let face_net = match config.face_net.model.as_str() {
        _ if config.stage_one.epochs == 0 => "none: trained from scratch.",
        "mobilenet-v1" => {
            "MobileNetV1 `faceres` of the npm package @vladmandic/human 3.3.6 (MIT; upstream Apache-2.0), trained on \
             VGGFace2 identities, which are for research: mind their terms."
        }
        _ => "VGG-16 from a file of the user's; its terms apply.",
    };
    let command = run.command();
    let facts = export::CardFacts {
        name: &summary.name,
        data: &summary.data,
        source: &summary.source,
        face_net,
        command: &command,
        table: &summary.table(),
        recall: &summary.int8.recall,
    };
    let provenance = [
        ("data", summary.data.as_str()),
        ("data_source", &summary.source),
        ("face_net", face_net),
        ("detector", export::DETECTOR_SOURCE),
        ("command", &command),
        ("program", concat!("host-trainer ", env!("CARGO_PKG_VERSION"))),
    ];
    let parts = export::Parts {
        name: &summary.name,
        net,
        float_onnx,
        int8_onnx,
        fixed,
        calibration_samples: summary.samples[1],
        provenance: provenance.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        metrics: BTreeMap::from_iter(summary.figures()),
        model_card: export::model_card(&facts),
    };
    export::write(&run.path(BUNDLE), config, &parts)
}

/// What the nets answered, a JSON line a test sample, in `answers.jsonl`.
fn write_answers(run: &Run, samples: &[Sample], answers: &Answers) -> anyhow::Result<()> {
    let name = |class: usize| Label::from_index(class).map_or("?", Label::name);
    files::write_atomic(&run.path("answers.jsonl"), |file| {
        for ((sample, scores), float) in samples.iter().zip(&answers.int8).zip(&answers.float) {
            let line = serde_json::json!({
                "sample": sample.name,
                "label": sample.label.name(),
                "int8": name(scores.class),
                "float": name(*float),
                "integer_scores": scores.integer,
            });
            writeln!(file, "{line}")?;
        }
        Ok(())
    })?;
    Ok(())
}

/// The first right and wrong answers of each label.
fn answered(samples: &[Sample], scores: &[Scores]) -> anyhow::Result<Vec<Answered>> {
    let mut chosen = Vec::new();
    for label in Label::ALL {
        for right in [true, false] {
            let of_kind = samples
                .iter()
                .zip(scores)
                .filter(|(sample, scores)| sample.label == label && (scores.class == label as usize) == right);
            for (sample, scores) in of_kind.take(ANSWERS_PER_LABEL) {
                chosen.push(Answered {
                    name: sample.name.clone(),
                    png: contact_sheet::png(&contact_sheet::thumbnail(&sample.picture, 64))?,
                    label: label.name(),
                    answer: Label::from_index(scores.class).map_or("?", Label::name),
                    probability: scores.probability[scores.class],
                });
            }
        }
    }
    Ok(chosen)
}
