//! `edge-runtime log report`

mod gathered;
mod plots;
mod timeline;
mod visits;

use std::collections::VecDeque;
use std::path::PathBuf;

use expression_core::Label;
use expression_engine::error::{Result, print};
use expression_engine::{Error, files};
use expression_report::{Bar, Column, Page, Section, Tile, header, small_tiles, table, text_table};
use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::output::{is_stdout, write_output};
use super::period::{Periods, Unit};
use super::{Source, moment, stats as figures};
use crate::journal::stats::{Gap, Stats};
use crate::journal::{EventRow, JournalError, Range, Reader, Session, SessionRow};
use gathered::Gathered;
use timeline::Timeline;

/// Write a journal as one HTML page: expressions over time, hours and days, tracks, latency, gaps, events and sessions.
///
/// The page holds everything it needs: no script, nothing to load.
#[derive(clap::Args)]
pub struct Cmd {
    #[command(flatten)]
    source: Source,
    /// Page to write; `-` is stdout.
    #[arg(short, long, value_name = "FILE", default_value = "journal.html")]
    output: PathBuf,
}

/// How many of the newest events are listed.
const MAX_EVENTS: usize = 200;
/// How many of the longest gaps and of the newest sessions are listed.
const MAX_ROWS: usize = 50;

impl Cmd {
    /// Writes the page, and prints its path to stdout if it is a file.
    ///
    /// # Errors
    /// Returns an error if the journal or a time is refused, if the journal has nothing in the range, or if the page cannot
    /// be written.
    pub fn run(&self) -> Result<()> {
        let (reader, range) = self.source.open()?;
        let page = page(&reader, &range)?;
        // A path on stdout would become a part of the page.
        let is_file = !is_stdout(&self.output) && !files::is_stream(&self.output);
        write_output(Some(&self.output), reader.path(), |out| Ok(out.write_all(page.as_bytes())?))?;
        if is_file { print(&self.output.display().to_string()) } else { Ok(()) }
    }
}

fn page(reader: &Reader, range: &Range) -> Result<String> {
    let stats = Stats::of(reader, range)?;
    let Some((first, last)) = stats.wall_us else {
        return Err(Error::bad_input("the journal has no entries in this range; `log stats` prints what it covers"));
    };
    let zone = TimeZone::system();
    let timeline = Timeline::new((first, last), &stats.gaps, zone.clone());
    let gathered = Gathered::read(reader, range, &stats, timeline)?;
    let name = reader.path().file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let length = moment::length(last.saturating_sub(first));
    let [from, until] = [first, last].map(|wall_us| moment::short(wall_us, &zone));
    let about = format!("{from} to {until} ({length}), times in {}", zone_name(&zone, last));
    let page = Page {
        title: &format!("Journal {name}"),
        header: html! { (header("Facial expression recognition, journal of a board", &name, about)) (main_figures(&stats)) },
        sections: sections(reader, range, &stats, &gathered)?,
        program: "edge-runtime",
        version: env!("CARGO_PKG_VERSION"),
    };
    Ok(page.render())
}

/// The name of a time zone; its offset at a moment if it has none.
fn zone_name(zone: &TimeZone, wall_us: i64) -> String {
    let offset = || {
        let moment = jiff::Timestamp::from_microsecond(wall_us).unwrap_or_default();
        format!("UTC{}", zone.to_offset(moment))
    };
    zone.iana_name().map_or_else(offset, str::to_owned)
}

fn sections(reader: &Reader, range: &Range, stats: &Stats, gathered: &Gathered) -> Result<Vec<Section>, JournalError> {
    let tracks = match gathered.visits.len() {
        shown if shown < stats.visits.len() => {
            format!("The {shown} longest of {} tracks, in the order of their first record.", stats.visits.len())
        }
        _ => "One row per track, from its first record to its last.".to_owned(),
    };
    let zone = gathered.timeline.zone();
    let hours = Periods::read(reader, range, Unit::Hour, zone.clone())?;
    let days = Periods::read(reader, range, Unit::Day, zone.clone())?;
    Ok(vec![
        Section::new(
            "expressions",
            "Expressions over time",
            "Share of the scored records in each stretch of time, by smoothed label. Grey is unsure: no label was likely \
             enough. Dotted bars stand for long gaps, which are cut out here and \
             below. An expression is not an emotion.",
            plots::expressions(gathered),
        ),
        Section::new("shares", "Shares", "Share of each expression among all scored records.", shares(stats)),
        Section::new(
            "hours",
            "Hours",
            "Minutes of each expression per hour of the clock. Unsure is the time without a label, also of faces that could not \
             be read. Hours without a face are left out; two faces in one minute count as two minutes.",
            visits::hours(&hours, zone),
        ),
        Section::new(
            "days",
            "Days",
            "A track is a face from when it appears until it leaves. The longest smile is the longest stretch of happiness without \
             another label.",
            visits::days(&days, zone),
        ),
        Section::new(
            "tracks",
            "Tracks",
            format!("{tracks} The colour is the most frequent label of each stretch; hatched stretches had no frames."),
            plots::tracks(gathered, stats),
        ),
        Section::new(
            "latency",
            "Latency",
            "From the frame\u{2019}s arrival to its record: half of the records took less than the lower line, 95 % less \
             than the upper line.",
            plots::latency(gathered),
        ),
        Section::new("gaps", "Gaps", "Stretches without a frame, the longest first.", gaps(stats, zone)),
        Section::new("events", "Events", "The newest first.", events(reader, range, zone)?),
        Section::new(
            "sessions",
            "Sessions",
            "One row per start of the program, the newest first.",
            sessions(stats, zone),
        ),
    ])
}

