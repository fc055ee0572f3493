//! `edge-runtime log report`

mod gathered;
mod markup;
mod plots;

use expression_engine::error::Result;
use std::path::PathBuf;

use super::export::atomically;
use super::{Source, moment};
use crate::journal::stats::Stats;
use crate::journal::{EventRow, JournalError, Range, Reader};
use expression_engine::Error;
use gathered::Gathered;
use markup::{escape, section, table};

/// Writes one HTML page that tells a journal's story: who was there when, expressions, latency, gaps. It loads nothing.
#[derive(clap::Args)]
pub struct Cmd {
    #[command(flatten)]
    source: Source,
    /// The page to write.
    #[arg(short, long, value_name = "FILE", default_value = "journal.html")]
    output: PathBuf,
}

/// So many of the newest events are listed.
const EVENTS: usize = 200;
/// So many of the longest gaps and of the newest sessions are listed.
const ROWS: usize = 50;

impl Cmd {
    /// Runs the command; the page's path goes to stdout.
    ///
    /// # Errors
    /// Where the journal is refused, nothing lies in the range, or the page cannot be written.
    pub fn run(&self) -> Result<()> {
        let (reader, range) = self.source.open()?;
        let page = page(&reader, &range)?;
        atomically(&self.output, |file| Ok(file.write_all(page.as_bytes())?))?;
        expression_engine::error::print(&self.output.display().to_string())
    }
}

fn page(reader: &Reader, range: &Range) -> Result<String> {
    let stats = Stats::of(reader, range)?;
    let Some(span) = stats.wall_us else {
        return Err(Error::bad_input("the journal holds nothing in that time; see `log stats`"));
    };
    let gathered = Gathered::of(reader, range, &stats, span)?;
    let name = reader.path().file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut body = markup::tiles(&stats);
    body += &section(
        "Expressions over time",
        "Share of the scored records in each stretch of time, by smoothed label. Grey is unsure: nothing was likely \
         enough. An expression is not an emotion.",
        &plots::expressions(&gathered),
    );
    body += &section("Shares", "Of all scored records.", &plots::shares(&stats));
    let tracks = match gathered.visits.len() {
        shown if shown < stats.visits.len() => {
            format!("The {shown} longest of {} tracks, by when they came.", stats.visits.len())
        }
        _ => "Each face from its coming to its going.".to_owned(),
    };
    body += &section(
        "Tracks",
        &format!("{tracks} The colour is the label seen most in each stretch; hatched stretches had no frames."),
        &plots::tracks(&gathered, &stats),
    );
    body += &section(
        "Latency",
        "From the frame's arrival to its record: half of the records took less than the lower line, 95 % less than the \
         upper.",
        &plots::latency(&gathered),
    );
    body += &section("Gaps", "Stretches without a frame, the longest first.", &gaps(&stats));
    body += &section("Events", "The newest first.", &events(reader, range)?);
    body += &section("Sessions", "From a start to a stop, the newest first.", &sessions(&stats));
    Ok(markup::document(&name, &moment::brief(span.0), &moment::brief(span.1), &body))
}

fn gaps(stats: &Stats) -> String {
    let row = |gap: &crate::journal::stats::Gap| {
        let length = moment::length(gap.until_us.saturating_sub(gap.from_us));
        vec![moment::brief(gap.from_us), moment::brief(gap.until_us), length, gap.cause.name().to_owned()]
    };
    table(&["from", "until", "length", "cause"], stats.gaps.iter().take(ROWS).map(row))
}

fn events(reader: &Reader, range: &Range) -> Result<String, JournalError> {
    let mut newest: std::collections::VecDeque<EventRow> = std::collections::VecDeque::new();
    reader.each_event(range, |event| {
        if newest.len() == EVENTS {
            newest.pop_front();
        }
        newest.push_back(event);
        Ok::<_, JournalError>(())
    })?;
    let row = |event: &EventRow| {
        let time = moment::brief(event.stamp.wall_us);
        vec![time, event.session.to_string(), event.kind.clone(), event.detail.clone().unwrap_or_default()]
    };
    Ok(table(&["time", "session", "event", "detail"], newest.iter().rev().map(row)))
}

fn sessions(stats: &Stats) -> String {
    let row = |row: &crate::journal::SessionRow| {
        let session = &row.session;
        vec![
            row.id.to_string(),
            moment::brief(row.started_wall_us),
            session.bundle.clone(),
            session.model_sha256.chars().take(12).collect(),
            session.board.clone(),
            session.kernels.clone(),
            session.program.clone(),
            if session.clock_synchronised { "yes" } else { "no" }.to_owned(),
        ]
    };
    let head = ["session", "start", "bundle", "model", "board", "kernels", "version", "clock synchronised"];
    table(&head, stats.sessions.iter().rev().take(ROWS).map(row))
}

/// The name of an expression's colour in the style sheet.
fn class(label: Option<expression_core::Label>) -> String {
    escape(label.map_or("unsure", |label| label.name()))
}
