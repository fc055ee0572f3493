//! `edge-runtime log stats`

use expression_core::{Label, Quality};
use expression_engine::error::Result;
use serde_json::{Value, json};

use super::{Source, moment};
use crate::journal::stats::Stats;

/// A journal in figures: what was seen, how it was labelled, how long it took, and what is missing.
#[derive(clap::Args)]
pub struct Cmd {
    #[command(flatten)]
    source: Source,
    /// Write one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// So many of the longest gaps are listed.
const GAPS: usize = 20;

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Where the journal is refused, or a time is none.
    pub fn run(&self) -> Result<()> {
        let (reader, range) = self.source.open()?;
        let stats = Stats::of(&reader, &range)?;
        expression_engine::error::print(&if self.json { to_json(&stats).to_string() } else { table(&stats) })
    }
}

/// A part of a whole, from 0 to 1, rounded to four digits; null where the whole is nothing.
fn share(part: u64, whole: u64) -> Value {
    if whole == 0 { Value::Null } else { json!((part as f64 / whole as f64 * 1e4).round() / 1e4) }
}

fn milliseconds(stats: &Stats, at: f64) -> Option<f64> {
    stats.latency.at(at).map(|us| f64::from(us) / 1e3)
}

/// The figures by name.
pub fn to_json(stats: &Stats) -> Value {
    let labels = Label::ALL.iter().zip(stats.labels);
    let gaps = stats.gaps.iter().take(GAPS).map(|gap| {
        json!({
            "from": moment::text(gap.from_us),
            "until": moment::text(gap.until_us),
            "seconds": seconds(gap.until_us.saturating_sub(gap.from_us)),
            "cause": gap.cause.name(),
        })
    });
    json!({
        "records": stats.records,
        "frames": stats.frames,
        "frames_with_faces": stats.with_faces,
        "thinned": stats.thinned,
        "lost": stats.lost,
        "tracks": stats.visits.len(),
        "first": stats.wall_us.map(|(first, _)| moment::text(first)),
        "last": stats.wall_us.map(|(_, last)| moment::text(last)),
        "clock_not_synchronised": stats.unsynchronised,
        "scored": stats.scored,
        "labels": labels.clone().map(|(label, count)| (label.name().to_owned(), json!(count))).collect::<Value>(),
        "label_shares": labels.map(|(label, count)| (label.name().to_owned(), share(count, stats.scored))).collect::<Value>(),
        "abstained": stats.abstained,
        "abstained_share": share(stats.abstained, stats.scored),
        "quality": Quality::ALL.iter().zip(stats.quality)
            .map(|(quality, count)| (quality.name().to_owned(), json!(count))).collect::<Value>(),
        "latency_ms": { "median": milliseconds(stats, 0.5), "p95": milliseconds(stats, 0.95) },
        "celsius": stats.millicelsius.map(|(low, high)| json!({ "min": f64::from(low) / 1e3, "max": f64::from(high) / 1e3 })),
        "gaps": {
            "count": stats.gaps.len(),
            "seconds": seconds(stats.silent_us()),
            "longest": gaps.collect::<Vec<_>>(),
        },
        "events": stats.events,
        "sessions": stats.sessions,
        "bytes": stats.bytes,
    })
}

fn seconds(microseconds: i64) -> f64 {
    (microseconds as f64 / 1e3).round() / 1e3
}

/// The figures as rows of text.
pub fn rows(stats: &Stats) -> Vec<(String, String)> {
    let percent = |part: u64, whole: u64| match whole {
        0 => "-".to_owned(),
        _ => format!("{:.1} %", 100.0 * part as f64 / whole as f64),
    };
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    row("records", format!("{} of {} tracks", stats.records, stats.visits.len()));
    row("frames seen", format!("{}, {} with faces", stats.frames, stats.with_faces));
    if stats.thinned > 0 {
        row("thinned", format!("{} faces above the rate that is recorded", stats.thinned));
    }
    if stats.lost > 0 {
        row("lost", format!("{} records that the disk did not take", stats.lost));
    }
    if let Some((first, last)) = stats.wall_us {
        row("first", moment::text(first));
        row("last", format!("{} ({})", moment::text(last), moment::length(last.saturating_sub(first))));
    }
    if stats.unsynchronised > 0 {
        row("clock", format!("not synchronised for {} records", stats.unsynchronised));
    }
    for (label, count) in Label::ALL.iter().zip(stats.labels) {
        row(label.name(), format!("{:>7}  {count}", percent(count, stats.scored)));
    }
    row("unsure", format!("{:>7}  {}", percent(stats.abstained, stats.scored), stats.abstained));
    let quality = Quality::ALL.iter().zip(stats.quality).map(|(quality, count)| format!("{} {count}", quality.name()));
    row("quality", quality.collect::<Vec<_>>().join(", "));
    if let (Some(median), Some(p95)) = (milliseconds(stats, 0.5), milliseconds(stats, 0.95)) {
        row("latency", format!("median {median:.2} ms, 95 % {p95:.2} ms"));
    }
    if let Some((low, high)) = stats.millicelsius {
        row("temperature", format!("{:.1} to {:.1} degrees Celsius", f64::from(low) / 1e3, f64::from(high) / 1e3));
    }
    row("gaps", format!("{}, {} together", stats.gaps.len(), moment::length(stats.silent_us())));
    row("sessions", stats.sessions.len().to_string());
    row("size", format!("{:.2} MiB", stats.bytes as f64 / f64::from(1 << 20)));
    rows
}

fn table(stats: &Stats) -> String {
    let mut lines: Vec<String> = rows(stats).iter().map(|(name, value)| format!("{name:<12} {value}")).collect();
    for gap in stats.gaps.iter().take(GAPS) {
        let length = moment::length(gap.until_us.saturating_sub(gap.from_us));
        lines.push(format!("gap          {} for {length}: {}", moment::text(gap.from_us), gap.cause.name()));
    }
    for (kind, count) in &stats.events {
        lines.push(format!("event        {kind} {count}"));
    }
    for row in &stats.sessions {
        let session = &row.session;
        let model = session.model_sha256.get(..12).unwrap_or(&session.model_sha256);
        lines.push(format!(
            "session {:<4} {} {} ({model}) on {}, version {}",
            row.id,
            moment::text(row.started_wall_us),
            session.bundle,
            session.board,
            session.program
        ));
    }
    lines.join("\n")
}
