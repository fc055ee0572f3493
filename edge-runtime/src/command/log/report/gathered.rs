//! A journal folded into as many bins of time as a plot can show.

use std::collections::HashMap;

use expression_core::Label;

use super::timeline::Timeline;
use crate::journal::stats::{Stats, Visit};
use crate::journal::{Histogram, JournalError, Range, Reader, Row};

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
    /// The time axis of the plots.
    pub timeline: Timeline,
    /// Counts of each bin.
    pub counts: Vec<Counts>,
    /// Latency in each bin, in microseconds.
    pub latency: Vec<Histogram>,
    /// The longest visits in the order of their first records: session and track, the visit, and counts of each bin.
    pub visits: Vec<((i64, u32), Visit, Vec<Counts>)>,
}

impl Gathered {
    /// Reads the range once more, now that its axis is known.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read.
    pub fn read(reader: &Reader, range: &Range, stats: &Stats, timeline: Timeline) -> Result<Gathered, JournalError> {
        let mut visits: Vec<_> = stats.visits.iter().map(|(key, visit)| (*key, *visit)).collect();
        visits.sort_by_key(|(key, visit)| (std::cmp::Reverse(visit.until_us.saturating_sub(visit.from_us)), *key));
        visits.truncate(MAX_TRACKS);
        visits.sort_by_key(|(key, visit)| (visit.from_us, *key));
        let places: HashMap<(i64, u32), usize> =
            visits.iter().enumerate().map(|(place, (key, _))| (*key, place)).collect();
        let bins = timeline.bins();
        let empty = || vec![Counts::default(); bins];
        let mut gathered = Gathered {
            timeline,
            counts: empty(),
            latency: vec![Histogram::default(); bins],
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
        let bin = self.timeline.bin(row.stamp.wall_us);
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
}

/// Returns the place with the highest count, or `None` if nothing was counted.
pub fn most(counts: &Counts) -> Option<usize> {
    let (place, count) = counts.iter().enumerate().max_by_key(|(place, count)| (**count, std::cmp::Reverse(*place)))?;
    (*count > 0).then_some(place)
}
