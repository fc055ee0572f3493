//! A journal folded into as many stretches of time as a plot can show.

use std::collections::HashMap;

use expression_core::Label;

use crate::journal::stats::{Stats, Visit};
use crate::journal::{Histogram, JournalError, Range, Reader, Row};

/// How many stretches of time a plot shows.
pub const BINS: usize = 240;
/// How many tracks a plot shows.
const MAX_TRACKS: usize = 60;

/// Scored records by label, then records without a label, then faces that could not be read.
pub type Counts = [u64; Label::COUNT + 2];
/// Place of records without a label.
pub const UNSURE: usize = Label::COUNT;
/// Place of records whose face could not be read.
pub const UNREAD: usize = Label::COUNT + 1;

/// What the plots show.
pub struct Gathered {
    /// Unix time of the first instant and of the last, in microseconds.
    pub span: (i64, i64),
    /// Counts of each stretch.
    pub counts: Vec<Counts>,
    /// Latency in each stretch, in microseconds.
    pub latency: Vec<Histogram>,
    /// The longest visits in the order of their first records: session and track, the visit, and counts of each stretch.
    pub visits: Vec<((i64, u32), Visit, Vec<Counts>)>,
}

impl Gathered {
    /// Reads the range once more, now that its ends are known.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read.
    pub fn read(reader: &Reader, range: &Range, stats: &Stats, span: (i64, i64)) -> Result<Gathered, JournalError> {
        let mut visits: Vec<_> = stats.visits.iter().map(|(key, visit)| (*key, *visit)).collect();
        visits.sort_by_key(|(key, visit)| (std::cmp::Reverse(visit.until_us.saturating_sub(visit.from_us)), *key));
        visits.truncate(MAX_TRACKS);
        visits.sort_by_key(|(key, visit)| (visit.from_us, *key));
        let places: HashMap<(i64, u32), usize> =
            visits.iter().enumerate().map(|(place, (key, _))| (*key, place)).collect();
        let empty = || vec![Counts::default(); BINS];
        let mut gathered = Gathered {
            span,
            counts: empty(),
            latency: vec![Histogram::default(); BINS],
            visits: visits.into_iter().map(|(key, visit)| (key, visit, empty())).collect(),
        };
        reader.each_record(range, |row| {
            let visit = places.get(&(row.session, row.record.track)).copied();
            gathered.add(&row, visit);
            Ok::<_, JournalError>(())
        })?;
        Ok(gathered)
    }

    fn add(&mut self, row: &Row, visit: Option<usize>) {
        let bin = self.bin(row.stamp.wall_us);
        let place = match (row.record.scores, row.record.label) {
            (None, _) => UNREAD,
            (Some(_), None) => UNSURE,
            (Some(_), Some(label)) => label as usize,
        };
        let visit = visit.and_then(|visit| self.visits.get_mut(visit)).and_then(|(_, _, counts)| counts.get_mut(bin));
        for counts in self.counts.get_mut(bin).into_iter().chain(visit) {
            if let Some(count) = counts.get_mut(place) {
                *count += 1;
            }
        }
        if let Some(latency) = self.latency.get_mut(bin) {
            latency.add(row.latency_us);
        }
    }

    /// Returns the stretch that a moment lies in.
    fn bin(&self, wall_us: i64) -> usize {
        ((self.place(wall_us) * BINS as f64) as usize).min(BINS - 1)
    }

    /// Returns where a moment lies between the first instant and the last, from 0 to 1.
    pub fn place(&self, wall_us: i64) -> f64 {
        let (first, last) = self.span;
        let length = last.saturating_sub(first).max(1) as f64;
        (wall_us.saturating_sub(first) as f64 / length).clamp(0.0, 1.0)
    }

    /// Returns the moment at a place from 0 (the first instant) to 1 (the last), in microseconds of Unix time.
    pub fn moment(&self, place: f64) -> i64 {
        let (first, last) = self.span;
        first.saturating_add((last.saturating_sub(first) as f64 * place) as i64)
    }
}

/// Returns the place with the highest count, or `None` if nothing was counted.
pub fn most(counts: &Counts) -> Option<usize> {
    let (place, count) = counts.iter().enumerate().max_by_key(|(place, count)| (**count, std::cmp::Reverse(*place)))?;
    (*count > 0).then_some(place)
}
