//! Where the results of a run go: the journal, and preview, metrics and broker.

use std::path::Path;
use std::sync::Arc;

use expression_core::Label;
use expression_engine::error::Result;
use expression_engine::{Bundle, Engine, bundle};

use super::mqtt_payload;
use crate::command::settings::Settings;
use crate::journal::{self, Session};
use crate::run::Journaled;
use crate::telemetry::{self, Telemetry};

/// Returns which labels a net gives.
pub fn labels(engine: &Engine) -> [bool; Label::COUNT] {
    Label::ALL.map(|label| engine.labels().contains(&label))
}

/// Opens the journal at `path`, and begins a session of this bundle in it.
pub fn open_journal(
    path: &Path,
    config: journal::Config,
    settings: &Settings,
    bundle: &Bundle,
    engine: &Engine,
) -> Result<journal::Writer> {
    let manifest = bundle.manifest();
    let session = Session {
        bundle: manifest.name.clone(),
        model_sha256: manifest.files.get(bundle::INT8).cloned().unwrap_or_default(),
        board: settings.board.name.clone(),
        kernels: engine.kernels().join(" "),
        score_step: Some(manifest.output.scale),
        labels: engine.labels().iter().map(|label| label.name()).collect::<Vec<_>>().join(" "),
        signature: Some(bundle.verdict().into()),
        configuration: settings.line.clone(),
        ..Session::here()
    };
    Ok(journal::Writer::open(path, config, session)?)
}

/// Starts preview, metrics and broker, as far as they are asked for. `journal`: its path and its writer, if one is written.
pub fn start_telemetry(
    watching: telemetry::TelemetryOptions,
    source: String,
    bundle: &Bundle,
    engine: &Engine,
    journal: Option<(&Path, &Arc<journal::Writer>)>,
) -> Result<Telemetry> {
    let backlog = journal.map(|(path, writer)| {
        let payload = mqtt_payload::Export::default();
        Box::new(Journaled::new(path, Arc::clone(writer), payload)) as Box<dyn telemetry::Backlog>
    });
    let manifest = bundle.manifest();
    let about = telemetry::About {
        bundle: manifest.name.clone(),
        model: manifest.files.get(bundle::INT8).cloned().unwrap_or_default(),
        source,
        journal: journal.map(|(path, _)| path.to_owned()),
        score_scale: manifest.output.scale,
        labels: labels(engine),
    };
    Ok(Telemetry::start(watching, about, backlog)?)
}
