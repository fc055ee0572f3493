//! The time axis of the plots: the stretches in which there were frames, side by side, with the gaps between them cut out.

use expression_report::plot::Tick;
use jiff::tz::TimeZone;

use super::super::moment;
use crate::journal::stats::Gap;

/// About how many bins of time a plot shows.
const BINS: usize = 240;
/// Shorter gaps are shown as they are, in microseconds.
const MIN_CUT_US: i64 = 15 * 60_000_000;
/// Gaps that are a smaller share of the whole are shown as they are.
const MIN_CUT_SHARE: f64 = 0.02;
/// How many of the longest gaps are cut out at most, so that the rest has room.
const MAX_CUTS: usize = 24;
/// Marks of the axis are at least this share of its length apart: the width of their text.
const BETWEEN_MARKS: f64 = 0.13;

/// A part of the axis.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Part {
    from_us: i64,
    until_us: i64,
    first_bin: usize,
    bins: usize,
    /// The gap that it stands for; it is then one bin wide, however long it was.
    cut: Option<Gap>,
}

impl Part {
    fn length(&self) -> f64 {
        self.until_us.saturating_sub(self.from_us).max(1) as f64
    }
}

/// A time axis, in the clock of a time zone.
#[derive(Debug)]
pub struct Timeline {
    parts: Vec<Part>,
    bins: usize,
    zone: TimeZone,
}

impl Timeline {
    /// Makes the axis from the first instant to the last, in microseconds of Unix time. `gaps` begin with the longest.
    pub fn new((first, last): (i64, i64), gaps: &[Gap], zone: TimeZone) -> Timeline {
        let last = last.max(first);
        let whole = last.saturating_sub(first).max(1) as f64;
        let length = |gap: &Gap| gap.until_us.saturating_sub(gap.from_us);
        let is_cut = |gap: &&Gap| length(gap) >= MIN_CUT_US && length(gap) as f64 >= MIN_CUT_SHARE * whole;
        let mut cuts: Vec<Gap> = gaps.iter().filter(is_cut).take(MAX_CUTS).copied().collect();
        cuts.sort_by_key(|gap| gap.from_us);
        let part = |from_us, until_us, cut| Part { from_us, until_us, first_bin: 0, bins: 1, cut };
        let (mut parts, mut at) = (Vec::new(), first);
        for gap in cuts {
            let (from, until) = (gap.from_us.clamp(at, last), gap.until_us.clamp(at, last));
            if from > at {
                parts.push(part(at, from, None));
            }
            if until > from {
                parts.push(part(from, until, Some(gap)));
            }
            at = until;
        }
        if at < last || parts.is_empty() {
            parts.push(part(at, last, None));
        }
        let shown: f64 = parts.iter().filter(|part| part.cut.is_none()).map(Part::length).sum();
        let mut bins = 0;
        for part in &mut parts {
            part.first_bin = bins;
            if part.cut.is_none() {
                part.bins = ((BINS as f64 * part.length() / shown).round() as usize).max(1);
            }
            bins += part.bins;
        }
        Timeline { parts, bins, zone }
    }

    /// How many bins the axis has.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// Returns the bin that a moment lies in.
    pub fn bin(&self, wall_us: i64) -> usize {
        let at = self.position(wall_us);
        let Some(part) = self.parts.iter().rev().find(|part| wall_us >= part.from_us) else { return 0 };
        // A moment of a part lies in a bin of that part, however its position is rounded.
        (at as usize).clamp(part.first_bin, part.first_bin + part.bins - 1)
    }

    /// Returns where a moment lies on the axis, from 0 to 1.
    pub fn place(&self, wall_us: i64) -> f64 {
        self.position(wall_us) / self.bins as f64
    }

    /// The same in bins.
    fn position(&self, wall_us: i64) -> f64 {
        let Some(part) = self.parts.iter().rev().find(|part| wall_us >= part.from_us) else { return 0.0 };
        let share = (wall_us.saturating_sub(part.from_us) as f64 / part.length()).clamp(0.0, 1.0);
        part.first_bin as f64 + share * part.bins as f64
    }

    /// Returns the moment at a place from 0 to 1, in microseconds of Unix time.
    fn moment(&self, place: f64) -> i64 {
        let at = place * self.bins as f64;
        let Some(part) = self.parts.iter().rev().find(|part| at >= part.first_bin as f64) else { return 0 };
        let share = ((at - part.first_bin as f64) / part.bins as f64).clamp(0.0, 1.0);
        part.from_us.saturating_add((part.until_us.saturating_sub(part.from_us) as f64 * share) as i64)
    }

