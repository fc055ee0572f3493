//! Metrics in Prometheus' text format, version 0.0.4.
//!
//! `prometheus-client` writes the format. The values stay in the hub, where they are counted without it, and are collected when
//! somebody asks for them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use expression_core::{Label, Quality};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::counters::{LATENCY_EDGES, Times};
use super::hub::Hub;
use super::resources;
use crate::event::Rate;

/// The content type of the text.
pub use prometheus_text::CONTENT_TYPE;

/// All metrics of a hub; those of the broker only if something `publishes` to one.
pub fn text(hub: &Arc<Hub>, publishes: bool) -> String {
    let mut registry = Registry::with_prefix("edge_runtime");
    registry.register_collector(Box::new(HubCollector { hub: hub.clone(), publishes }));
    let mut process = Registry::default();
    process.register_collector(Box::new(ProcessCollector));
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = prometheus_text::encode(&mut text, &registry);
    let _ = prometheus_text::encode(&mut text, &process);
    text
}

/// Reads the hub when it is asked to.
struct HubCollector {
    hub: Arc<Hub>,
    publishes: bool,
}

impl fmt::Debug for HubCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HubCollector")
    }
}

impl Collector for HubCollector {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        Metrics(encoder).encode(&self.hub, self.publishes)
    }
}

/// The metrics being written. Names get the prefix `edge_runtime_`, those of counters `_total`.
struct Metrics<'a>(DescriptorEncoder<'a>);

