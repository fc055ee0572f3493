//! What a day has brought: visits and smiles.

use std::collections::VecDeque;
use std::sync::LazyLock;

use expression_core::{Label, Record};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Serialize;

/// The board's local time. It is read once, before a run gives up the right to read its files.
pub static ZONE: LazyLock<TimeZone> = LazyLock::new(TimeZone::system);

/// Seconds of two days. A day that ends later than this from now has not begun: the clock was set back.
const TWO_DAYS: i64 = 2 * 86_400;
/// Seconds of an hour.
const HOUR: i64 = 3600;
/// Smiles of the last hour that are remembered; more are as many.
const MAX_SMILES: usize = 4096;
/// Tracks whose last label is remembered.
const MAX_TRACKS: usize = 64;

/// What the present day has brought since it began, or since the program was started. A day is one of this machine's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Today {
    /// Faces that came: tracks of which a frame could be read.
    pub visits: u64,
    /// How often the label of a face became happiness.
    pub smiles: u64,
    /// The same in the last sixty minutes, which may begin before the day; at most 4096.
    pub smiles_last_hour: u64,
}

/// Counts what a day brings.
#[derive(Debug)]
pub struct Day {
    today: Today,
    zone: TimeZone,
    /// Unix time in seconds at which the day that is counted ends.
    ends: Option<i64>,
    /// The newest tracks, and whether each smiled when it was last seen.
    tracks: VecDeque<(u32, bool)>,
    /// Unix times in seconds at which the smiles of the last hour began, in ascending order.
    smiles: VecDeque<i64>,
}

impl Default for Day {
    fn default() -> Day {
        Day::in_zone(ZONE.clone())
    }
}

impl Day {
    /// A day of a time zone.
    fn in_zone(zone: TimeZone) -> Day {
        Day { today: Today::default(), zone, ends: None, tracks: VecDeque::new(), smiles: VecDeque::new() }
    }

    /// Takes in the faces of a frame that was captured at `second`, Unix time.
    pub fn add(&mut self, second: i64, faces: &[Record]) {
        self.turn(second);
        for face in faces {
            let smiles = face.label == Some(Label::Happiness);
            let begins = match self.tracks.iter_mut().find(|(track, _)| *track == face.track) {
                Some((_, smiled)) => !std::mem::replace(smiled, smiles) && smiles,
                // A face that cannot be read yet is no visit yet.
                None if face.scores.is_some() => {
                    self.today.visits += 1;
                    if self.tracks.len() == MAX_TRACKS {
                        self.tracks.pop_front();
                    }
                    self.tracks.push_back((face.track, smiles));
                    smiles
                }
                None => false,
            };
            if begins {
                self.today.smiles += 1;
                if self.smiles.len() == MAX_SMILES {
                    self.smiles.pop_front();
                }
                self.smiles.push_back(second);
            }
        }
    }

    /// What the day of `second` has brought, Unix time.
    pub fn at(&mut self, second: i64) -> Today {
        self.turn(second);
        Today { smiles_last_hour: self.smiles.len() as u64, ..self.today }
    }

    /// Begins another day if the one that is counted is over. Who is there stays there: their visit was yesterday's.
    fn turn(&mut self, second: i64) {
        // Smiles of a time to come are from before the clock was set back.
        while self.smiles.back().is_some_and(|last| last.saturating_sub(second) > HOUR) {
            self.smiles.pop_back();
        }
        while self.smiles.front().is_some_and(|first| second.saturating_sub(*first) >= HOUR) {
            self.smiles.pop_front();
        }
        // A frame from just before midnight may come after it, and counts for the new day.
        if self.ends.is_some_and(|ends| second < ends && ends.saturating_sub(second) <= TWO_DAYS) {
            return;
        }
        if self.ends.is_some() {
            self.today = Today::default();
        }
        self.ends = self.end_of_day(second);
    }

    /// Unix time in seconds at which the day of `second` ends.
    fn end_of_day(&self, second: i64) -> Option<i64> {
        let now = Timestamp::from_second(second).ok()?.to_zoned_datetime(self.zone.clone());
        Some(now.start_of_day().ok()?.checked_add(1.day()).ok()?.timestamp().as_second())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expression_core::{Bounds, Quality};

    fn face(track: u32, label: Option<Label>, is_read: bool) -> Record {
        let quality = if is_read { Quality::Good } else { Quality::Small };
        Record { track, bounds: Bounds::default(), quality, scores: is_read.then_some([0; 8]), label, confidence: 0 }
    }

    #[test]
    fn a_visit_counts_once_and_a_smile_each_time_that_it_begins() {
        let mut day = Day::in_zone(TimeZone::UTC);
        let (happy, neutral) = (Some(Label::Happiness), Some(Label::Neutral));
        day.add(100, &[face(1, None, false)]);
        assert_eq!(day.at(100), Today::default());
        day.add(101, &[face(1, neutral, true), face(2, happy, true)]);
        day.add(102, &[face(1, happy, true), face(2, happy, true)]);
        day.add(103, &[]);
        day.add(104, &[face(1, neutral, true), face(2, happy, false)]);
        day.add(105, &[face(1, happy, true)]);
        assert_eq!(day.at(106), Today { visits: 2, smiles: 3, smiles_last_hour: 3 });
        // The first one began at 101, the last one at 105.
        assert_eq!(day.at(101 + HOUR), Today { visits: 2, smiles: 3, smiles_last_hour: 2 });
        assert_eq!(day.at(105 + HOUR).smiles_last_hour, 0);
    }

    #[test]
    fn at_midnight_of_the_time_zone_counting_begins_anew_with_or_without_faces() {
        let mut day = Day::in_zone(TimeZone::fixed(jiff::tz::offset(2)));
        // 2026-11-25, 21:59:59 UTC is a second before midnight there.
        let last: i64 = 1_795_643_999;
        day.add(last - 60, &[face(1, Some(Label::Happiness), true)]);
        assert_eq!(day.at(last), Today { visits: 1, smiles: 1, smiles_last_hour: 1 });
        assert_eq!(day.at(last + 1), Today { smiles_last_hour: 1, ..Today::default() });
        day.add(last + 2, &[face(1, Some(Label::Happiness), true), face(2, None, true)]);
        assert_eq!(day.at(last + 3), Today { visits: 1, smiles: 0, smiles_last_hour: 1 });
    }

    #[test]
    fn a_clock_that_was_ahead_and_is_set_back_begins_another_day() {
        let mut day = Day::in_zone(TimeZone::UTC);
        let now: i64 = 1_795_600_000;
        day.add(now + 365 * 86_400, &[face(1, Some(Label::Happiness), true)]);
        assert_eq!(day.at(now), Today::default());
        day.add(now, &[face(2, None, true)]);
        assert_eq!(day.at(now + 86_400), Today::default(), "this day ends, too");
    }

    #[test]
    fn memory_is_bounded() {
        let mut day = Day::in_zone(TimeZone::UTC);
        (1..=1000).for_each(|track| day.add(5, &[face(track, None, true)]));
        assert_eq!((day.at(5).visits, day.tracks.len()), (1000, MAX_TRACKS));
        (1..=5000).for_each(|track| day.add(6, &[face(track, Some(Label::Happiness), true)]));
        assert_eq!((day.at(6).smiles, day.at(6).smiles_last_hour, day.smiles.len()), (5000, 4096, MAX_SMILES));
    }
}
