//! The main job, step by step: data set to bundle and parity.

use std::collections::BTreeMap;
use std::path::Path;

use expression_core::Label;
use expression_engine::{Bundle, Engine, EngineOptions};

use crate::adoption::Adoption;
use crate::config::{Config, FaceNetModel};
use crate::dataset::{DataSet, Part};
use crate::detector;
use crate::export;
use crate::measurement::Measurement;
use crate::net::FaceNet;
use crate::parity::Rung;
use crate::recipe::Recipe;
use crate::run::{self, Run};
use crate::train::method::{self, Rehearsal};
use crate::train::teachers;

/// What a run needs besides its data. It is opened first, so that what is missing is reported before anything is written.
pub struct Prerequisites {
    /// The face net, on the device of the run.
    pub face_net: FaceNet,
    /// The parts of the bundle that do not depend on the training.
    pub fixed: export::Fixed,
    /// Whether the bundle is exported although rung 3 does not hold.
    pub accept_rung_3: bool,
    /// The run whose recipe this is the final training of.
    pub recipe: Option<Recipe>,
    /// What an adapted net must not be worse on than the one that it came from.
    pub old_test: Option<Part>,
    /// The provenance of the bundle that an adapted net comes from.
    pub start: Option<BTreeMap<String, String>>,
    /// The faces that `--rehearse` names.
    pub rehearsal: Option<Rehearsal>,
    /// Flags of the command that the run's configuration does not hold, for provenance; each begins with a blank.
    pub flags: String,
}

impl Prerequisites {
    /// Reads the provenance of the bundle that an adapted net comes from, if it comes from one.
    ///
    /// # Errors
    /// Returns an error if the bundle cannot be read.
    pub fn start(config: &Config) -> crate::Result<Option<BTreeMap<String, String>>> {
        let Some(start) = &config.start else { return Ok(None) };
        Ok(Some(Bundle::open(Path::new(&start.bundle))?.manifest().provenance.clone()))
    }
}

/// Trains, quantizes, checks parity and, if every rung holds, exports the bundle. `loading`: seconds that the data took.
///
/// # Errors
/// Returns an error if the run is interrupted, its input is bad, or a file cannot be written. A rung that does not hold is
/// not an error here: the summary tells of it.
pub fn run(
    run: &Run,
    config: &Config,
    data: &DataSet,
    loading: f64,
    prerequisites: Prerequisites,
) -> crate::Result<Measurement> {
    let Prerequisites { face_net, fixed, accept_rung_3, recipe, old_test, start, rehearsal, flags } = prerequisites;
    let start = start.map(|provenance| (provenance, rehearsal.as_ref().map(|rehearsal| rehearsal.source.clone())));
    let trained = method::train(run, config, data, face_net, rehearsal)?;
    let mut measurement = Measurement::new(run, config, data, loading, trained, accept_rung_3)?;
    if let Some(old_test) = old_test {
        run.say("comparing with the bundle that it started from");
        let last = adoption(config, data, &measurement, &old_test)?;
        measurement.summary.adoption = match &recipe {
            Some(recipe) => last.map(|last| recipe.evidence(last)),
            None => last,
        };
    }
    crate::interrupt::check()?;
    if measurement.summary.parity.iter().all(Rung::allows_export) {
        let rung = self::export(run, config, &measurement, &fixed, recipe.as_ref(), start.as_ref(), &flags)?;
        measurement.summary.bundle = rung.holds.then(|| run.path(run::BUNDLE).display().to_string());
        measurement.summary.parity.push(rung);
    }
    Ok(measurement)
}

fn adoption(
    config: &Config,
    data: &DataSet,
    measurement: &Measurement,
    old_test: &Part,
) -> crate::Result<Option<Adoption>> {
    let Some(start) = &config.start else { return Ok(None) };
    let Measurement { summary, labels, net, int8_onnx, int8_answers, .. } = measurement;
    let manifest = export::manifest(config, &summary.name, labels, net, summary.samples[1]);
    let engine = Engine::from_bytes(int8_onnx, &manifest, EngineOptions::default())?;
    let answers: Vec<Label> = int8_answers.iter().map(|scores| labels[scores.class]).collect();
    Adoption::judge(start, &engine, (&data.name, &data.test, &answers), old_test).map(Some)
}

