//! Visits summed by hour or by day.

use std::collections::{BTreeMap, HashSet};

use expression_core::Label;
use jiff::tz::TimeZone;
use jiff::{RoundMode, Timestamp, ToSpan, ZonedDateTime, ZonedDateTimeRound};

use crate::journal::visit::{ByLabel, Step, each_visit};
use crate::journal::{JournalError, Range, Reader};

/// What visits are summed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Unit {
    /// The hours of the clock.
    Hour,
    /// Days, from midnight to midnight.
    Day,
}

/// The sums of an hour or a day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Period {
    /// Unix time of its first instant, in microseconds.
    pub start_us: i64,
    /// Unix time of the first instant after it.
    pub end_us: i64,
    /// Sessions and tracks of which something was recorded.
    pub tracks: HashSet<(i64, u32)>,
    /// For how long faces showed what, in microseconds. Two faces in one second make two seconds.
    pub by_label: ByLabel,
    /// The longest smile within the period, in microseconds.
    pub longest_smile_us: i64,
}

impl Period {
    /// How long faces were there, in microseconds.
    pub fn present_us(&self) -> i64 {
        self.by_label.iter().sum()
    }
}

/// Periods that have faces, by their first instants.
pub struct Periods {
    unit: Unit,
    zone: TimeZone,
    periods: BTreeMap<i64, Period>,
}

impl Periods {
    /// Sums the visits of a range by the clock of a time zone.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read.
    pub fn read(reader: &Reader, range: &Range, unit: Unit, zone: TimeZone) -> Result<Periods, JournalError> {
        let mut summed = Periods { unit, zone, periods: BTreeMap::new() };
        let mut single = Vec::new();
        each_visit(
            reader,
            range,
            |visit, step| summed.add((visit.session, visit.track), step),
            |visit| {
                if visit.present_us() == 0 {
                    single.push((visit.first_us, (visit.session, visit.track)));
                }
                Ok::<_, JournalError>(())
            },
        )?;
        for (wall_us, track) in single {
            summed.of(wall_us).tracks.insert(track);
        }
        Ok(summed)
    }

    /// The periods in the order of time.
    pub fn list(&self) -> impl Iterator<Item = &Period> {
        self.periods.values()
    }

    /// Adds a step to each period that it touches.
    fn add(&mut self, track: (i64, u32), step: Step) {
        let Step { from_us, length_us, label, smile_us } = step;
        let until_us = from_us.saturating_add(length_us);
        let mut at = from_us;
        while at < until_us {
            let period = self.of(at);
            let end = period.end_us.clamp(at + 1, until_us);
            period.tracks.insert(track);
            period.by_label[label.map_or(Label::COUNT, |label| label as usize)] += end - at;
            // What the smile had lasted by then, and no more than the part of it in this period: since its beginning, and as long as
            // happiness was seen, which is less after the clock went back from a later one.
            let part = end.saturating_sub(period.start_us).min(period.by_label[Label::Happiness as usize]);
            let smile = (smile_us - (until_us - end)).min(part);
            if smile_us > 0 {
                period.longest_smile_us = period.longest_smile_us.max(smile);
            }
            at = end;
        }
    }

    /// The period that a moment lies in.
    fn of(&mut self, wall_us: i64) -> &mut Period {
        let known = self.periods.range(..=wall_us).next_back().filter(|(_, period)| wall_us < period.end_us);
        let (start_us, end_us) = match known {
            Some((start, period)) => (*start, period.end_us),
            None => self.bounds(wall_us).unwrap_or((wall_us, wall_us.saturating_add(3_600_000_000))),
        };
        self.periods.entry(start_us).or_insert_with(|| Period { start_us, end_us, ..Period::default() })
    }

