//! Metrics in Prometheus' text format, version 0.0.4.

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use expression_core::{Label, Quality};

use super::counters::LATENCY_EDGES;
use super::hub::Hub;

/// What Prometheus is told that this is.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page being written.
#[derive(Default)]
struct Text(String);

impl Text {
    /// Begins a metric. `name` has its unit and, for counters, `_total`, as Prometheus' conventions want.
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP edge_runtime_{name} {help}\n# TYPE edge_runtime_{name} {kind}\n");
    }

    /// A sample of the metric. `labels` are written as they are, braces included.
    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "edge_runtime_{name}{labels} {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: &AtomicU64) {
        self.metric(name, "counter", help);
        self.sample(name, "", value.load(Relaxed));
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.metric(name, "gauge", help);
        self.sample(name, "", value);
    }

    fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'a str, &'a AtomicU64)>,
    ) {
        self.metric(name, "counter", help);
        for (value_of_label, value) in values {
            self.sample(name, &format!("{{{label}=\"{value_of_label}\"}}"), value.load(Relaxed));
        }
    }
}

/// All metrics of a hub.
pub fn text(hub: &Hub) -> String {
    let counters = &hub.counters;
    let at = hub.started.elapsed();
    let (rate, faces, millicelsius, since, paused, lost, failing) = {
        let now = hub.now();
        let since = now.at.map(|then| at.saturating_sub(then));
        let seen = &now.observation;
        let (lost, failing) = (now.camera_lost.is_some(), now.journal_failing.is_some());
        (now.rate.per_second(at), seen.faces.len(), seen.millicelsius, since, now.paused, lost, failing)
    };
    let mut text = Text::default();
    text.metric("build_info", "gauge", "Always 1; its labels tell program and model.");
    let (bundle, model) = (escaped(&hub.about.bundle), escaped(&hub.about.model));
    let version = env!("CARGO_PKG_VERSION");
    text.sample("build_info", &format!("{{version=\"{version}\",bundle=\"{bundle}\",model=\"{model}\"}}"), 1);
    text.gauge("start_time_seconds", "Unix time of the start.", hub.started_at);
    text.counter("frames_total", "Frames that were observed.", &counters.frames);
    text.counter("frames_lost_total", "Frames that the source counted but did not deliver.", &counters.lost_frames);
    text.gauge("frames_per_second", "Frames a second, the mean of the last five seconds.", rate);
    if let Some(since) = since {
        text.gauge("last_frame_age_seconds", "Time since the last frame.", since.as_secs_f64());
    }
    // Nothing is known about faces while the camera is lost.
    if !lost {
        text.gauge("faces", "Faces in the last frame.", faces);
    }
    let qualities = Quality::ALL.iter().map(|quality| quality.name()).zip(&counters.faces);
    text.counters("faces_total", "Faces, counted in every frame, by their quality.", "quality", qualities);
    let labels = Label::ALL.iter().map(|label| label.name()).zip(&counters.labels);
    text.counters("labels_total", "Smoothed labels, counted in every frame.", "label", labels);
    latency(&mut text, hub);
    if let Some(value) = millicelsius {
        text.gauge("temperature_celsius", "Temperature of the board.", f64::from(value) / 1e3);
    }
    text.gauge("paused", "1 while recording is paused, else 0.", u8::from(paused));
    text.gauge("camera_up", "0 while the camera is lost, else 1.", u8::from(!lost));
    text.counter("camera_losses_total", "Times that the camera was lost.", &counters.camera_losses);
    text.counter("journal_commits_total", "Batches that the journal has committed.", &counters.journal_commits);
    text.counter("journal_records_total", "Records that the journal has committed.", &counters.journal_records);
    text.counter("journal_dropped_total", "Records that the journal had to drop.", &counters.journal_dropped);
    text.gauge("journal_failing", "1 while the journal cannot be written, else 0.", u8::from(failing));
    text.counter("preview_pictures_total", "Pictures that were encoded for watchers.", &counters.pictures);
    #[cfg(feature = "mqtt")]
    if hub.publishes {
        text.gauge("mqtt_connected", "1 while the broker is reached, else 0.", counters.mqtt_connected.load(Relaxed));
        text.counter("mqtt_published_total", "Entries that the broker has acknowledged.", &counters.mqtt_published);
    }
    text.0
}

fn latency(text: &mut Text, hub: &Hub) {
    let name = "latency_seconds";
    text.metric(name, "histogram", "Time from a frame's arrival to its observation.");
    let mut sum = 0;
    let edges = LATENCY_EDGES.iter().map(|edge| (f64::from(*edge) / 1e6).to_string()).chain(["+Inf".into()]);
    for (edge, count) in edges.zip(&hub.counters.latency) {
        sum += count.load(Relaxed);
        text.sample("latency_seconds_bucket", &format!("{{le=\"{edge}\"}}"), sum);
    }
    text.sample("latency_seconds_sum", "", hub.counters.latency_us.load(Relaxed) as f64 / 1e6);
    text.sample("latency_seconds_count", "", sum);
}

/// A label's value as the format wants it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
