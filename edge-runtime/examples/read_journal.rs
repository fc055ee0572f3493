//! Reads a journal: for each track, how long it was in view and which label it had most often.
//!
//!     cargo run -p edge-runtime --example read_journal -- journal.sqlite
//!
//! This works while `edge-runtime run` writes to the journal. `edge-runtime log export` gives the same records as CSV, JSON lines
//! or Parquet, and docs/journal.md explains the schema to programs that read the SQLite file themselves.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use edge_runtime::journal::{JournalError, Range, Reader};
use expression_core::Label;
use expression_engine::error::{self, Error, Result};

/// What a journal says about one track.
#[derive(Default)]
struct Visit {
    /// Unix time of the first and last record in microseconds.
    span: Option<(i64, i64)>,
    /// The number of records with each label.
    labels: [usize; Label::COUNT],
}

impl Visit {
    /// Returns the most frequent label, or `None` if no record has one.
    fn label(&self) -> Option<Label> {
        let most = *self.labels.iter().max()?;
        Label::ALL.into_iter().find(|label| most > 0 && self.labels[*label as usize] == most)
    }
}

fn main() -> ExitCode {
    error::finish(|| {
        let Some(path) = std::env::args_os().nth(1) else {
            return Err(Error::bad_input("usage: read_journal JOURNAL"));
        };
        for ((session, track), visit) in visits(Path::new(&path))? {
            let seconds = visit.span.map_or(0.0, |(first, last)| (last - first) as f64 / 1e6);
            let label = visit.label().map_or("unsure", Label::name);
            error::print(&format!("session {session}, track {track}: {seconds:.1} s, {label}"))?;
        }
        Ok(())
    })
}

/// Returns the visits of a journal by session and track.
fn visits(path: &Path) -> Result<BTreeMap<(i64, u32), Visit>, JournalError> {
    let reader = Reader::open(path)?;
    let mut visits: BTreeMap<(i64, u32), Visit> = BTreeMap::new();
    // Records come in pieces of a few thousand, so a journal of millions fits in memory.
    reader.each_record(&Range::default(), |row| {
        let visit = visits.entry((row.session, row.record.track)).or_default();
        let first = visit.span.map_or(row.stamp.wall_us, |(first, _)| first);
        visit.span = Some((first, row.stamp.wall_us));
        if let Some(label) = row.record.label {
            visit.labels[label as usize] += 1;
        }
        Ok::<(), JournalError>(())
    })?;
    Ok(visits)
}

#[cfg(test)]
mod tests {
    use edge_runtime::frame::Observation;
    use edge_runtime::journal::{Config, Session, Writer};
    use expression_core::{Record, Stamp};

    use super::*;

    #[test]
    fn a_track_has_its_time_in_view_and_its_most_frequent_label() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        let config = Config { max_records_per_second: f32::INFINITY, ..Config::default() };
        let writer = Writer::open(&path, config, Session::here()).unwrap();
        for (frame, label) in
            [Some(Label::Fear), Some(Label::Happiness), None, Some(Label::Happiness)].into_iter().enumerate()
        {
            let record = Record {
                track: 7,
                bounds: Default::default(),
                quality: Default::default(),
                scores: Some([0; Label::COUNT]),
                label,
                confidence: 200,
            };
            let stamp = Stamp { monotonic_ns: frame as u64 * 500_000_000, wall_us: frame as i64 * 500_000 };
            let observation = Observation {
                stamp,
                sequence: frame as u64,
                size: [64, 64],
                faces: vec![record],
                ..Default::default()
            };
            writer.observe(&observation);
        }
        writer.close("end of the example").unwrap();
        let visits = visits(&path).unwrap();
        let visit = &visits[&(1, 7)];
        assert_eq!(visit.span, Some((0, 1_500_000)));
        assert_eq!(visit.label(), Some(Label::Happiness));
    }
}
