//! `edge-runtime log stats`

use std::collections::BTreeMap;

use expression_core::{Label, Quality};
use expression_engine::Error;
use expression_engine::error::{self, print};
use expression_engine::line::one_line;
use serde::{Serialize, Serializer};

use super::{Source, moment};
use crate::journal::SessionRow;
use crate::journal::stats::{Gap, Stats};

/// Summarise a journal: faces, labels, quality, latency, gaps, events and sessions.
#[derive(clap::Args)]
pub struct Cmd {
    #[command(flatten)]
    source: Source,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// How many of the longest gaps are listed.
const MAX_GAPS: usize = 20;

impl Cmd {
    /// Prints the figures.
    ///
    /// # Errors
    /// Returns an error if the journal or a time is refused.
    pub fn run(&self) -> error::Result<()> {
        let (reader, range) = self.source.open()?;
        let stats = Stats::of(&reader, &range)?;
        if self.json {
            print(&serde_json::to_string(&Figures::new(&stats)).map_err(Error::failure)?)
        } else {
            print(&table(&stats))
        }
    }
}

/// The figures as JSON.
#[derive(Serialize)]
struct Figures<'a> {
    records: u64,
    frames: u64,
    frames_with_faces: u64,
    thinned: u64,
    lost: u64,
    tracks: usize,
    first: Option<String>,
    last: Option<String>,
    clock_not_synchronised: u64,
    scored: u64,
    labels: ByName<u64>,
    label_shares: ByName<Option<f64>>,
    abstained: u64,
    abstained_share: Option<f64>,
    quality: ByName<u64>,
    latency_ms: Latency,
    celsius: Option<Celsius>,
    gaps: Gaps,
    events: &'a BTreeMap<String, u64>,
    sessions: &'a [SessionRow],
    bytes: u64,
}

/// An object whose keys keep their order.
struct ByName<T>(Vec<(&'static str, T)>);

impl<T: Serialize> Serialize for ByName<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[derive(Serialize)]
struct Latency {
    median: Option<f64>,
    p95: Option<f64>,
}

#[derive(Serialize)]
struct Celsius {
    min: f64,
    max: f64,
}

#[derive(Serialize)]
struct Gaps {
    count: usize,
    seconds: f64,
    longest: Vec<LongGap>,
}

#[derive(Serialize)]
struct LongGap {
    from: String,
    until: String,
    seconds: f64,
    cause: &'static str,
}

impl Figures<'_> {
    fn new(stats: &Stats) -> Figures<'_> {
        let labels = || Label::ALL.iter().map(|label| label.name()).zip(stats.labels);
        let quality = Quality::ALL.iter().map(|quality| quality.name()).zip(stats.quality);
        Figures {
            records: stats.records,
            frames: stats.frames,
            frames_with_faces: stats.with_faces,
            thinned: stats.thinned,
            lost: stats.lost,
            tracks: stats.visits.len(),
            first: stats.wall_us.map(|(first, _)| moment::text(first)),
            last: stats.wall_us.map(|(_, last)| moment::text(last)),
            clock_not_synchronised: stats.unsynchronised,
            scored: stats.scored,
            labels: ByName(labels().collect()),
            label_shares: ByName(labels().map(|(name, count)| (name, share(count, stats.scored))).collect()),
            abstained: stats.abstained,
            abstained_share: share(stats.abstained, stats.scored),
            quality: ByName(quality.collect()),
            latency_ms: Latency { median: milliseconds(stats, 0.5), p95: milliseconds(stats, 0.95) },
            celsius: stats.millicelsius.map(|(low, high)| Celsius { min: celsius(low), max: celsius(high) }),
            gaps: Gaps {
                count: stats.gaps.len(),
                seconds: seconds(stats.silent_us()),
                longest: stats.gaps.iter().take(MAX_GAPS).map(LongGap::new).collect(),
            },
            events: &stats.events,
            sessions: &stats.sessions,
            bytes: stats.bytes,
        }
    }
}

impl LongGap {
    fn new(gap: &Gap) -> LongGap {
        LongGap {
            from: moment::text(gap.from_us),
            until: moment::text(gap.until_us),
            seconds: seconds(gap.until_us.saturating_sub(gap.from_us)),
            cause: gap.cause.name(),
        }
    }
}

/// Returns a part of a whole, from 0 to 1, rounded to four digits, or `None` if the whole is 0.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64 * 1e4).round() / 1e4)
}

fn milliseconds(stats: &Stats, at: f64) -> Option<f64> {
    stats.latency.at(at).map(|us| f64::from(us) / 1e3)
}

fn celsius(millicelsius: i32) -> f64 {
    f64::from(millicelsius) / 1e3
}

fn seconds(microseconds: i64) -> f64 {
    (microseconds as f64 / 1e3).round() / 1e3
}

/// Returns the figures as names and values for people.
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
        row("skipped", format!("{} faces above the recording rate", stats.thinned));
    }
    if stats.lost > 0 {
        row("lost", format!("{} records that could not be written", stats.lost));
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
    row("gaps", format!("{}, {} in total", stats.gaps.len(), moment::length(stats.silent_us())));
    row("sessions", stats.sessions.len().to_string());
    row("size", format!("{:.2} MiB", stats.bytes as f64 / f64::from(1 << 20)));
    rows
}

fn table(stats: &Stats) -> String {
    let mut lines: Vec<String> = rows(stats).iter().map(|(name, value)| format!("{name:<12} {value}")).collect();
    for gap in stats.gaps.iter().take(MAX_GAPS) {
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
    // A journal from elsewhere may hold any names.
    lines.iter().map(|line| one_line(line)).collect::<Vec<_>>().join("\n")
}