    /// Returns the first moment of a bin by the clock of the time zone.
    pub fn start_of(&self, bin: usize) -> String {
        self.text(self.moment(bin as f64 / self.bins as f64))
    }

    /// Returns a moment by the clock of the time zone.
    pub fn text(&self, wall_us: i64) -> String {
        moment::short(wall_us, &self.zone)
    }

    /// The time zone.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Returns the gaps that are cut out, each with the places where its bin begins and ends.
    pub fn cuts(&self) -> impl Iterator<Item = (&Gap, [f64; 2])> {
        let ends = |part: &Part| [part.first_bin, part.first_bin + part.bins].map(|bin| bin as f64 / self.bins as f64);
        self.parts.iter().filter_map(move |part| Some((part.cut.as_ref()?, ends(part))))
    }

    /// Returns the marks of the axis: its ends, the moments after gaps that were cut out, and others where there is room.
    pub fn marks(&self) -> Vec<Tick> {
        let mut after_cuts: Vec<&Part> = self.parts.iter().filter(|part| part.cut.is_none()).collect();
        after_cuts.sort_by_key(|part| std::cmp::Reverse(part.bins));
        let after_cuts = after_cuts.into_iter().map(|part| part.first_bin as f64 / self.bins as f64);
        let mut places = vec![0.0, 1.0];
        for place in after_cuts.chain([0.5, 0.25, 0.75]) {
            let is_cut = self.cuts().any(|(_, [from, until])| from < place && place < until);
            if !is_cut && places.iter().all(|other| (place - other).abs() >= BETWEEN_MARKS) {
                places.push(place);
            }
        }
        places.sort_by(f64::total_cmp);
        let span = self
            .parts
            .last()
            .zip(self.parts.first())
            .map_or(0, |(last, first)| last.until_us.saturating_sub(first.from_us));
        let tick = |place| Tick { place, text: moment::mark(self.moment(place), span, &self.zone) };
        places.into_iter().map(tick).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::stats::Cause;

    const HOUR: i64 = 3_600_000_000;

    fn gap(from: i64, until: i64) -> Gap {
        Gap { from_us: from * HOUR, until_us: until * HOUR, cause: Cause::Camera }
    }

    #[test]
    fn a_night_is_cut_out_and_no_bin_holds_both_sides_of_it() {
        let line = Timeline::new((0, 24 * HOUR), &[gap(4, 20)], TimeZone::UTC);
        assert_eq!(line.bins(), BINS + 1);
        let [before, within, after] = [4 * HOUR - 1, 5 * HOUR, 20 * HOUR].map(|at| line.bin(at));
        assert_eq!([before, within, after], [BINS / 2 - 1, BINS / 2, BINS / 2 + 1]);
        assert_eq!((line.bin(-HOUR), line.bin(0), line.bin(24 * HOUR), line.bin(i64::MAX)), (0, 0, BINS, BINS));
        let (cut, [from, until]) = line.cuts().next().unwrap();
        assert_eq!((cut.from_us, line.place(4 * HOUR), line.place(20 * HOUR)), (4 * HOUR, from, until));
        // The axis names the moment after it.
        let marks: Vec<String> = line.marks().into_iter().map(|mark| mark.text).collect();
        assert_eq!(marks, ["01-01 00:00", "01-01 02:00", "01-01 20:00", "01-01 21:59", "01-02 00:00"]);
        assert_eq!(line.start_of(BINS / 2 + 1), "1970-01-01 20:00:00");
    }

    #[test]
    fn short_gaps_stay_and_gaps_that_overlap_are_cut_once() {
        let short = Gap { from_us: HOUR, until_us: HOUR + MIN_CUT_US / 2, cause: Cause::Camera };
        assert_eq!(Timeline::new((0, 2 * HOUR), &[short], TimeZone::UTC).cuts().count(), 0);
        let line = Timeline::new((0, 24 * HOUR), &[gap(4, 20), gap(6, 21), gap(7, 9)], TimeZone::UTC);
        assert_eq!(line.cuts().count(), 2);
        assert_eq!(line.bin(21 * HOUR), line.bin(20 * HOUR) + 1);
    }

    #[test]
    fn no_span_breaks_the_axis() {
        for span in [(0, 0), (5, 4), (i64::MIN, i64::MAX), (0, 1)] {
            let line = Timeline::new(span, &[gap(-9000, 9000)], TimeZone::UTC);
            assert!(line.bins() >= 1 && line.bin(span.0) < line.bins() && line.bin(span.1) < line.bins());
            assert!(line.marks().iter().all(|mark| (0.0..=1.0).contains(&mark.place)), "{span:?}");
        }
    }
}
