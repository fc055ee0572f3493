//! Visits: a face from when it appears until it leaves, and for how long it showed which expression.

use std::collections::HashMap;

use expression_core::Label;

use super::{JournalError, Range, Reader, Row};

/// The longest time from one record of a track to the next that counts as presence, in microseconds. After a longer one the
/// face was away, or nothing was recorded, and nobody knows what it showed.
pub const MAX_STEP_US: i64 = 10_000_000;
/// When more visits than these are open, those that were not seen for [`MAX_STEP_US`] are closed.
const MAX_OPEN: usize = 1024;

/// Microseconds by label, in the order of [`Label::ALL`], and at the end those without a label.
pub type ByLabel = [i64; Label::COUNT + 1];

/// A face from when it appears until it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// The session.
    pub session: i64,
    /// The track's number within the session.
    pub track: u32,
    /// Unix time of its first record, in microseconds.
    pub first_us: i64,
    /// Unix time of its last.
    pub last_us: i64,
    /// Number of records.
    pub records: u64,
    /// For how long it showed what.
    pub by_label: ByLabel,
    /// The longest stretch of happiness without another label, in microseconds.
    pub longest_smile_us: i64,
    /// The stretch of happiness that lasts, in microseconds.
    smile_us: i64,
    /// The newest record: its monotonic time in microseconds, and its label.
    newest: (i64, Option<Label>),
}

/// A stretch of time from a record of a track to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Unix time of its beginning, in microseconds.
    pub from_us: i64,
    /// Its length in microseconds, at most [`MAX_STEP_US`].
    pub length_us: i64,
    /// The label of the record that it begins with.
    pub label: Option<Label>,
    /// How long happiness has lasted at its end, in microseconds; 0 for other labels.
    pub smile_us: i64,
}

impl Visit {
    fn new(row: &Row) -> Visit {
        let record = &row.record;
        Visit {
            session: row.session,
            track: record.track,
            first_us: row.stamp.wall_us,
            last_us: row.stamp.wall_us,
            records: 0,
            by_label: ByLabel::default(),
            longest_smile_us: 0,
            smile_us: 0,
            newest: (monotonic_us(row), record.label),
        }
    }

    /// Adds a record, and returns the step that it ends, if it lasted.
    fn add(&mut self, row: &Row) -> Option<Step> {
        let (since_us, label) = self.newest;
        let step_us = monotonic_us(row).saturating_sub(since_us);
        let length_us = if (0..=MAX_STEP_US).contains(&step_us) { step_us } else { 0 };
        self.by_label[label.map_or(Label::COUNT, |label| label as usize)] += length_us;
        let is_smile = label == Some(Label::Happiness);
        self.smile_us = if is_smile { self.smile_us + length_us } else { 0 };
        self.longest_smile_us = self.longest_smile_us.max(self.smile_us);
        let smile_us = self.smile_us;
        if row.record.label != label || !(0..=MAX_STEP_US).contains(&step_us) {
            self.smile_us = 0;
        }
        self.records += 1;
        self.first_us = self.first_us.min(row.stamp.wall_us);
        self.last_us = self.last_us.max(row.stamp.wall_us);
        self.newest = (monotonic_us(row), row.record.label);
        let from_us = row.stamp.wall_us.saturating_sub(length_us);
        (length_us > 0).then_some(Step { from_us, length_us, label, smile_us })
    }

    /// How long it was there, in microseconds, without the time that nobody knows of.
    pub fn present_us(&self) -> i64 {
        self.by_label.iter().sum()
    }
}

fn monotonic_us(row: &Row) -> i64 {
    (row.stamp.monotonic_ns / 1000) as i64
}

/// Calls for each visit of a range, in the order of their ends, and for each of their steps as it ends.
///
/// # Errors
/// Returns an error if the file cannot be read, or the one of `each`.
pub fn each_visit<E: From<JournalError>>(
    reader: &Reader,
    range: &Range,
    mut each_step: impl FnMut(&Visit, Step),
    mut each: impl FnMut(Visit) -> Result<(), E>,
) -> Result<(), E> {
    let mut open: HashMap<(i64, u32), Visit> = HashMap::new();
    reader.each_record(range, |row| -> Result<(), E> {
        let key = (row.session, row.record.track);
        if open.len() >= MAX_OPEN && !open.contains_key(&key) {
            let old = |visit: &Visit| {
                visit.session != row.session || visit.newest.0.saturating_add(MAX_STEP_US) < monotonic_us(&row)
            };
            close(open.extract_if(|_, visit| old(visit)).map(|(_, visit)| visit).collect(), &mut each)?;
        }
        let visit = open.entry(key).or_insert_with(|| Visit::new(&row));
        if let Some(step) = visit.add(&row) {
            each_step(visit, step);
        }
        Ok(())
    })?;
    close(open.into_values().collect(), &mut each)
}

fn close<E>(mut visits: Vec<Visit>, each: &mut impl FnMut(Visit) -> Result<(), E>) -> Result<(), E> {
    visits.sort_by_key(|visit| (visit.last_us, visit.session, visit.track));
    visits.into_iter().try_for_each(each)
}