fn export(
    run: &Run,
    config: &Config,
    measurement: &Measurement,
    fixed: &export::Fixed,
    recipe: Option<&Recipe>,
    start: Option<&(BTreeMap<String, String>, Option<String>)>,
    flags: &str,
) -> crate::Result<Rung> {
    let Measurement { summary, labels, net, float_onnx, int8_onnx, confidence, .. } = measurement;
    // What an adapted net knows comes from the old bundle and the faces that it rehearsed, and so do its terms.
    let of_old = |key: &str| start.and_then(|(start, _)| start.get(key)).map(String::as_str);
    let before =
        of_old("data_source").map_or(String::new(), |source| format!("; the bundle it was adapted from: {source}"));
    let rehearsed = start.and_then(|(_, rehearsed)| rehearsed.as_ref());
    let rehearsed = rehearsed.map_or(String::new(), |source| format!("; the faces it rehearsed: {source}"));
    let source = format!("{}{before}{rehearsed}", summary.source);
    let face_net = match config.face_net.model {
        _ if start.is_some() => of_old("face_net").unwrap_or("that of the bundle it was adapted from."),
        _ if config.stage_one.epochs == 0 => "none: trained from scratch.",
        FaceNetModel::MobileNetV1 => {
            "MobileNetV1 `faceres` of the npm package @vladmandic/human 3.3.6 (MIT; upstream Apache-2.0), trained on \
             VGGFace2 identities, which are for research: mind their terms."
        }
        FaceNetModel::Vgg16 => "VGG-16 from a file of the user's; its terms apply.",
    };
    let teachers: Vec<String> = config.teachers.iter().map(teachers::provenance).collect();
    let teachers = (!teachers.is_empty()).then(|| teachers.join("; "));
    let mut command = run.command() + flags;
    let (mut table, mut metrics) = (summary.table(), summary.figures());
    if let Some(recipe) = recipe {
        command += &format!(" --final {}", recipe.name());
        table = recipe.table(&table);
        metrics.extend(recipe.figures());
    }
    let facts = export::CardFacts {
        name: &summary.name,
        data: &summary.data,
        source: &source,
        face_net,
        teachers: teachers.as_deref(),
        command: &command,
        table: &table,
        recall: &summary.int8.recall,
        robustness: summary.robustness.as_ref(),
        low_light: config.net.low_light,
        labels,
    };
    let provenance = [
        ("data", summary.data.as_str()),
        ("data_source", &source),
        ("face_net", face_net),
        ("detector", detector::SOURCE),
        ("command", &command),
        ("program", concat!("host-trainer ", env!("CARGO_PKG_VERSION"))),
    ];
    let mut provenance: BTreeMap<String, String> =
        provenance.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    provenance.extend(teachers.clone().map(|teachers| ("teachers".to_owned(), teachers)));
    if let Some(recipe) = recipe {
        provenance.insert("figures".into(), recipe.provenance());
    }
    provenance.extend(summary.adoption.iter().flat_map(Adoption::provenance));
    for rung in summary.parity.iter().filter(|rung| rung.accepted) {
        let told = format!("{}: {}; tolerance {}", rung.what, rung.figure, rung.tolerance);
        provenance.insert(format!("accepted_rung_{}", rung.number), told);
    }
    let parts = export::Parts {
        name: &summary.name,
        labels,
        net,
        float_onnx,
        int8_onnx,
        fixed,
        calibration_samples: summary.samples[1],
        confidence: *confidence,
        provenance,
        metrics,
        model_card: export::model_card(&facts),
    };
    export::write(&run.path(run::BUNDLE), config, &parts)
}
