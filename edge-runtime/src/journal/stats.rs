//! What a journal holds, in figures.

use std::collections::{BTreeMap, HashMap};

use expression_core::{Label, Quality};

use super::{Histogram, JournalError, Range, Reader, SessionRow};
use crate::event::Event;

/// Figures of a journal, or of a range of it.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Records.
    pub records: u64,
    /// Frames seen, with and without faces. Counted by whole minutes where a range was asked for.
    pub frames: u64,
    /// Of these, frames that showed a face.
    pub with_faces: u64,
    /// Faces left out because of `max_records_per_second`.
    pub thinned: u64,
    /// Tracks by session and number: faces from their coming to their going.
    pub visits: HashMap<(i64, u32), Visit>,
    /// Records that were scored, which is those of good quality.
    pub scored: u64,
    /// Scored records by label, in the order of [`Label::ALL`].
    pub labels: [u64; Label::COUNT],
    /// Scored records without a label, because nothing was sure enough.
    pub abstained: u64,
    /// Records by quality, in the order of [`Quality::ALL`].
    pub quality: [u64; Quality::ALL.len()],
    /// Latency of the records in microseconds.
    pub latency: Histogram,
    /// The lowest and the highest temperature in thousandths of a degree Celsius.
    pub millicelsius: Option<(i32, i32)>,
    /// Unix time of the earliest and the latest record or event, in microseconds.
    pub wall_us: Option<(i64, i64)>,
    /// Records whose wall clock was not synchronised.
    pub unsynchronised: u64,
    /// Events by name.
    pub events: BTreeMap<String, u64>,
    /// Records that the events say were lost, because the disk did not take them in time.
    pub lost: u64,
    /// Stretches without a frame, the longest first.
    pub gaps: Vec<Gap>,
    /// All sessions of the journal.
    pub sessions: Vec<SessionRow>,
    /// Bytes of the file and its log.
    pub bytes: u64,
}

/// A face from when it appears until it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// Unix time of its first record, in microseconds.
    pub from_us: i64,
    /// Unix time of its last.
    pub until_us: i64,
    /// How many records.
    pub records: u64,
}

/// A stretch of the wall clock without a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Its first instant, Unix time in microseconds.
    pub from_us: i64,
    /// The instant at which frames came again.
    pub until_us: i64,
    /// What the journal knows of it.
    pub cause: Cause,
}

/// Why there was no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The camera was lost and came back.
    Camera,
    /// For at least a whole minute nothing was seen: the runtime was off, or recording was paused.
    Silence,
}

impl Cause {
    /// The name in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Camera => "camera lost",
            Cause::Silence => "no frames",
        }
    }
}

impl Stats {
    /// Reads a range of a journal once.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn of(reader: &Reader, range: &Range) -> Result<Stats, JournalError> {
        let mut stats = Stats { sessions: reader.sessions()?, bytes: reader.bytes(), ..Stats::default() };
        reader.each_record(range, |row| {
            stats.record(&row);
            Ok::<_, JournalError>(())
        })?;
        reader.each_event(range, |row| {
            stats.see(row.stamp.wall_us);
            *stats.events.entry(row.kind.clone()).or_default() += 1;
            match row.event() {
                Some(Event::RecordsLost { records, .. }) => stats.lost = stats.lost.saturating_add(records),
                Some(Event::CameraBack { gap_ms }) => stats.gaps.push(Gap {
                    from_us: row.stamp.wall_us.saturating_sub_unsigned(gap_ms.saturating_mul(1000)),
                    until_us: row.stamp.wall_us,
                    cause: Cause::Camera,
                }),
                _ => {}
            }
            Ok::<_, JournalError>(())
        })?;
        stats.minutes(reader, range)?;
        stats.gaps.sort_by_key(|gap| std::cmp::Reverse(gap.until_us.saturating_sub(gap.from_us)));
        Ok(stats)
    }

    /// Length of all gaps together, in microseconds.
    pub fn silent_us(&self) -> i64 {
        self.gaps.iter().map(|gap| gap.until_us.saturating_sub(gap.from_us)).fold(0, i64::saturating_add)
    }

    fn record(&mut self, row: &super::Row) {
        self.records += 1;
        self.see(row.stamp.wall_us);
        self.unsynchronised += u64::from(!row.synchronised);
        self.latency.add(row.latency_us);
        let record = &row.record;
        let wall_us = row.stamp.wall_us;
        let first = Visit { from_us: wall_us, until_us: wall_us, records: 0 };
        let visit = self.visits.entry((row.session, record.track)).or_insert(first);
        visit.from_us = visit.from_us.min(wall_us);
        visit.until_us = visit.until_us.max(wall_us);
        visit.records += 1;
        if let Some(count) = self.quality.get_mut(record.quality as usize) {
            *count += 1;
        }
        if record.scores.is_some() {
            self.scored += 1;
            match record.label.and_then(|label| self.labels.get_mut(label as usize)) {
                Some(count) => *count += 1,
                None => self.abstained += 1,
            }
        }
        if let Some(degrees) = row.millicelsius {
            let (low, high) = self.millicelsius.unwrap_or((degrees, degrees));
            self.millicelsius = Some((low.min(degrees), high.max(degrees)));
        }
    }

    fn see(&mut self, wall_us: i64) {
        let (first, last) = self.wall_us.unwrap_or((wall_us, wall_us));
        self.wall_us = Some((first.min(wall_us), last.max(wall_us)));
    }

    fn minutes(&mut self, reader: &Reader, range: &Range) -> Result<(), JournalError> {
        const MINUTE_US: i64 = 60_000_000;
        let mut last: Option<i64> = None;
        for minute in reader.minutes(range)? {
            // A damaged file may hold any numbers.
            self.frames = self.frames.saturating_add(minute.frames);
            self.with_faces = self.with_faces.saturating_add(minute.with_faces);
            self.thinned = self.thinned.saturating_add(minute.thinned);
            let after = last.map(|last| last.saturating_add(1));
            if let Some(after) = after.filter(|after| minute.minute > *after) {
                let (from_us, until_us) = (after.saturating_mul(MINUTE_US), minute.minute.saturating_mul(MINUTE_US));
                // A camera that was lost for minutes has said so with its own times.
                let said = |gap: &Gap| gap.cause == Cause::Camera && gap.from_us <= from_us && gap.until_us >= until_us;
                if !self.gaps.iter().any(said) {
                    self.gaps.push(Gap { from_us, until_us, cause: Cause::Silence });
                }
            }
            last = Some(minute.minute);
        }
        Ok(())
    }
}