    /// First instant of the period of a moment, and of the next one; `None` for times that no calendar has.
    fn bounds(&self, wall_us: i64) -> Option<(i64, i64)> {
        let moment: ZonedDateTime = Timestamp::from_microsecond(wall_us).ok()?.to_zoned_datetime(self.zone.clone());
        let (start, end) = match self.unit {
            Unit::Hour => {
                let start =
                    moment.round(ZonedDateTimeRound::new().smallest(jiff::Unit::Hour).mode(RoundMode::Trunc)).ok()?;
                let end = start.checked_add(1.hour()).ok()?;
                (start, end)
            }
            Unit::Day => {
                let start = moment.start_of_day().ok()?;
                let end = start.checked_add(1.day()).ok()?;
                (start, end)
            }
        };
        Some((start.timestamp().as_microsecond(), end.timestamp().as_microsecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn periods(unit: Unit, hours: i8) -> Periods {
        Periods { unit, zone: TimeZone::fixed(jiff::tz::offset(hours)), periods: BTreeMap::new() }
    }

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    #[test]
    fn a_step_is_shared_by_the_hours_that_it_touches() {
        let mut hours = periods(Unit::Hour, 1);
        let happy = Some(Label::Happiness);
        let from_us = at("2026-11-25T10:59:57Z");
        for (seconds, smile) in [(12, 6), (6, 12)] {
            let from_us = from_us - seconds * SECOND;
            hours.add((1, 7), Step { from_us, length_us: 6 * SECOND, label: happy, smile_us: smile * SECOND });
        }
        hours.add((1, 7), Step { from_us, length_us: 8 * SECOND, label: happy, smile_us: 20 * SECOND });
        let list: Vec<&Period> = hours.list().collect();
        assert_eq!(list.len(), 2);
        assert_eq!((list[0].start_us, list[1].start_us), (at("2026-11-25T10:00:00Z"), at("2026-11-25T11:00:00Z")));
        assert_eq!([list[0].by_label[1], list[1].by_label[1]], [15 * SECOND, 5 * SECOND]);
        // 12 s before the step and 3 s of it; then what lies in the new hour.
        assert_eq!([list[0].longest_smile_us, list[1].longest_smile_us], [15 * SECOND, 5 * SECOND]);
        assert!(list.iter().all(|period| period.tracks.len() == 1));
    }

    #[test]
    fn a_smile_is_never_longer_than_the_happiness_of_its_hour() {
        let mut hours = periods(Unit::Hour, 0);
        let happy = Some(Label::Happiness);
        // The clock goes back by hours in the middle of a smile.
        for (text, smile) in [("2026-11-25T12:30:00Z", 8), ("2026-11-25T10:30:00Z", 16)] {
            let smile_us = smile * SECOND;
            hours.add((1, 7), Step { from_us: at(text), length_us: 8 * SECOND, label: happy, smile_us });
        }
        for hour in hours.list() {
            assert_eq!((hour.longest_smile_us, hour.by_label[Label::Happiness as usize]), (8 * SECOND, 8 * SECOND));
        }
    }

    #[test]
    fn days_begin_at_midnight_of_the_zone() {
        let mut days = periods(Unit::Day, 2);
        for text in ["2026-11-24T21:30:00Z", "2026-11-24T22:30:00Z", "2026-11-25T21:59:00Z"] {
            days.add((1, 1), Step { from_us: at(text), length_us: SECOND, label: None, smile_us: 0 });
        }
        let starts: Vec<i64> = days.list().map(|day| day.start_us).collect();
        assert_eq!(starts, [at("2026-11-23T22:00:00Z"), at("2026-11-24T22:00:00Z")]);
        let unsure: Vec<i64> = days.list().map(|day| day.by_label[Label::COUNT]).collect();
        assert_eq!(unsure, [SECOND, 2 * SECOND]);
        assert!(days.list().all(|day| day.longest_smile_us == 0));
    }

    #[test]
    fn times_beyond_the_calendar_do_no_harm() {
        let mut hours = periods(Unit::Hour, 0);
        hours.add((1, 1), Step { from_us: i64::MAX - 5, length_us: SECOND, label: None, smile_us: 0 });
        hours.add((1, 1), Step { from_us: i64::MIN, length_us: 3, label: None, smile_us: 0 });
        assert!(hours.list().count() <= 8);
    }
}