impl Metrics<'_> {
    fn encode(&mut self, hub: &Hub, publishes: bool) -> fmt::Result {
        let counters = &hub.counters;
        let at = hub.started.elapsed();
        let (rate, processed, faces, millicelsius, age, up, paused, failing, events) = {
            let now = hub.now();
            let age = now.observed_at.map(|then| at.saturating_sub(then));
            let (rate, failing) = (now.rate.per_second(at), now.journal_failing.is_some());
            let millicelsius = now.observation.millicelsius;
            let (up, events) = (now.camera_is_up(), now.events_by_kind.clone());
            (rate, now.throttled_to, now.face_count(), millicelsius, age, up, now.paused, failing, events)
        };
        self.info(hub)?;
        self.gauge("start_time_seconds", "Unix time of the start.", hub.started_at)?;
        self.counter("frames", "Frames that were observed.", &counters.frames)?;
        self.counter("frames_lost", "Frames that the source counted but did not deliver.", &counters.lost_frames)?;
        self.gauge("frames_per_second", "Frame rate, the mean of the last five seconds.", f64::from(rate))?;
        let help = "Share of frames that is processed: below 1 while the board is too hot.";
        self.gauge("processed_frames_ratio", help, processed.map_or(1.0, Rate::share))?;
        self.gauge(
            "throttled",
            "1 while fewer frames are processed because the board is hot, else 0.",
            flag(processed.is_some()),
        )?;
        self.gauge("camera_up", "1 while frames arrive, 0 before the first and while the camera is lost.", flag(up))?;
        if let Some(age) = age {
            self.gauge("last_frame_age_seconds", "Time since the last frame.", age.as_secs_f64())?;
        }
        if let Some(faces) = faces {
            self.gauge("faces", "Faces in the last frame; absent while no frames are looked at.", faces as u64)?;
        }
        let qualities = Quality::ALL.iter().map(|quality| quality.name()).zip(&counters.faces);
        self.family("faces", "Faces, counted in every frame, by their quality.", "quality", qualities)?;
        let labels = Label::ALL.iter().map(|label| label.name()).zip(&counters.labels);
        self.family("labels", "Smoothed labels, counted in every frame.", "label", labels)?;
        let help = "Time from a frame's arrival to its observation.";
        self.times("latency_seconds", help, &counters.latency)?;
        self.times("detector_seconds", "Time of a run of the face detector.", &counters.detector)?;
        let help = "Time of a run of the expression net, with all faces of a frame.";
        self.times("classifier_seconds", help, &counters.classifier)?;
        if let Some(value) = millicelsius {
            self.gauge("temperature_celsius", "Temperature of the board.", f64::from(value) / 1e3)?;
        }
        self.gauge("paused", "1 while recording is paused, else 0.", flag(paused))?;
        self.counter("camera_losses", "Times that the camera was lost.", &counters.camera_losses)?;
        self.gauge("journal_failing", "1 while the journal cannot be written, else 0.", flag(failing))?;
        self.counter("journal_commits", "Batches that the journal has committed.", &counters.journal_commits)?;
        self.counter("journal_records", "Records that the journal has committed.", &counters.journal_records)?;
        self.counter("journal_dropped", "Records that the journal had to drop.", &counters.journal_dropped)?;
        if let Some(journal) = &hub.about.journal {
            self.disk(journal)?;
        }
        self.events(&events)?;
        self.counter("preview_pictures", "Pictures that were encoded for viewers.", &counters.pictures)?;
        if publishes {
            let connected = counters.mqtt_connected.load(Relaxed);
            self.gauge("mqtt_connected", "1 while connected to the broker, else 0.", connected)?;
            self.counter("mqtt_published", "Entries that the broker has acknowledged.", &counters.mqtt_published)?;
        }
        Ok(())
    }

    fn info(&mut self, hub: &Hub) -> fmt::Result {
        let about = &hub.about;
        let labels = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("bundle", about.bundle.as_str()),
            ("model", about.model.as_str()),
        ];
        let help = "Always 1; its labels name program and model.";
        let mut metric = self.0.encode_descriptor("build_info", help, None, MetricType::Gauge)?;
        ConstGauge::new(1u64).encode(metric.encode_family(&labels)?)
    }

    fn counter(&mut self, name: &str, help: &str, value: &AtomicU64) -> fmt::Result {
        let metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value.load(Relaxed)).encode(metric)
    }

    fn gauge<N: EncodeGaugeValue>(&mut self, name: &str, help: &str, value: N) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }

    /// A counter for each value of a label.
    fn family<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'a str, &'a AtomicU64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (name, value) in values {
            ConstCounter::new(value.load(Relaxed)).encode(metric.encode_family(&[(label, name)])?)?;
        }
        Ok(())
    }

    /// A histogram.
    fn times(&mut self, name: &str, help: &str, times: &Times) -> fmt::Result {
        let edges = LATENCY_EDGES.iter().map(|edge| f64::from(*edge) / 1e6).chain([f64::MAX]);
        let buckets: Vec<_> = edges.zip(&times.buckets).map(|(edge, n)| (edge, n.load(Relaxed))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = times.sum_us.load(Relaxed) as f64 / 1e6;
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    /// What happened, by the names that events have in the journal.
    fn events(&mut self, events: &BTreeMap<String, u64>) -> fmt::Result {
        let mut metric = self.0.encode_descriptor("events", "Events, by kind.", None, MetricType::Counter)?;
        for (kind, count) in events {
            ConstCounter::new(*count).encode(metric.encode_family(&[("kind", kind.as_str())])?)?;
        }
        Ok(())
    }

    /// Sizes on the disk of the journal.
    fn disk(&mut self, journal: &Path) -> fmt::Result {
        if let Some(bytes) = resources::journal_bytes(journal) {
            self.gauge("journal_size_bytes", "Size of the journal with its write-ahead log.", bytes)?;
        }
        if let Some(bytes) = resources::free_bytes(journal) {
            self.gauge("journal_disk_free_bytes", "Free space on the disk of the journal.", bytes)?;
        }
        Ok(())
    }
}

/// What Prometheus calls the same for every program, without a prefix.
#[derive(Debug)]
struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut metrics = Metrics(encoder);
        if let Some(bytes) = resources::resident_bytes() {
            metrics.gauge("process_resident_memory_bytes", "Resident memory of the program.", bytes)?;
        }
        let help = "Processor time of the program, of all threads together.";
        let metric = metrics.0.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
        ConstCounter::new(resources::cpu_seconds()).encode(metric)?;
        Ok(())
    }
}

fn flag(on: bool) -> u64 {
    on.into()
}