/// The figures of `log stats`, without the range and the labels, which the page shows elsewhere.
fn main_figures(stats: &Stats) -> Markup {
    let elsewhere =
        |name: &str| Label::from_name(name).is_some() || [plots::class(None), "first", "last"].contains(&name);
    let rows = figures::rows(stats);
    let tiles: Vec<Tile> = rows
        .iter()
        .filter(|(name, _)| !elsewhere(name))
        .map(|(name, value)| Tile { name, value: value.clone(), about: "" })
        .collect();
    small_tiles(&tiles)
}

/// The share of each label, and of records without one.
fn shares(stats: &Stats) -> Markup {
    let labels = Label::ALL.iter().map(|label| Some(*label)).chain([None]);
    let counts = stats.labels.iter().copied().chain([stats.abstained]);
    let rows = html! {
        @for (label, count) in labels.zip(counts) {
            @let (class, share) = (plots::class(label), count as f64 / stats.scored.max(1) as f64);
            tr {
                th scope="row" { (class) }
                td.number { (expression_report::count(count)) }
                td.bars { (Bar { name: "", class, share, interval: None }) }
            }
        }
    };
    let columns = [Column::text("Expression"), Column::number("Records"), Column::text("Share")];
    table("Shares of expressions", &columns, rows)
}

fn gaps(stats: &Stats, zone: &TimeZone) -> Markup {
    let row = |gap: &Gap| {
        let length = moment::length(gap.until_us.saturating_sub(gap.from_us));
        let [from, until] = [gap.from_us, gap.until_us].map(|wall_us| moment::short(wall_us, zone));
        vec![from, until, length, gap.cause.name().to_owned()]
    };
    text_table("Gaps", &["from", "until", "length", "cause"], stats.gaps.iter().take(MAX_ROWS).map(row))
}

fn events(reader: &Reader, range: &Range, zone: &TimeZone) -> Result<Markup, JournalError> {
    let mut newest: VecDeque<EventRow> = VecDeque::new();
    reader.each_event(range, |event| {
        if newest.len() == MAX_EVENTS {
            newest.pop_front();
        }
        newest.push_back(event);
        Ok::<_, JournalError>(())
    })?;
    let row = |event: &EventRow| {
        let time = moment::short(event.stamp.wall_us, zone);
        vec![time, event.session.to_string(), event.kind.clone(), details(event)]
    };
    Ok(text_table("Events", &["time", "session", "event", "details"], newest.iter().rev().map(row)))
}

/// The fields of an event as text: `gap_ms 1500, ...`.
fn details(event: &EventRow) -> String {
    let Some(detail) = &event.detail else { return String::new() };
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(detail) else { return detail.clone() };
    let text = |(name, value): (String, serde_json::Value)| match value {
        serde_json::Value::String(text) => format!("{name}: {text}"),
        other => format!("{name}: {other}"),
    };
    fields.into_iter().map(text).collect::<Vec<_>>().join(", ")
}

/// Who signed the bundle of a session, as far as its board could tell.
fn signature(session: &Session) -> String {
    let Some(signature) = &session.signature else { return String::new() };
    [Some(signature.state.as_str()), signature.key.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn sessions(stats: &Stats, zone: &TimeZone) -> Markup {
    let row = |row: &SessionRow| {
        let session = &row.session;
        vec![
            row.id.to_string(),
            moment::short(row.started_wall_us, zone),
            session.bundle.clone(),
            session.model_sha256.chars().take(12).collect(),
            session.board.clone(),
            session.kernels.clone(),
            session.program.clone(),
            if session.clock_synchronised { "yes" } else { "no" }.to_owned(),
            signature(session),
        ]
    };
    let head =
        ["session", "start", "bundle", "model", "board", "kernels", "version", "clock synchronised", "signature"];
    text_table("Sessions", &head, stats.sessions.iter().rev().take(MAX_ROWS).map(row))
}
