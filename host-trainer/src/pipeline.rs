//! The main job, step by step: data set to bundle, parity and report.

use std::collections::BTreeMap;
use std::time::Instant;

use expression_core::Label;
use expression_engine::{Scores, files};
use tch::Kind;

use crate::config::Config;
use crate::dataset::{DataSet, Sample, contact_sheet};
use crate::error::ensure;
use crate::export;
use crate::measured::Measured;
use crate::net::{ExpressionNet, FaceNet};
use crate::parity::Rung;
use crate::report::{Answered, html};
use crate::run::Run;
use crate::train::face_net_tuning::FaceClassifier;
use crate::train::faces::Faces;
use crate::train::target_maps::TargetMaps;
use crate::train::teacher::Teacher;
use crate::train::{Curve, stage_one, stage_two};

/// Checkpoint of the tuned face net in a run.
pub const TUNED_FACE_NET: &str = "face-net.safetensors";
/// Checkpoint of stage two in a run.
pub const STAGE_TWO: &str = "stage-two.safetensors";
/// Name of the bundle's folder in a run.
const BUNDLE: &str = "bundle";
/// Right and wrong answers on the report's sheet, of each label.
const ANSWERS_PER_LABEL: usize = 8;

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

/// Runs everything on a loaded data set: trains, quantizes, checks parity, exports, reports.
///
/// # Errors
/// [`crate::interrupt::Interrupted`], bad input, of the file system, or a parity rung that does not hold: then the
/// report is written and the bundle is not.
pub fn run(run: &Run, config: &Config, data: &DataSet, loading: f64, given: Given) -> crate::Result<()> {
    let Given { face_net, fixed } = given;
    let (train, calibration, test) = (data.train.len(), data.calibration.len(), data.test.len());
    run.say(&format!("{}: {train} training, {calibration} calibration, {test} test samples", data.name));
    let sheet = contact_sheet::png(&contact_sheet::sheet(&data.train))?;
    files::write_bytes(&run.path("samples.png"), &sheet)?;
    let mut measured = Measured::new(run, config, data, loading, face_net)?;

    crate::interrupt::check()?;
    if measured.summary.parity.iter().all(|rung| rung.holds) {
        let rung = self::export(run, config, &measured, &fixed)?;
        measured.summary.bundle = rung.holds.then(|| run.path(BUNDLE).display().to_string());
        measured.summary.parity.push(rung);
    }
    let summary = &measured.summary;
    let page = html::page(summary, &answered(&data.test, &measured.int8_answers)?, &sheet);
    files::write_bytes(&run.path("report.html"), page.as_bytes())?;
    measured.write(run, &data.test)?;

    let failing: Vec<_> = summary.parity.iter().filter(|rung| !rung.holds).map(|rung| rung.number).collect();
    let bundle = summary.bundle.as_deref().unwrap_or("not written: a parity rung fails");
    let report = run.path("report.html");
    crate::error::print(&format!("{}bundle  {bundle}\nreport  {}", summary.table(), report.display()))?;
    ensure!(failing.is_empty(), "parity rungs {failing:?} do not hold; the report tells by how much");
    Ok(())
}

/// The method: the face net's target maps, stage one, stage two.
///
/// # Errors
/// [`crate::interrupt::Interrupted`], bad input, or of the file system.
pub fn train(run: &Run, config: &Config, data: &DataSet, mut face_net: FaceNet) -> crate::Result<Trained> {
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
        let curve = classifier.train(train, calibration, run.seed(), &run.path(TUNED_FACE_NET))?;
        curves.push(("tuning the face net".to_owned(), curve));
        clock("tuning the face net");
        if config.stage_two.teacher > 0.0 {
            teacher = Some(Teacher::of(&classifier, &data.train, run.seed(), &run.path("teacher-answers.f32"))?);
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

    let checkpoint = run.path(STAGE_TWO);
    let curve = stage_two::train(&net, (&faces, teacher.as_ref()), &held_out, config, run.seed(), &checkpoint)?;
    curves.push(("stage two".to_owned(), curve));
    clock("stage two");
    net.set_kind(Kind::Float);
    Ok(Trained { net, curves, seconds })
}

fn export(run: &Run, config: &Config, measured: &Measured, fixed: &export::Fixed) -> crate::Result<Rung> {
    let Measured { summary, net, float_onnx, int8_onnx, .. } = measured;
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
        confidence: measured.confidence,
        provenance: provenance.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        metrics: BTreeMap::from_iter(summary.figures()),
        model_card: export::model_card(&facts),
    };
    export::write(&run.path(BUNDLE), config, &parts)
}

/// The first right and wrong answers of each label.
fn answered(samples: &[Sample], scores: &[Scores]) -> crate::Result<Vec<Answered>> {
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
